package node

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// archiveTo makes Put archive the lists of those issuers from now on; a nil archive ends that.
func (s *StatusStore) archiveTo(a *archive, keeps func(registry.DID) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archive, s.keeps = a, keeps
}

// archiveLists writes what an epoch brings into the archive, before it is served. What was served until now is there already, unless
// its issuer was accredited since.
func (s *StatusStore) archiveLists(dir string, old, now *issuerLists) error {
	s.mu.RLock()
	a, keeps := s.archive, s.keeps
	s.mu.RUnlock()
	if a == nil || !keeps(registry.DID(now.stored.Issuer)) {
		return nil
	}
	for _, l := range []*issuerLists{old, now} {
		if l == nil {
			continue
		}
		if err := s.archiveStored(a, dir, l); err != nil {
			return err
		}
	}
	return nil
}

func (s *StatusStore) archiveStored(a *archive, dir string, l *issuerLists) error {
	values := func(r statuslist.Record) (statuslist.Values, error) { return s.readValues(dir, r) }
	var failed error
	for _, e := range []*storedEpoch{l.stored.Base, &l.stored} {
		if e == nil {
			continue
		}
		err := a.keep(e, values)
		if errors.Is(err, errGrowth) { // served all the same; missing from when it is replaced on
			a.log.Error("ALARM: a status epoch is too large for the archive", "issuer", e.Issuer, "sequence", e.Sequence)
			err = nil
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// archiveAll archives what is served now of the issuers that are to be kept: an issuer may have been accredited after it published.
func (s *StatusStore) archiveAll() error {
	s.mu.RLock()
	a, keeps := s.archive, s.keeps
	lists := slices.Collect(maps.Values(s.issuers))
	s.mu.RUnlock()
	if a == nil {
		return nil
	}
	var failed error
	for _, l := range lists {
		if issuer := registry.DID(l.stored.Issuer); keeps(issuer) {
			failed = errors.Join(failed, s.archiveStored(a, filepath.Join(s.dir, issuer.ID()), l))
		}
	}
	return failed
}
