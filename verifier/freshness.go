package verifier

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// statusAsk is what the policy wants to know.
type statusAsk struct {
	spec   statusSpec
	now    time.Time
	maxAge time.Duration // of registry facts
}

// A statusFinding is what is known of one credential's status.
type statusFinding struct {
	word    string // "valid", "none", …; "" unknown
	asOf    time.Time
	epoch   uint64
	note    string // meaning of an accepted NEEDS_RENEWAL
	small   bool   // the list is so short that it identifies people (THREATS C10)
	finding *finding
}

// A statement is one source's word about one entry.
type statement struct {
	value statuslist.Status
	asOf  time.Time // min(time of the newest checked header that shows the epoch as latest, next_update)
	epoch uint64
	root  [32]byte // of the epoch; zero: the entry's list is not anchored
	small bool
	// behind says why a newer epoch or its list could not be had; nil: there is none newer.
	behind error
}

// smallList: with fewer entries a list points at people.
const smallList = 10_000

// status finds the newest statement about a credential: own list, stapled chunk, registry nodes, then once the status
// host; never the issuer. A revocation that any source proves counts, however old: it is final.
func (v *Verifier) status(ctx context.Context, facts sources, c verified, ask statusAsk) statusFinding {
	ref, ok := c.token.Status()
	if !ok {
		if ask.spec.Required {
			return statusFinding{finding: found(ReasonStatusInvalid, errors.New("credential has no status"))}
		}
		return statusFinding{word: "none"}
	}
	if !listOf(ref.URI, c.issuer) {
		return statusFinding{finding: found(ReasonStatusUnavailable, errors.New("status list is not under the accredited host"))}
	}
	stapled, stapledErr := stapledStatus(ctx, facts, c.issuer.did, c.token.VCT(), ref)
	own, ownErr := v.lists.status(ctx, listAsk{facts: facts, by: c.issuer, vct: c.token.VCT(), ref: ref, now: ask.now, maxAge: ask.maxAge, haveStaple: stapledErr == nil, stapled: stapled.epoch})
	if stapledErr != nil && ownErr != nil {
		return statusFinding{finding: statusError(ownErr)}
	}
	if stapledErr == nil && ownErr == nil && own.epoch == stapled.epoch && own.root != stapled.root && own.root != [32]byte{} {
		v.own.conflicts.Add(1)
		return statusFinding{finding: found(ReasonTrust, errContradiction)}
	}
	best := own
	if ownErr != nil || (stapledErr == nil && own.value != statuslist.Revoked && (stapled.value == statuslist.Revoked || newer(stapled, own))) {
		best = stapled
	}
	return ask.judge(best, c.token.VCT())
}

func newer(a, b statement) bool {
	return a.epoch > b.epoch || (a.epoch == b.epoch && a.asOf.After(b.asOf))
}

// judge turns a statement into a finding: bad news counts at any age, good news only when it is young enough.
func (ask statusAsk) judge(s statement, vct string) statusFinding {
	out := statusFinding{word: s.value.String(), asOf: s.asOf, epoch: s.epoch, small: s.small}
	switch s.value {
	case statuslist.Valid:
	case statuslist.Revoked:
		out.finding = found(ReasonRevoked, nil)
	case statuslist.Suspended:
		out.finding = found(ReasonSuspended, nil)
	case statuslist.NeedsRenewal:
		out.note = renewalCode(vct)
		if !ask.accepts("NEEDS_RENEWAL") || out.note == "" {
			out.finding = &finding{reason: ReasonNeedsRenewal, detail: out.note}
		}
	default:
		// A value that nobody defined means not valid, never valid (TSL section 7, C14).
		out.finding = found(ReasonStatusInvalid, errors.New("status value is not known"))
	}
	if out.finding == nil && (ask.now.Sub(s.asOf) > ask.spec.MaxAge || s.asOf.Sub(ask.now) > clockDrift) {
		out.finding = found(ReasonStatusUnavailable, errors.New("status is not of an age that the policy allows"))
	}
	return out
}

func (ask statusAsk) accepts(word string) bool {
	return slices.Contains(ask.spec.Accept, word)
}

// renewalCode is what status 3 means for the type; "" for a type that is not ours: not valid then.
func renewalCode(vct string) string {
	if t, ok := schemas.Lookup(vct); ok {
		return t.Renewal.Code
	}
	return ""
}

// listOf: the URI is <status host of the accreditation>/<issuer's id>/<number>, nothing more: no query, no other path.
// Anything else could be a way to watch the holder (C09, C10) or a question about the past (C18).
func listOf(uri string, by issuer) bool {
	host := by.accreditation.StatusHost
	if host == "" {
		return false
	}
	number, ok := strings.CutPrefix(uri, strings.TrimSuffix(host, "/")+"/"+by.did.ID()+"/")
	if !ok || number == "" || len(number) > 10 {
		return false
	}
	for i := range len(number) {
		if number[i] < '0' || number[i] > '9' {
			return false
		}
	}
	return true
}

func statusError(err error) *finding {
	if errors.Is(err, statuslist.ErrInvalid) {
		return found(ReasonStatusInvalid, err)
	}
	return found(ReasonStatusUnavailable, err)
}

// errNoChunk: Evidence without the holder's chunk says nothing about the status, certainly not "valid".
var errNoChunk = errors.New("verifier: no status chunk stapled")

// stapledStatus reads the holder's own chunk under the epoch that the same Evidence proves.
func stapledStatus(ctx context.Context, facts sources, did registry.DID, vct string, ref sdjwt.StatusRef) (statement, error) {
	s := facts.staple
	if s == nil {
		return statement{}, errNoChunk
	}
	part := s.Status()
	if part == nil || len(part.Record) == 0 || len(part.Chunk) == 0 {
		return statement{}, errNoChunk
	}
	epoch, known, err := s.StatusEpoch(ctx, did)
	if err == nil {
		err = facts.vet(ctx, epoch)
	}
	if err != nil {
		return statement{}, err
	}
	record, err := statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: part.Record, Path: part.Path, Index: part.Index, Size: part.Size})
	if err != nil {
		return statement{}, err
	}
	if record.URI != ref.URI {
		return statement{}, statuslist.ErrSubject
	}
	value, err := statuslist.VerifyChunk(record, part.Chunk, ref.Index)
	if err == nil && epoch.Redated() {
		err = stapledRedated(ctx, facts, redatedEntry{issuer: did, vct: vct, epoch: epoch, record: record, index: ref.Index, value: value, base: part.Base})
	}
	if err != nil {
		return statement{}, err
	}
	return statement{value: value, asOf: asOf(epoch, known), epoch: epoch.Sequence, root: epoch.Root, small: record.Length < smallList}, nil
}

// asOf: withholding newer headers or lists can only make this older (DESIGN 6.4).
func asOf(e registry.StatusEpoch, known registry.Checked) time.Time {
	if e.NextUpdate.Before(known.KnownAt) {
		return e.NextUpdate
	}
	return known.KnownAt
}
