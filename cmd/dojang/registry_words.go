package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// operationWords says in one sentence what an operation does, from what is signed and nothing else.
func operationWords(o *registry.Operation) string {
	switch b := o.Body.(type) {
	case *registry.ProposeBody:
		op, err := b.Proposed()
		if err != nil {
			return "propose something unreadable"
		}
		return fmt.Sprintf("%s proposes on %s: %s", b.Member, o.ChainID, operationWords(&op.Operation))
	case *registry.VoteBody:
		return voteWords(b, "SHA-256 "+hex.EncodeToString(b.Proposal[:]))
	case *registry.EmergencyBody:
		if b.Key != "" {
			return fmt.Sprintf("suspend the key %s at once", o.DID.URL(b.Key))
		}
		return fmt.Sprintf("suspend accreditation %d of %s for %s at once", b.N, o.DID, b.Type)
	case *registry.MemberAddBody, *registry.MemberRemoveBody, *registry.MemberKeysBody, *registry.ValidatorBody, *registry.ThresholdBody, *registry.ParamsBody, *registry.UpgradeBody:
		return consortiumWords(b)
	case *registry.AccreditBody, *registry.SuspendBody, *registry.ResumeBody, *registry.EndBody, *registry.RegisterBody, *registry.TypeDigestBody:
		return grantWords(o)
	case *registry.RetireBody:
		return fmt.Sprintf("retire the key %s", o.DID.URL(b.ID))
	case *registry.CompromiseBody:
		return fmt.Sprintf("declare the key %s compromised from %s on", o.DID.URL(b.ID), stamp(b.From))
	case *registry.DeactivateBody:
		return fmt.Sprintf("deactivate %s for good", o.DID)
	case *registry.RecoverBody:
		return fmt.Sprintf("give %s new control keys (%s)", o.DID, b.Op.Hash())
	case *registry.CreateBody:
		return "create an identifier"
	}
	return fmt.Sprintf("%s of %s", o.Body.Kind(), o.DID)
}

func voteWords(b *registry.VoteBody, about string) string {
	word := "against"
	if b.Approve {
		word = "for"
	}
	return fmt.Sprintf("%s votes %s proposal %d: %s", b.Member, word, b.N, about)
}

// consortiumWords are about members and validators.
func consortiumWords(body registry.Body) string {
	switch b := body.(type) {
	case *registry.MemberAddBody:
		return fmt.Sprintf("add the member %s (%s), governance key %s, gateway key %s", b.ID, names(b.Name), b.Key.Hash(), b.Sponsor.Hash())
	case *registry.MemberRemoveBody:
		return "remove the member " + b.ID
	case *registry.MemberKeysBody:
		text := "give the member " + b.ID + " new keys"
		if b.Key != nil {
			text += ", governance key " + b.Key.Hash().String()
		}
		if b.Sponsor != nil {
			text += ", gateway key " + b.Sponsor.Hash().String()
		}
		return text
	case *registry.ValidatorBody:
		key := base64.RawURLEncoding.EncodeToString(b.Key[:])
		if b.Power == 0 {
			return "remove the validator " + key
		}
		return fmt.Sprintf("give the validator %s of %s, site %s, the power %d", key, b.Operator, b.Site, b.Power)
	case *registry.ThresholdBody:
		return fmt.Sprintf("let %d members decide", b.K)
	case *registry.ParamsBody:
		var set []string
		for _, c := range b.Changes(&registry.ParamsFact{}) {
			set = append(set, c.Name+" to "+paramValue(c.Unit, c.Is))
		}
		return "set " + strings.Join(set, ", ")
	case *registry.UpgradeBody:
		return fmt.Sprintf("put version %d of the rules in force from block %d on", b.Version, b.Height)
	}
	return ""
}

// paramValue is a parameter with its unit.
func paramValue(unit registry.ParamUnit, n uint64) string {
	switch unit {
	case registry.UnitSeconds:
		return (time.Duration(n) * time.Second).String()
	case registry.UnitMilliseconds:
		return (time.Duration(n) * time.Millisecond).String()
	case registry.UnitOperations:
		if n == 0 {
			return "no limit"
		}
	case registry.UnitMembers:
		if n == 0 {
			return "none"
		}
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// grantWords are about who may issue and who may ask.
func grantWords(o *registry.Operation) string {
	switch b := o.Body.(type) {
	case *registry.AccreditBody:
		text := fmt.Sprintf("accredit %s for %s (%d), legal basis %s, %s", o.DID, b.Type, b.N, strings.Join(b.Basis, ", "), span(b.From, b.Until))
		if b.Host != "" {
			text += ", status lists at " + b.Host
		}
		if b.Operator != "" {
			text += ", second status operator " + string(b.Operator)
		}
		for _, root := range b.Roots {
			text += ", X.509 root " + hex.EncodeToString(root[:])
		}
		return text
	case *registry.SuspendBody:
		return fmt.Sprintf("suspend accreditation %d of %s for %s", b.N, o.DID, b.Type)
	case *registry.ResumeBody:
		return fmt.Sprintf("lift the suspension of accreditation %d of %s for %s", b.N, o.DID, b.Type)
	case *registry.EndBody:
		return fmt.Sprintf("end accreditation %d of %s for %s at %s", b.N, o.DID, b.Type, stamp(b.Until))
	case *registry.RegisterBody:
		var claims []string
		for _, vct := range slices.Sorted(maps.Keys(b.Claims)) {
			claims = append(claims, strings.Join(b.Claims[vct], ", ")+" of "+vct)
		}
		return fmt.Sprintf("register %s (%s) for %s (%s): %s; legal basis %s, kept %d days, %s", o.DID, names(b.Name), b.Purpose, names(b.Text),
			strings.Join(claims, "; "), strings.Join(b.Basis, ", "), b.Retention, span(b.From, b.Until))
	case *registry.TypeDigestBody:
		return fmt.Sprintf("fix the metadata of %s: SHA-256 %s", b.Type, hex.EncodeToString(b.Digest[:]))
	}
	return ""
}

// names are all languages of a text, Korean first.
func names(m map[string]string) string {
	var out []string
	if ko, ok := m["ko"]; ok {
		out = append(out, ko)
	}
	for _, tag := range slices.Sorted(maps.Keys(m)) {
		if tag != "ko" {
			out = append(out, m[tag])
		}
	}
	return strings.Join(out, ", ")
}

func stamp(s int64) string { return time.Unix(s, 0).UTC().Format(time.RFC3339) }

func span(from, until int64) string {
	if until == 0 {
		return "from " + stamp(from) + " on"
	}
	return "from " + stamp(from) + " until " + stamp(until)
}

// visible keeps text of others from steering a terminal.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, text)
}
