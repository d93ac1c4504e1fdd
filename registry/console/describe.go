package console

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A shown fact is one leaf of a checked Evidence for people: what it is about, and its parts by the names of texts.
type shown struct {
	Kind   string // fact.<kind> of texts
	About  string
	Fields []field
}

// A field has a text's key as its label. One of the others is set.
type field struct {
	Label string
	Text  string
	Key   string // a text's
	Names map[string]string
	Time  time.Time
	VCT   string
	Code  string // a key, a hash
	DID   registry.DID
	Basis []string
}

// describe reads the leaves of an Evidence. A leaf that it cannot read is named and nothing more.
func describe(facts *evidence.Facts, network string) []shown {
	var out []shown
	for _, key := range facts.Keys() {
		value, err := facts.Get([]byte(key))
		if err != nil {
			continue
		}
		d := describer{facts: facts, key: key, value: value, network: network}
		out = append(out, d.shown())
	}
	return out
}

type describer struct {
	facts   *evidence.Facts
	key     string
	value   []byte
	network string
}

func (d *describer) shown() shown {
	family, old, kind := d.family()
	var s shown
	var err error
	switch kind {
	case "did":
		s, err = describeLeaf(d, func(f *registry.DIDFact) []field {
			return append([]field{{Label: "did.version", Text: fmt.Sprint(f.Seq)}}, d.at("dids.created", f.Created)...)
		})
	case "key":
		s, err = describeLeaf(d, d.keyFields)
	case "service":
		s, err = describeLeaf(d, func(f *registry.ServiceFact) []field {
			return []field{{Label: "type", Text: f.Type}, {Label: "did.endpoint", Text: f.Endpoint}}
		})
	case "accreditation":
		s, err = describeLeaf(d, func(f *registry.AccreditationFact) []field {
			out := append([]field{{Label: "type", VCT: family[3]}, {Label: "accr.basis", Basis: f.Basis}}, interval(f.From, f.Until, f.Suspended)...)
			if f.Lapses != 0 {
				out = append(out, field{Label: "em.until", Time: seconds(f.Lapses)})
			}
			return out
		})
	case "registration":
		s, err = describeLeaf(d, func(f *registry.RegistrationFact) []field {
			return append([]field{{Label: "ver.name", Names: f.Name}, {Label: "ver.purpose", Names: f.Text}}, interval(f.From, f.Until, false)...)
		})
	case "status":
		s, err = describeLeaf(d, func(f *registry.StatusFact) []field {
			return []field{{Label: "st.sequence", Text: fmt.Sprint(f.Sequence)}, {Label: "st.issued", Time: seconds(f.IssuedAt)},
				{Label: "st.next", Time: seconds(f.NextUpdate)}, {Label: "st.root", Code: hex.EncodeToString(f.Root[:])}}
		})
	case "type":
		s, err = describeLeaf(d, func(f *registry.TypeFact) []field {
			return []field{{Label: "type", VCT: family[1]}, {Label: "ty.digest", Code: hex.EncodeToString(f.Digest[:])}}
		})
	case "member":
		s, err = describeLeaf(d, func(f *registry.MemberFact) []field { return []field{{Label: "org", Names: f.Name}} })
	case "validators":
		s, err = describeLeaf(d, func(f *registry.ValidatorsFact) []field {
			var out []field
			for _, v := range f.Validators {
				out = append(out, field{Label: "val.name", Text: fmt.Sprintf("%s · %s · %d", v.Operator, v.Site, v.Power)})
			}
			return out
		})
	case "misbehaviour":
		s, err = describeLeaf(d, func(f *registry.MisbehaviourFact) []field {
			return []field{{Label: "val.operator", Text: f.Operator}, {Label: "mis.height", Text: fmt.Sprint(f.Height)}, {Label: "val.power", Text: fmt.Sprintf("%d → %d", f.Power, f.Left)}}
		})
	case "proposal":
		s, err = describeLeaf(d, d.proposalFields)
	case "round":
		s, err = describeLeaf(d, func(f *registry.RoundFact) []field {
			out := []field{{Label: "rd.until", Time: seconds(f.Until)}}
			if f.Closed != 0 {
				out = append(out, d.at("rd.closedat", f.Closed)...)
			}
			if f.Ended != 0 {
				out = append(out, d.at("rd.endedat", f.Ended)...)
			}
			return out
		})
	case "parameters":
		s, err = describeLeaf(d, func(f *registry.ParamsFact) []field {
			out := []field{{Label: "home.network", Text: f.ChainID}, {Label: "home.quorum", Text: fmt.Sprintf("%d / %d", f.Threshold, f.Members)}}
			for _, c := range registry.ChangedParams(&registry.ParamsFact{}, f) {
				out = append(out, field{Label: "param." + c.Name, Text: fmt.Sprintf("%d %s", c.Is, c.Unit)})
			}
			return out
		})
	default:
		s, err = d.plain(kind)
	}
	if err != nil {
		s = shown{}
		kind = "other"
	}
	s.Kind, s.About = kind, d.about(kind, family)
	if old {
		s.About += " (at/)"
	}
	return s
}

// family is the key's parts without the version, whether it is a replaced fact, and which kind of fact.
func (d *describer) family() (parts []string, old bool, kind string) {
	key := d.key
	if i := strings.LastIndex(key, "/at/"); i >= 0 && len(key) == i+len("/at/")+8 {
		key, old = key[:i], true
	}
	key = strings.TrimSuffix(key, "/latest")
	parts = strings.Split(key, "/")
	switch {
	case strings.HasPrefix(key, "op/"):
		return parts, false, "operation"
	case strings.HasPrefix(key, "anchor/"):
		return parts, false, "anchor"
	case key == "hdr/root":
		return parts, false, "headers"
	case len(parts) == 2 && key == "gov/params":
		return parts, old, "parameters"
	case len(parts) == 3 && strings.HasPrefix(key, "gov/member/"):
		return parts, old, "member"
	case len(parts) == 3 && strings.HasPrefix(key, misbehaviourPrefix):
		return parts, old, "misbehaviour"
	case len(parts) == 2 && parts[0] == "type":
		return parts, old, "type"
	case key == "gov/validators":
		return parts, old, "validators"
	case parts[0] == "prop" && len(parts) == 2:
		return parts, old, "proposal"
	case parts[0] == "prop" && len(parts) == 3 && parts[2] == "content":
		return parts, false, "content"
	case parts[0] == "prop" && len(parts) == 4 && parts[2] == "vote":
		return parts, false, "vote"
	case parts[0] == "d" && len(parts) == 6 && parts[2] == "round" && parts[5] == "tree":
		return parts, false, "tree"
	case parts[0] != "d" || len(parts) < 3:
		return parts, old, "other"
	}
	want := map[string]struct {
		kind string
		n    int
	}{"did": {"did", 3}, "key": {"key", 4}, "svc": {"service", 4}, "accr": {"accreditation", 5}, "reg": {"registration", 4}, "status": {"status", 3}, "round": {"round", 5}}[parts[2]]
	if want.n != len(parts) {
		return parts, old, "other"
	}
	return parts, old, want.kind
}

// about says whose fact it is.
func (d *describer) about(kind string, parts []string) string {
	switch kind {
	case "operation", "anchor":
		_, raw, _ := strings.Cut(d.key, "/")
		return hex.EncodeToString([]byte(raw))
	case "headers", "parameters", "validators":
		return ""
	case "proposal", "content":
		return "#" + parts[1]
	case "vote":
		return "#" + parts[1] + " " + parts[3]
	case "round", "tree":
		return "did:dojang:" + d.network + ":" + parts[1] + " " + parts[3] + " " + parts[4]
	case "did", "status", "accreditation":
		return "did:dojang:" + d.network + ":" + parts[1]
	case "key", "service", "registration":
		return "did:dojang:" + d.network + ":" + parts[1] + "#" + parts[3]
	case "member", "misbehaviour":
		return parts[2]
	case "type":
		return parts[1]
	}
	return visible(d.key)
}

func describeLeaf[T any](d *describer, fields func(*T) []field) (shown, error) {
	var leaf registry.Leaf
	if err := registry.Decode(d.value, &leaf); err != nil {
		return shown{}, err
	}
	fact := new(T)
	if err := registry.Decode(leaf.Fact, fact); err != nil {
		return shown{}, err
	}
	return shown{Fields: append(fields(fact), d.at("did.updated", leaf.Since)...)}, nil
}

func (d *describer) plain(kind string) (shown, error) {
	switch kind {
	case "operation":
		var o registry.OutcomeFact
		err := registry.Decode(d.value, &o)
		return shown{Fields: append([]field{{Label: "op.result", Text: string(o.Code)}}, d.at("op.at", o.Height)...)}, err
	case "anchor":
		var a registry.AnchorFact
		err := registry.Decode(d.value, &a)
		return shown{Fields: append([]field{{Label: "an.by", Text: "did:dojang:" + d.network + ":" + a.ID}}, d.at("an.at", a.Height)...)}, err
	case "content":
		var c registry.ProposalContent
		err := registry.Decode(d.value, &c)
		if err != nil {
			return shown{}, err
		}
		op, err := c.Proposed()
		if err != nil {
			return shown{}, err
		}
		return shown{Fields: []field{{Label: "pr.kind", Key: kindText(op.Kind())}, {Label: "op.hash", Code: hashText(op.Hash)}}}, nil
	case "vote":
		var v registry.VoteFact
		err := registry.Decode(d.value, &v)
		return shown{Fields: append([]field{{Label: "pr.vote", Key: voteText(v.Approve)}}, d.at("an.at", v.Height)...)}, err
	case "tree":
		var r registry.RoundTree
		err := registry.Decode(d.value, &r)
		return shown{Fields: []field{{Label: "rd.size", Text: fmt.Sprint(r.Size)}, {Label: "rd.root", Code: hex.EncodeToString(r.Root[:])}}}, err
	case "headers":
		var r registry.HeaderRoot
		err := registry.Decode(d.value, &r)
		return shown{Fields: []field{{Label: "blocks", Text: fmt.Sprintf("%d – %d", r.First, r.First+r.Size-1)}}}, err
	}
	return shown{}, nil
}

func (d *describer) proposalFields(f *registry.ProposalFact) []field {
	out := []field{{Label: "pr.kind", Key: kindText(f.Kind)}, {Label: "state", Key: proposalText(f.State)}, {Label: "pr.by", Text: f.Proposer}}
	if f.About != "" {
		out = append(out, field{Label: "pr.about", DID: f.About})
	}
	out = append(out, field{Label: "pr.opened", Time: seconds(f.Opened)})
	if len(f.Yes) > 0 {
		out = append(out, field{Label: "pr.yes", Text: strings.Join(f.Yes, ", ")})
	}
	if len(f.No) > 0 {
		out = append(out, field{Label: "pr.no", Text: strings.Join(f.No, ", ")})
	}
	if f.Due != 0 {
		out = append(out, field{Label: "pr.due", Time: seconds(f.Due)})
	}
	if f.Closed != 0 {
		out = append(out, d.at("pr.closed", f.Closed)...)
	}
	return out
}

func (d *describer) keyFields(f *registry.KeyFact) []field {
	out := []field{{Label: "key.use", Key: useText(f.Use)}}
	out = append(out, d.at("key.active", f.Active)...)
	if f.Retired != 0 {
		out = append(out, d.at("key.retired", f.Retired)...)
	}
	if f.CompromisedFrom != 0 {
		out = append(out, field{Label: "key.compromised", Time: seconds(f.CompromisedFrom)})
	}
	if f.Held != 0 {
		out = append(out, d.at("key.held", f.Held)...)
		out = append(out, field{Label: "em.until", Time: seconds(f.HeldUntil)})
	}
	return out
}

// at dates a height where the Evidence can; otherwise the height stands alone.
func (d *describer) at(label string, height uint64) []field {
	t, err := d.facts.TimeOf(height)
	if err != nil {
		return []field{{Label: label, Text: fmt.Sprintf("# %d", height)}}
	}
	return []field{{Label: label, Time: t}}
}

func interval(from, until int64, suspended bool) []field {
	out := []field{{Label: "since", Time: seconds(from)}}
	if until != 0 {
		out = append(out, field{Label: "until", Time: seconds(until)})
	}
	if suspended {
		out = append(out, field{Label: "state", Key: "accr.suspended"})
	}
	return out
}

func seconds(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}
