package console

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Words is what a proposal does, in words: one sentence, and line by line what it changes.
type Words struct {
	Sentence string
	Lines    []line
	Changes  bool // lines have a before
}

// A line says what something was and what it becomes; Was is empty where there was nothing.
type line struct {
	Label   string // a text's key
	Was, Is []field
	Same    bool
}

// words of an operation that members decide.
func (f *face) words(p ProposalDetail) Words {
	b := p.Before
	switch body := p.Body.(type) {
	case *registry.AccreditBody:
		key := "do.accredit"
		if p.Seq > 0 {
			key = "do.amend"
		}
		is := Accreditation{N: body.N, Operator: body.Operator, Accreditation: registry.Accreditation{LegalBasis: body.Basis, StatusHost: body.Host,
			From: seconds(body.From), Until: seconds(body.Until)}}
		for _, r := range body.Roots {
			is.Roots = append(is.Roots, r[:])
		}
		return changes(f.about(key, body.Type), accreditationLines(b.Accreditation), accreditationLines(&is))
	case *registry.SuspendBody:
		return f.stateWords("do.suspend", body.Type, b.Accreditation, "accr.suspended")
	case *registry.ResumeBody:
		return f.stateWords("do.resume", body.Type, b.Accreditation, "accr.inforce")
	case *registry.EndBody:
		w := Words{Sentence: f.about("do.end", body.Type), Lines: []line{{Label: "until", Is: []field{{Time: seconds(body.Until)}}}}}
		if b.Accreditation != nil {
			w.Lines[0].Was, w.Changes = end(b.Accreditation.Until), true
		}
		return w
	case *registry.RegisterBody:
		is := Registration{Registration: registry.Registration{Name: body.Name, PurposeText: body.Text, Claims: body.Claims, LegalBasis: body.Basis,
			RetentionDays: int(body.Retention), From: seconds(body.From), Until: seconds(body.Until)}}
		return changes(f.t("do.register"), f.registrationLines(b.Registration), f.registrationLines(&is))
	}
	return f.rulesWords(p)
}

// rulesWords are those of members, validators, thresholds and keys.
func (f *face) rulesWords(p ProposalDetail) Words {
	text := func(label, s string) line { return line{Label: label, Is: []field{{Text: s}}} }
	switch body := p.Body.(type) {
	case *registry.TypeDigestBody:
		return Words{Sentence: f.about("do.type", body.Type), Lines: []line{{Label: "ty.digest", Is: []field{{Code: hex.EncodeToString(body.Digest[:])}}}}}
	case *registry.MemberAddBody:
		key, _ := body.Key.Multikey() // what was proposed encodes
		sponsor, _ := body.Sponsor.Multikey()
		return Words{Sentence: f.t("do.memberadd", body.ID), Lines: []line{{Label: "org", Is: []field{{Names: body.Name}}},
			{Label: "members.key", Is: []field{{Code: key}}}, {Label: "members.gateway.key", Is: []field{{Code: sponsor}}}}}
	case *registry.MemberRemoveBody:
		w := Words{Sentence: f.t("do.memberremove", body.ID)}
		if p.Before.Member != nil {
			w.Lines = []line{{Label: "org", Is: []field{{Names: p.Before.Member.Name}}}}
		}
		return w
	case *registry.MemberKeysBody:
		w := Words{Sentence: f.t("do.memberkeys", body.ID)}
		for _, k := range []struct {
			label string
			key   registry.PublicKey
		}{{"members.key", body.Key}, {"members.gateway.key", body.Sponsor}} {
			if key, err := k.key.Multikey(); err == nil {
				w.Lines = append(w.Lines, line{Label: k.label, Is: []field{{Code: key}}})
			}
		}
		return w
	case *registry.ValidatorBody:
		w := Words{Sentence: f.t(map[bool]string{true: "do.validatorremove", false: "do.validator"}[body.Power == 0]), Changes: true, Lines: []line{
			{Label: "val.power", Was: []field{{Text: f.t("n", p.Before.Power)}}, Is: []field{{Text: f.t("n", body.Power)}}},
			{Label: "val.name", Is: []field{{Code: short(hexUpper(body.Key[:]))}}}}}
		if body.Power > 0 {
			w.Lines = append(w.Lines, text("val.operator", body.Operator), text("val.site", body.Site))
		}
		return w
	case *registry.ParamsBody:
		return f.paramWords(body, p.Before.Params)
	case *registry.UpgradeBody:
		return Words{Sentence: f.t("do.upgrade", body.Version, body.Height)}
	case *registry.ThresholdBody:
		w := Words{Sentence: f.t("do.threshold", body.K), Lines: []line{{Label: "home.quorum", Is: []field{{Text: f.t("n", body.K)}}}}}
		if r := p.Before.Rules; r != nil {
			w.Lines[0] = line{Label: "home.quorum", Was: []field{{Text: f.t("home.kofn", r.Threshold, r.Members)}}, Is: []field{{Text: f.t("home.kofn", body.K, r.Members)}}}
			w.Changes = true
		}
		return w
	case *registry.RecoverBody:
		return Words{Sentence: f.t("do.recover")}
	case *registry.DeactivateBody:
		return Words{Sentence: f.t("do.deactivate")}
	case *registry.RetireBody:
		return Words{Sentence: f.t("do.retire", body.ID)}
	case *registry.CompromiseBody:
		return Words{Sentence: f.t("do.compromise", body.ID), Lines: []line{{Label: "key.compromised", Is: []field{{Time: seconds(body.From)}}}}}
	}
	return Words{Sentence: f.t("do.other")}
}

// paramWords are what a proposal sets, beside what it was where that is known.
func (f *face) paramWords(b *registry.ParamsBody, changes []registry.ParamChange) Words {
	w := Words{Sentence: f.t("do.params"), Changes: changes != nil}
	if changes == nil {
		changes = b.Changes(&registry.ParamsFact{})
	}
	for _, c := range changes {
		l := line{Label: "param." + c.Name, Is: []field{{Text: f.param(c.Unit, c.Is)}}}
		if w.Changes {
			l.Was, l.Same = []field{{Text: f.param(c.Unit, c.Was)}}, c.Was == c.Is
		}
		w.Lines = append(w.Lines, l)
	}
	return w
}

// param is a parameter's value with its unit.
func (f *face) param(unit registry.ParamUnit, n uint64) string {
	switch unit {
	case registry.UnitSeconds:
		if n == 0 {
			return f.t("gov.none")
		}
		return f.exactly(time.Duration(n) * time.Second)
	case registry.UnitMilliseconds:
		return f.exactly(time.Duration(n) * time.Millisecond)
	case registry.UnitMembers:
		if n == 0 {
			return f.t("none")
		}
	case registry.UnitOperations:
		if n == 0 {
			return f.t("gov.noquota")
		}
	}
	return grouped(n)
}

// about names a type in a sentence; its label is ours, or what is visible of a foreign name.
func (f *face) about(key, vct string) string { return f.t(key, f.docType(vct).Label) }

func (f *face) stateWords(key, vct string, was *Accreditation, is string) Words {
	w := Words{Sentence: f.about(key, vct), Lines: []line{{Label: "state", Is: []field{{Key: is}}}}}
	if was != nil {
		state := "accr.inforce"
		if was.Suspended && was.Lapses.IsZero() {
			state = "accr.suspended"
		} else if was.Suspended {
			state = "accr.emergency"
		}
		w.Lines[0].Was, w.Changes = []field{{Key: state}}, true
	}
	return w
}

func end(t time.Time) []field {
	if t.IsZero() {
		return []field{{Key: "open"}}
	}
	return []field{{Time: t}}
}

func accreditationLines(a *Accreditation) []line {
	if a == nil {
		return nil
	}
	out := []line{{Label: "since", Is: []field{{Time: a.From}}}, {Label: "until", Is: end(a.Until)}, {Label: "accr.basis", Is: []field{{Basis: a.LegalBasis}}}}
	if a.StatusHost != "" {
		out = append(out, line{Label: "accr.host", Is: []field{{Text: a.StatusHost}}})
	}
	if a.Operator != "" {
		out = append(out, line{Label: "accr.operator", Is: []field{{DID: a.Operator}}})
	}
	for _, r := range a.Roots {
		if i := len(out) - 1; out[i].Label == "accr.root" {
			out[i].Is = append(out[i].Is, field{Code: hex.EncodeToString(r)})
		} else {
			out = append(out, line{Label: "accr.root", Is: []field{{Code: hex.EncodeToString(r)}}})
		}
	}
	return out
}

func (f *face) registrationLines(g *Registration) []line {
	if g == nil {
		return nil
	}
	retention := field{Key: "ver.keepnone"}
	if g.RetentionDays > 0 {
		retention = field{Text: f.t("ver.days", g.RetentionDays)}
	}
	var claims []field
	for _, d := range f.items(g.Claims) {
		for _, it := range d.Items {
			claims = append(claims, field{Text: d.Type.Label + ": " + it.Label})
		}
	}
	return []line{{Label: "ver.name", Is: []field{{Names: g.Name}}}, {Label: "ver.purpose", Is: []field{{Names: g.PurposeText}}}, {Label: "ver.items", Is: claims},
		{Label: "accr.basis", Is: []field{{Basis: g.LegalBasis}}}, {Label: "ver.retention", Is: []field{retention}},
		{Label: "since", Is: []field{{Time: g.From}}}, {Label: "until", Is: end(g.Until)}}
}

// changes puts what was beside what is, line by line.
func changes(sentence string, was, is []line) Words {
	w := Words{Sentence: sentence, Lines: is, Changes: was != nil}
	for i := range w.Lines {
		for _, old := range was {
			if old.Label == w.Lines[i].Label {
				w.Lines[i].Was, w.Lines[i].Same = old.Is, slices.EqualFunc(old.Is, w.Lines[i].Is, sameField)
			}
		}
	}
	for _, old := range was { // what goes away
		if !slices.ContainsFunc(is, func(l line) bool { return l.Label == old.Label }) {
			w.Lines = append(w.Lines, line{Label: old.Label, Was: old.Is, Is: []field{{Key: "none"}}})
		}
	}
	return w
}

func sameField(a, b field) bool {
	names := len(a.Names) == len(b.Names)
	for k, v := range a.Names {
		names = names && b.Names[k] == v
	}
	return names && a.Text == b.Text && a.Key == b.Key && a.Time.Equal(b.Time) && a.VCT == b.VCT && a.Code == b.Code && a.DID == b.DID &&
		slices.Equal(a.Basis, b.Basis)
}
