package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// baseOf is the issuer's own newest epoch: what is stored, or what the source has.
func baseOf(ctx context.Context, epoch registry.StatusEpoch, old *issuerLists, from ListSource) (*storedEpoch, error) {
	base := epoch.Base
	if old != nil {
		for _, have := range []*storedEpoch{&old.stored, old.stored.Base} {
			if have != nil && have.Sequence == base.Sequence && [32]byte(have.Root) == base.Root {
				out := *have
				out.Base, out.Signer = nil, base.Signer
				return &out, nil
			}
		}
	}
	records, err := from.Records(ctx, true)
	if err != nil {
		return nil, fmt.Errorf("lists that an operator went on from: %w", err)
	}
	return &storedEpoch{Issuer: string(epoch.Issuer), Sequence: base.Sequence, IssuedAt: base.IssuedAt.Unix(), Root: base.Root[:], Records: records, Signer: base.Signer}, nil
}

// compareLists holds an epoch's lists against the issuer's own and against what is served now: an operator makes nothing
// better, and nobody takes a revocation back.
func (s *StatusStore) compareLists(dir string, old, now *issuerLists) error {
	redated := now.stored.Base != nil
	if redated && !statuslist.SameLists(now.base, now.lists) {
		return fmt.Errorf("%w: an operator's lists are not the issuer's", ErrRollback)
	}
	compare := statuslist.CheckFinal
	if redated {
		compare = statuslist.CheckWorse
	}
	before := [][]statuslist.Record{now.base}
	if old != nil {
		before = append(before, old.lists)
	}
	for _, lists := range before {
		for _, b := range lists {
			at := slices.IndexFunc(now.lists, func(r statuslist.Record) bool { return r.URI == b.URI })
			if at < 0 { // its URI stands in credentials; and it would come back without its revocations
				return fmt.Errorf("%w: a list is gone", ErrRollback)
			}
			if now.lists[at].Root == b.Root && now.lists[at].Length == b.Length {
				continue
			}
			if err := s.compareList(dir, b, now.lists[at], compare); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *StatusStore) compareList(dir string, before, after statuslist.Record, compare func(before, after statuslist.Values) error) error {
	var values [2]statuslist.Values
	for i, r := range []statuslist.Record{before, after} {
		var err error
		if values[i], err = s.readValues(dir, r); err != nil {
			return fmt.Errorf("compare status lists: %w", err)
		}
	}
	if err := compare(values[0], values[1]); err != nil {
		return fmt.Errorf("%w: %w", ErrRollback, err)
	}
	return nil
}

// readValues of a list from a stored token; every token of a record says the same as its root.
func (s *StatusStore) readValues(dir string, r statuslist.Record) (statuslist.Values, error) {
	mediaType, digest := StatusJWT, r.Tokens.JWT
	if digest == [32]byte{} {
		mediaType, digest = StatusCWT, r.Tokens.CWT
	}
	token, err := os.ReadFile(filepath.Join(dir, hex.EncodeToString(digest[:])))
	if err != nil {
		return statuslist.Values{}, err
	}
	return s.unpack(r, mediaType, token)
}

func (s *StatusStore) unpack(r statuslist.Record, mediaType string, token []byte) (statuslist.Values, error) {
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	return r.Read(mediaType, token)
}

// checkToken refuses a token that says something else than the record that names it: readers of the list and of an Evidence would be
// told two things.
func (s *StatusStore) checkToken(r statuslist.Record, mediaType string, token []byte) error {
	_, err := s.unpack(r, mediaType, token)
	return err
}
