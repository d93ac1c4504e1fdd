// Package entry answers for one entry of a status list out of a checked Evidence: what was it at T, as known at K?
//
// At is the function to use. Trusted is the Evidence, which was checked (evidence.Check); the part of it that shows the list is bound
// to it here: record, path and chunk must hash to the status epoch that the Evidence proves for the moment.
//
// It is a package of its own so that evidence itself needs no format.
package entry

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// An Answer is an entry at a moment, and the status epoch that says so. Where that was signed by the issuer's second status operator
// (Epoch.Redated), Base is what the issuer itself had said last, and Status is nothing better. Whether the accreditation named that
// operator, and the signer's key was not compromised, other facts of the Evidence tell (AccreditationAt, KeyAt).
type Answer struct {
	Status statuslist.Status
	Base   statuslist.Status
	Epoch  registry.StatusEpoch
}

// ErrShown: the Evidence shows a list, but not that of the epoch at that moment, or not the entry, or it was bent. It wraps
// registry.ErrUntrusted.
var ErrShown = fmt.Errorf("%w: the list shown is not that of the status epoch", registry.ErrUntrusted)

// At is the entry that ref names, in the list of an issuer, as it was at a moment. Errors: registry.ErrNotFound: the issuer had no
// status epoch then; registry.ErrUnavailable: not in here; ErrShown; statuslist.ErrIndex: the list had no such entry.
// Everything but an Answer means: unknown.
func At(f *evidence.Facts, issuer registry.DID, ref statuslist.Reference, m evidence.Moment) (Answer, error) {
	if !of(issuer, ref.URI) {
		return Answer{}, registry.ErrUnavailable
	}
	epoch, err := f.StatusEpochAt(issuer, m)
	if err != nil {
		return Answer{}, err
	}
	part := f.Status()
	if part == nil || part.Chunk == nil {
		return Answer{}, registry.ErrUnavailable
	}
	record, err := statuslist.VerifyRecord(epoch.Root, proofOf(part))
	if err != nil {
		return Answer{}, shown(err)
	}
	if record.URI != ref.URI {
		return Answer{}, registry.ErrUnavailable
	}
	a := Answer{Epoch: epoch}
	if a.Status, err = statuslist.VerifyChunk(record, part.Chunk, ref.Index); err != nil {
		return Answer{}, shown(err)
	}
	a.Base = a.Status
	if !epoch.Redated() {
		return a, nil
	}
	if part.Base == nil {
		return Answer{}, registry.ErrUnavailable
	}
	compared := statuslist.Redated{Record: record, BaseRoot: epoch.Base.Root, Base: proofOf(part.Base)}
	if err := compared.CheckEntry(ref.Index, a.Status, part.Base.Chunk); err != nil {
		return Answer{}, shown(err)
	}
	if part.Base.Chunk != nil { // otherwise both lists are the same, which CheckEntry has seen
		base, err := statuslist.VerifyRecord(epoch.Base.Root, proofOf(part.Base))
		if err == nil {
			a.Base, err = statuslist.VerifyChunk(base, part.Base.Chunk, ref.Index)
		}
		if err != nil {
			return Answer{}, shown(err)
		}
	}
	return a, nil
}

// of reports whether a URI is <status host>/<issuer DID id>/<list>: nobody speaks about another's list.
func of(issuer registry.DID, uri string) bool {
	end := strings.LastIndex(uri, "/")
	return end > 0 && strings.HasSuffix(uri[:end], "/"+issuer.ID())
}

// Shows is the list that an Evidence shows with a chunk, nothing of it verified; "": none.
func Shows(f *evidence.Facts) (uri string) {
	part := f.Status()
	if part == nil || part.Chunk == nil {
		return ""
	}
	r, err := statuslist.ParseRecord(part.Record)
	if err != nil {
		return ""
	}
	return r.URI
}

func shown(err error) error {
	if errors.Is(err, statuslist.ErrIndex) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrShown, err)
}

func proofOf(s *evidence.Status) statuslist.RecordProof {
	return statuslist.RecordProof{Record: s.Record, Path: s.Path, Index: s.Index, Size: s.Size}
}
