package evidence

import (
	"context"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Facts is what one checked Evidence says. It is a registry.Resolver: what it does not hold is registry.ErrUnavailable.
type Facts struct{}

var _ registry.Resolver = (*Facts)(nil)

// Head says under which header everything in here is proven.
func (f *Facts) Head() registry.Checked { return registry.Checked{} }

// HeadHash is the hash of that header.
func (f *Facts) HeadHash() [32]byte { return [32]byte{} }

// Get answers for one leaf key: its value, ErrNotFound when its absence is proven, ErrUnavailable otherwise.
func (f *Facts) Get(key []byte) ([]byte, error) { return nil, errTODO }

// TimeOf is the time of the header of a height: of the operations of the height before. ErrUnavailable when not in here.
func (f *Facts) TimeOf(height uint64) (time.Time, error) { return time.Time{}, errTODO }

// Outcome is what became of an operation. Errors: ErrNotFound, ErrUnavailable.
func (f *Facts) Outcome(operation registry.Hash) (registry.Outcome, error) {
	return registry.Outcome{}, errTODO
}

// Key implements registry.Resolver: the whole interval as known at the head; ErrNotFound before ActiveFrom.
func (f *Facts) Key(ctx context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	return registry.Key{}, registry.Checked{}, errTODO
}

// Accreditation implements registry.Resolver: the accreditation as it stood at that moment.
func (f *Facts) Accreditation(ctx context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	return registry.Accreditation{}, registry.Checked{}, errTODO
}

// Registration implements registry.Resolver.
func (f *Facts) Registration(ctx context.Context, did registry.DID, purpose string, at time.Time) (registry.Registration, registry.Checked, error) {
	return registry.Registration{}, registry.Checked{}, errTODO
}

// TypeDigest implements registry.Resolver.
func (f *Facts) TypeDigest(ctx context.Context, vct string) ([32]byte, registry.Checked, error) {
	return [32]byte{}, registry.Checked{}, errTODO
}

// StatusEpoch implements registry.Resolver.
func (f *Facts) StatusEpoch(ctx context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	return registry.StatusEpoch{}, registry.Checked{}, errTODO
}

// Status is the status list part of the Evidence: a record with its place in an epoch, and one chunk of the list.
// It is not yet checked against an epoch: StatusRecord does that. The zero Status: there is none.
func (f *Facts) Status() Status { return Status{} }
