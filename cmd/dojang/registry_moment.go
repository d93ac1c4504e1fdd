package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/evidence/entry"
	"github.com/dojang-id/dojang/registry/light"
)

// An answered question: was this in force at T, as known at K?
type answered struct {
	Subject string    `json:"subject"`
	At      time.Time `json:"at"`
	Known   time.Time `json:"known"`
	Shown   bool      `json:"shown"` // false: the Evidence was not made for these moments
	InForce bool      `json:"in_force"`
	Status  string    `json:"status,omitempty"` // of an entry of a status list
	Says    string    `json:"says"`
}

// answers to a moment for everything that a query asks of its DID.
func answers(facts *evidence.Facts, q light.Query, m evidence.Moment) []answered {
	var out []answered
	add := func(subject string, inForce bool, err error, detail string) {
		a := answered{Subject: visible(subject), At: m.At, Known: m.Known, Shown: true, InForce: inForce}
		if a.Known.IsZero() {
			a.Known = facts.Head().KnownAt
		}
		if a.At.IsZero() {
			a.At = a.Known
		}
		switch {
		case errors.Is(err, registry.ErrNotFound):
			a.Says = "was not on the chain"
		case err != nil:
			a.Shown, a.Says = false, "is not shown for these moments: ask again with --at and --known"
		case inForce:
			a.Says = "was in force" + detail
		default:
			a.Says = "was not in force" + detail
		}
		a.Says = fmt.Sprintf("%s %s, at %s as known at %s", a.Subject, visible(a.Says), stampOf(a.At), stampOf(a.Known))
		out = append(out, a)
	}
	for _, id := range q.Keys {
		key, in, err := facts.KeyAt(q.DID, id, m)
		add("the key "+q.DID.URL(id), in, err, keyInterval(key))
	}
	for _, vct := range q.Types {
		a, in, err := facts.AccreditationAt(q.DID, vct, m)
		detail := interval(a.From, a.Until)
		if a.Suspended {
			detail += ", suspended"
		}
		add(fmt.Sprintf("the accreditation of %s for %s", q.DID, vct), in, err, detail)
	}
	for _, purpose := range q.Purposes {
		r, in, err := facts.RegistrationAt(q.DID, purpose, m)
		add(fmt.Sprintf("the registration of %s for %s", q.DID, purpose), in, err, interval(r.From, r.Until))
	}
	if q.Status {
		epoch, err := facts.StatusEpochAt(q.DID, m)
		add(fmt.Sprintf("the status epoch of %s", q.DID), err == nil, err, fmt.Sprintf(" with number %d", epoch.Sequence))
	}
	if q.List != "" {
		out = append(out, entryAnswer(facts, q, m))
	}
	return out
}

// entryAnswer is what an entry of a status list was.
func entryAnswer(facts *evidence.Facts, q light.Query, m evidence.Moment) answered {
	a := answered{Subject: visible(fmt.Sprintf("entry %d of the status list %s", q.Entry, q.List)), At: m.At, Known: m.Known, Shown: true}
	if a.Known.IsZero() {
		a.Known = facts.Head().KnownAt
	}
	if a.At.IsZero() {
		a.At = a.Known
	}
	found, err := entry.At(facts, q.DID, statuslist.Reference{URI: q.List, Index: q.Entry}, m)
	says := "is not shown for these moments: ask again with --list, --index, --at and --known"
	switch {
	case err == nil:
		a.Status, a.InForce = found.Status.String(), found.Status.IsValid()
		says = fmt.Sprintf("was %s (status epoch %d, signed by %s)", found.Status, found.Epoch.Sequence, found.Epoch.Signer)
		if found.Epoch.Redated() {
			says = fmt.Sprintf("was %s (status epoch %d, signed by its second operator %s; in the issuer's own list it was %s)", found.Status, found.Epoch.Sequence, found.Epoch.Signer, found.Base)
		}
	case errors.Is(err, registry.ErrNotFound):
		says = "was not on the chain"
	case errors.Is(err, statuslist.ErrIndex):
		says = "did not exist"
	default:
		a.Shown = false
		if errors.Is(err, entry.ErrShown) {
			says = "is not proven: the list shown is not that of the status epoch then"
		}
	}
	a.Says = fmt.Sprintf("%s %s, at %s as known at %s", a.Subject, visible(says), stampOf(a.At), stampOf(a.Known))
	return a
}

// askedEntry adds the entry of the list that an Evidence shows to the questions; no list is shown: an error.
func askedEntry(facts *evidence.Facts, questions []light.Query, index uint64) error {
	uri := entry.Shows(facts)
	for i := range questions {
		if q := &questions[i]; uri != "" && q.Status && strings.Contains(uri, "/"+q.DID.ID()+"/") {
			q.List, q.Entry = uri, index
			return nil
		}
	}
	return fmt.Errorf("%w: no status list is shown", errCheck)
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func interval(from, until time.Time) string {
	text := " (from " + stampOf(from)
	if !until.IsZero() {
		text += " until " + stampOf(until)
	}
	return text + ")"
}

func keyInterval(k registry.Key) string {
	text := " (active from " + stampOf(k.ActiveFrom)
	if !k.RetiredAt.IsZero() {
		text += ", retired " + stampOf(k.RetiredAt)
	}
	if !k.CompromisedFrom.IsZero() {
		text += ", compromised from " + stampOf(k.CompromisedFrom)
	}
	return text + ")"
}

// askedAbout are the questions that an Evidence can be asked: what its leaves are about.
func askedAbout(facts *evidence.Facts) []light.Query {
	network := evidence.HeadOf(facts, "").Network
	var out []light.Query
	of := func(id string) *light.Query {
		did := registry.DID("did:dojang:" + network + ":" + id)
		for i := range out {
			if out[i].DID == did {
				return &out[i]
			}
		}
		out = append(out, light.Query{DID: did})
		return &out[len(out)-1]
	}
	for _, key := range facts.Keys() {
		p := strings.Split(key, "/")
		if p[0] != "d" || len(p) < 4 || p[len(p)-1] != "latest" {
			continue
		}
		q := of(p[1])
		switch {
		case p[2] == "key" && len(p) == 5:
			q.Keys = append(q.Keys, p[3])
		case p[2] == "accr" && len(p) == 6 && !slices.Contains(q.Types, p[3]):
			q.Types = append(q.Types, p[3])
		case p[2] == "reg" && len(p) == 5:
			q.Purposes = append(q.Purposes, p[3])
		case p[2] == "status":
			q.Status = true
		}
	}
	return out
}

// provenHeader is a header that an Evidence proves without any validator key.
type provenHeader struct {
	Height uint64    `json:"height"`
	Hash   string    `json:"hash"`
	Time   time.Time `json:"time"`
}

func provenHeaders(facts *evidence.Facts, heights []uint64) []provenHeader {
	var out []provenHeader
	for _, h := range facts.Headers() {
		if heights == nil || slices.Contains(heights, h.Height) {
			out = append(out, provenHeader{Height: h.Height, Hash: fmt.Sprintf("%x", h.Hash), Time: h.Time})
		}
	}
	return out
}

func listMoment(as []answered, hs []provenHeader) string {
	var b strings.Builder
	for _, a := range as {
		fmt.Fprintf(&b, "  · %s\n", a.Says)
	}
	for _, h := range hs {
		fmt.Fprintf(&b, "  · block %d was made at %s and has the hash %s\n", h.Height, stampOf(h.Time), h.Hash)
	}
	return b.String()
}

// unanswered is an error when an Evidence does not show what it was asked.
func unanswered(as []answered) error {
	for _, a := range as {
		if !a.Shown {
			return fmt.Errorf("%w: %s", errCheck, a.Says)
		}
	}
	return nil
}
