package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// archive reads the archive of lists. An epoch that is neither there nor in the queue, though the cursor has passed it, would never
// be fetched: it is a violation; a missing one that is queued is none.
func (f *fsck) archive(ctx context.Context) error {
	row := Row{ID: "registry/archive"}
	dir := filepath.Join(f.home, "status")
	if _, err := os.Stat(filepath.Join(dir, archiveName+".db")); errors.Is(err, os.ErrNotExist) {
		f.rows = append(f.rows, row)
		return nil
	}
	a, err := openArchive(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	err = errors.Join(a.check(ctx, &row), f.forgotten(ctx, a, &row), a.close())
	f.rows = append(f.rows, row)
	return err
}

// check every object and every epoch: one look at each, whatever their number.
func (a *archive) check(ctx context.Context, row *Row) error {
	var fault error
	look := func(prefix byte, holds func(hash [32]byte, value []byte) (bool, error)) error {
		err := a.each([]byte{prefix}, func(key, value []byte) bool {
			row.Checked++
			good := len(key) == 33
			if good {
				good, fault = holds([32]byte(key[1:]), value)
			}
			if !good && fault == nil {
				row.Violations++
			}
			return fault == nil && ctx.Err() == nil
		})
		return errors.Join(err, fault)
	}
	return errors.Join(look('t', a.objectHolds), look('r', a.epochHolds))
}

func (a *archive) objectHolds(hash [32]byte, object []byte) (bool, error) {
	if sha256.Sum256(object) != hash || len(object) == 0 {
		return false, nil
	}
	if object[0] == 0 {
		return true, nil
	}
	if object[0] != 1 || len(object) != 65 {
		return false, nil
	}
	for at := 1; at < len(object); at += 32 {
		if here, err := a.hasObject([32]byte(object[at : at+32])); err != nil || !here {
			return false, err
		}
	}
	return true, nil
}

func (a *archive) epochHolds(root [32]byte, raw []byte) (bool, error) {
	records, err := epochRecords(raw, root)
	if err != nil {
		return false, nil
	}
	for _, raw := range records {
		r, err := statuslist.ParseRecord(raw)
		if err != nil {
			return false, nil
		}
		if !kept(r) {
			continue
		}
		if here, err := a.hasObject(r.Root); err != nil || !here {
			return false, err
		}
	}
	return true, nil
}

// forgotten holds cursors and queue against the chain.
func (f *fsck) forgotten(ctx context.Context, a *archive, row *Row) error {
	var issuers []registry.DID
	network, err := chainGenesis(f.stores.genesis)
	if err != nil {
		return nil // a row of its own says so
	}
	err = a.each([]byte{'c'}, func(key, _ []byte) bool {
		issuers = append(issuers, registry.DID("did:dojang:"+network.Network+":"+string(key[1:])))
		return true
	})
	if err != nil {
		return err
	}
	for _, d := range issuers {
		since, err := f.machine.AccreditedSince(d)
		if err != nil {
			row.Violations++
			continue
		}
		passed, err := a.cursor(d)
		if err != nil {
			return err
		}
		var fault error
		err = f.machine.ReplacedStatus(d, 0, func(l chain.StatusLeaf) bool {
			if l.Since >= passed || ctx.Err() != nil {
				return false
			}
			row.Checked++
			here, e1 := a.has(l.Root)
			queued, e2 := a.db.Has(queueKey(d, l.Since))
			if fault = errors.Join(e1, e2); fault == nil && !here && !queued && l.Until > since {
				row.Violations++
			}
			return fault == nil
		})
		if err = errors.Join(err, fault); err != nil {
			return err
		}
	}
	return nil
}
