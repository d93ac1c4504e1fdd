package console

import (
	"fmt"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// back is how many of the newest blocks tell that a validator has come back, or has just gone.
const back = 3

// validatorState is a word of texts: from the votes in the newest blocks, the only thing that all nodes agree on.
func validatorState(v Validator, watched int) string {
	newest := v.Votes[max(0, len(v.Votes)-back):]
	switch {
	case v.Power == 0:
		return "joining"
	case v.Signed == 0:
		return "silent"
	case len(newest) > 0 && !slices.Contains(newest, true):
		return "gone"
	case 3*v.Signed >= 2*watched:
		return "signing"
	case !slices.Contains(newest, false):
		return "back"
	}
	return "irregular"
}

// validatorNext is what the members decided about a validator and the engine has not taken yet; "" for nothing.
func validatorNext(v Validator) string {
	switch {
	case v.Wanted < 0 || v.Wanted == v.Power || v.Power == 0:
		return ""
	case v.Wanted == 0:
		return "leaving"
	}
	return "changing"
}

// keyState is a word of texts.
func keyState(k Key, now time.Time) string {
	switch {
	case !k.CompromisedFrom.IsZero():
		return "compromised"
	case k.Retired.Height != 0:
		return "retired"
	case now.Before(k.HeldUntil):
		return "held"
	}
	return "inforce"
}

// kindText, proposalText, changeText and voteText are keys of texts; what has none is "something else".
func kindText(k registry.Kind) string                  { return known("kind.", string(k)) }
func proposalText(state registry.ProposalState) string { return known("pr.", string(state)) }
func changeText(what string) string                    { return known("change.", what) }
func voteText(yes bool) string {
	if yes {
		return "pr.yes"
	}
	return "pr.no"
}

func known(prefix, name string) string {
	if _, ok := texts[prefix+name]; ok {
		return prefix + name
	}
	return "kind.other"
}

// pips are n squares, the first yes of them full; too many are not drawn.
func pips(yes int, n uint64) []bool {
	if n > 40 {
		return nil
	}
	out := make([]bool, n)
	for i := range out {
		out[i] = i < yes
	}
	return out
}

// subjectOf is the page of what a proposal changes; nil for one without.
func subjectOf(p ProposalDetail) *foundPlace {
	accreditation := func(vct string, n uint64) *foundPlace {
		if p.Before.Accreditation == nil && p.State != registry.ProposalExecuted {
			return nil // it does not exist yet
		}
		return &foundPlace{Kind: "accreditation", Path: fmt.Sprintf("/accreditations/%s/%s/%d", p.About.ID(), vct, n)}
	}
	switch b := p.Body.(type) {
	case *registry.AccreditBody:
		return accreditation(b.Type, b.N)
	case *registry.SuspendBody:
		return accreditation(b.Type, b.N)
	case *registry.ResumeBody:
		return accreditation(b.Type, b.N)
	case *registry.EndBody:
		return accreditation(b.Type, b.N)
	case *registry.RegisterBody:
		if p.Before.Registration != nil || p.State == registry.ProposalExecuted {
			return &foundPlace{Kind: "registration", Path: "/verifiers/" + p.About.ID() + "/" + b.Purpose}
		}
	case *registry.TypeDigestBody:
		if p.State == registry.ProposalExecuted {
			return &foundPlace{Kind: "type", Path: "/types/" + b.Type}
		}
	case *registry.MemberAddBody:
		if p.State == registry.ProposalExecuted {
			return &foundPlace{Kind: "member", Path: "/governance#member-" + b.ID}
		}
	case *registry.MemberRemoveBody:
		return &foundPlace{Kind: "member", Path: "/governance#member-" + b.ID}
	case *registry.MemberKeysBody:
		return &foundPlace{Kind: "member", Path: "/governance#member-" + b.ID}
	case *registry.ThresholdBody, *registry.ParamsBody, *registry.UpgradeBody:
		return &foundPlace{Kind: "parameters", Path: "/governance"}
	case *registry.ValidatorBody:
		return &foundPlace{Kind: "validators", Path: "/validators"}
	}
	return nil
}
