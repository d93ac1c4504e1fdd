package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A said fact is one leaf of a checked Evidence in words.
type said struct {
	Key  string `json:"key"`
	Says string `json:"says"`
}

// sayFacts puts what an Evidence proves into words, leaf by leaf.
func sayFacts(facts *evidence.Facts) []said {
	out := []said{}
	for _, key := range facts.Keys() {
		raw, err := facts.Get([]byte(key))
		if err != nil {
			continue
		}
		words := sayLeaf(facts, key, raw)
		if words == "" {
			words = key
		}
		out = append(out, said{Key: visible(key), Says: visible(words)})
	}
	return out
}

func listed(facts []said) string {
	var b strings.Builder
	for _, f := range facts {
		fmt.Fprintf(&b, "  · %s\n", f.Says)
	}
	return b.String()
}

func sayLeaf(facts *evidence.Facts, key string, raw []byte) string {
	parts := strings.Split(key, "/")
	switch parts[0] {
	case "d":
		if len(parts) > 3 {
			return sayDID(facts, parts, raw)
		}
	case "gov":
		return sayGovernance(facts, parts, raw)
	case "prop":
		return sayProposal(facts, parts, raw)
	case "type":
		return factWords(facts, raw, func(f *registry.TypeFact) string {
			return fmt.Sprintf("the metadata of %s have the digest %s", parts[1], hex.EncodeToString(f.Digest[:]))
		})
	case "hdr":
		var h registry.HeaderRoot
		if registry.Decode(raw, &h) == nil {
			return fmt.Sprintf("the headers of blocks %d to %d have the root %s", h.First, h.First+h.Size-1, hex.EncodeToString(h.Root[:]))
		}
	case "op":
		var o registry.OutcomeFact
		if registry.Decode(raw, &o) == nil {
			return fmt.Sprintf("the operation %s ended with %s in block %d", hex.EncodeToString([]byte(key[3:])), o.Code, o.Height)
		}
	}
	return ""
}

// factWords reads a leaf with a history: what it says, and since when.
func factWords[T any](facts *evidence.Facts, raw []byte, words func(*T) string) string {
	var leaf registry.Leaf
	fact := new(T)
	if registry.Decode(raw, &leaf) != nil || registry.Decode(leaf.Fact, fact) != nil {
		return ""
	}
	text := words(fact) + ", since " + block(facts, leaf.Since)
	if leaf.Until > 0 {
		text += " until " + block(facts, leaf.Until)
	}
	return text
}

// block dates a height where the Evidence can.
func block(facts *evidence.Facts, height uint64) string {
	if height == 0 {
		return "the beginning"
	}
	if t, err := facts.TimeOf(height); err == nil {
		return fmt.Sprintf("block %d (%s)", height, t.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("block %d", height)
}

func sayDID(facts *evidence.Facts, parts []string, raw []byte) string {
	id := parts[1]
	switch parts[2] {
	case "did":
		return factWords(facts, raw, func(f *registry.DIDFact) string {
			switch {
			case f.Deactivated != 0:
				return id + " is deactivated"
			case f.Frozen != 0:
				return id + " is frozen"
			}
			return fmt.Sprintf("%s has the keys %s", id, strings.Join(f.Keys, ", "))
		})
	case "key":
		return factWords(facts, raw, func(f *registry.KeyFact) string {
			text := fmt.Sprintf("the key %s of %s is for %s", parts[3], id, f.Use)
			if f.Retired != 0 {
				text += ", retired in " + block(facts, f.Retired)
			}
			if f.CompromisedFrom != 0 {
				text += ", compromised from " + stamp(f.CompromisedFrom) + " on"
			}
			if f.HeldUntil != 0 {
				text += ", suspended in an emergency until " + stamp(f.HeldUntil)
			}
			return text
		})
	case "accr":
		if len(parts) < 5 {
			return ""
		}
		return factWords(facts, raw, func(f *registry.AccreditationFact) string {
			return fmt.Sprintf("accreditation %s of %s for %s (%s) is %s", parts[4], id, parts[3], span(f.From, f.Until), standing(f, facts.Head().KnownAt))
		})
	case "reg":
		return factWords(facts, raw, func(f *registry.RegistrationFact) string {
			return fmt.Sprintf("%s (%s) is registered for %s, %s", id, names(f.Name), parts[3], span(f.From, f.Until))
		})
	case "status":
		return factWords(facts, raw, func(f *registry.StatusFact) string {
			return fmt.Sprintf("status epoch %d of %s, issued at %s", f.Sequence, id, stamp(f.IssuedAt))
		})
	}
	return ""
}

// standing of an accreditation at a moment.
func standing(f *registry.AccreditationFact, at time.Time) string {
	t := at.Unix()
	switch {
	case f.Suspended && f.Lapses != 0 && t < f.Lapses:
		return "suspended in an emergency until " + stamp(f.Lapses)
	case f.SuspendedAt(t):
		return "suspended"
	case t < f.From:
		return "not in force yet"
	case f.Until != 0 && t >= f.Until:
		return "ended"
	}
	return "in force"
}

func sayGovernance(facts *evidence.Facts, parts []string, raw []byte) string {
	if len(parts) < 3 {
		return ""
	}
	switch parts[1] {
	case "member":
		return factWords(facts, raw, func(f *registry.MemberFact) string {
			if f.Removed != 0 {
				return fmt.Sprintf("%s (%s) is a member no more", parts[2], names(f.Name))
			}
			return fmt.Sprintf("%s (%s) is a member", parts[2], names(f.Name))
		})
	case "params":
		return factWords(facts, raw, func(f *registry.ParamsFact) string {
			text := fmt.Sprintf("%s: %d members, %d decide", f.ChainID, f.Members, f.Threshold)
			for _, c := range registry.ChangedParams(&registry.ParamsFact{}, f) {
				text += ", " + c.Name + " " + paramValue(c.Unit, c.Is)
			}
			return text
		})
	case "validators":
		return factWords(facts, raw, func(f *registry.ValidatorsFact) string {
			var all []string
			for _, v := range f.Validators {
				all = append(all, fmt.Sprintf("%s of %s, site %s, power %d", base64.RawURLEncoding.EncodeToString(v.Key[:]), v.Operator, v.Site, v.Power))
			}
			return "validators: " + strings.Join(all, "; ")
		})
	case "misbehaviour":
		return factWords(facts, raw, func(f *registry.MisbehaviourFact) string {
			return fmt.Sprintf("the validator %s of %s signed twice at height %d: its power went from %d to %d", parts[2], f.Operator, f.Height, f.Power, f.Left)
		})
	}
	return ""
}

func sayProposal(facts *evidence.Facts, parts []string, raw []byte) string {
	switch {
	case len(parts) == 3 && parts[2] == "content":
		var content registry.ProposalContent
		if registry.Decode(raw, &content) != nil {
			return ""
		}
		op, err := content.Proposed()
		if err != nil {
			return ""
		}
		return fmt.Sprintf("proposal %s: %s", parts[1], operationWords(&op.Operation))
	case len(parts) == 4 && parts[2] == "vote":
		var vote registry.VoteFact
		if registry.Decode(raw, &vote) != nil {
			return ""
		}
		word := "against"
		if vote.Approve {
			word = "for"
		}
		return fmt.Sprintf("%s voted %s proposal %s in %s", parts[3], word, parts[1], block(facts, vote.Height))
	case len(parts) == 3:
		return factWords(facts, raw, func(f *registry.ProposalFact) string {
			return fmt.Sprintf("proposal %s of %s is %s, votes for it: %s", parts[1], f.Proposer, f.State, strings.Join(f.Yes, ", "))
		})
	}
	return ""
}
