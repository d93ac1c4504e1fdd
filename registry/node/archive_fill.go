package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// ArchivePath on a node's HTTP face gives other nodes what its archive has, by hash (Node.Archived).
const ArchivePath = "/v1/archive"

// MaxArchived is how much one request to ArchivePath may ask for: its URL stays below the 2 KiB that clients take.
const MaxArchived = 32

const (
	archivedBytes = 1 << 20 // of one answer, but for its last item
	maxArchive    = archivedBytes + maxRecords + 1<<10
	scanStep      = 1024 // leaves that are looked at in one go

	fillFirst = time.Second
	fillMost  = 10 * time.Minute
	fillLook  = 10 * time.Second // also without a new epoch
)

// fillerConfig of a filler; all are required but Peers.
type fillerConfig struct {
	Archive *archive
	Network string
	// Stored archives the lists that this node serves now, should they not be there.
	Stored func() error
	// Replaced are an issuer's status epochs on the chain but for the newest (chain.Machine.ReplacedStatus).
	Replaced func(issuer registry.DID, from uint64, f func(chain.StatusLeaf) bool) error
	// Since is the height at which an issuer was accredited first. Error: registry.ErrNotFound.
	Since func(issuer registry.DID) (uint64, error)
	Fetch Fetch
	Peers []string // HTTP faces
	Log   *slog.Logger
}

// A filler brings into the archive what the chain names and this node has not seen: it joined by a snapshot, or was off. Everything
// that it takes hashes to an epoch root of its own chain state. What nobody has stays in the queue.
type filler struct {
	cfg    fillerConfig
	cancel context.CancelFunc
	done   chan struct{}
	again  chan struct{}

	mu      sync.Mutex
	issuers map[registry.DID]bool // that ever had a status epoch

	// Of the goroutine alone:
	bad   map[string]bool   // peers that failed in this round
	large map[[32]byte]bool // epochs that bring too much: not asked for again
}

func newFiller(cfg fillerConfig) *filler {
	return &filler{cfg: cfg, done: make(chan struct{}), again: make(chan struct{}, 1), issuers: map[registry.DID]bool{}, large: map[[32]byte]bool{}}
}

func (f *filler) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	go func() {
		defer close(f.done)
		f.run(ctx)
	}()
}

func (f *filler) stop() {
	f.cancel()
	<-f.done
}

// wake looks at an issuer's epochs again. Never blocks.
func (f *filler) wake(issuer registry.DID) {
	f.mu.Lock()
	f.issuers[issuer] = true
	f.mu.Unlock()
	select {
	case f.again <- struct{}{}:
	default:
	}
}

func (f *filler) run(ctx context.Context) {
	wait := fillFirst
	var ask time.Time // when peers are asked again
	for ctx.Err() == nil {
		found, err := f.scan()
		if err != nil {
			f.cfg.Log.Warn("archive of lists: looking for what is missing", "err", err)
		}
		missing := &f.cfg.Archive.missing
		if found > 0 {
			wait, ask = fillFirst, time.Time{}
		}
		if missing.Load() > 0 && !time.Now().Before(ask) {
			got, err := f.round(ctx)
			if err != nil && ctx.Err() == nil {
				f.cfg.Log.Warn("archive of lists: not all that is missing could be had", "missing", missing.Load(), "err", err)
			}
			if got > 0 {
				wait = fillFirst
			}
			ask, wait = time.Now().Add(wait), min(2*wait, fillMost)
		}
		rest := fillLook
		if missing.Load() > 0 {
			rest = min(rest, time.Until(ask))
		}
		f.sleep(ctx, rest)
	}
}

// sleep for a while, until somebody wakes it, but not less than a moment.
func (f *filler) sleep(ctx context.Context, d time.Duration) {
	least := time.NewTimer(fillFirst)
	defer least.Stop()
	select {
	case <-ctx.Done():
		return
	case <-least.C:
	}
	most := time.NewTimer(d - fillFirst)
	defer most.Stop()
	select {
	case <-ctx.Done():
	case <-f.again:
	case <-most.C:
	}
}

// scan queues what is missing among the epochs that were not looked at yet, and counts it.
func (f *filler) scan() (found int, err error) {
	err = f.cfg.Stored()
	f.mu.Lock()
	issuers := make([]registry.DID, 0, len(f.issuers))
	for d := range f.issuers {
		issuers = append(issuers, d)
	}
	f.mu.Unlock()
	for _, d := range issuers {
		n, e := f.scanIssuer(d)
		found, err = found+n, errors.Join(err, e)
	}
	return found, err
}

func (f *filler) scanIssuer(d registry.DID) (found int, err error) {
	since, err := f.cfg.Since(d)
	if errors.Is(err, registry.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for {
		seen, n, err := f.scanStep(d, since)
		found += n
		if err != nil || seen < scanStep {
			return found, err
		}
	}
}

// scanStep looks at the next epochs; queue and cursor move in one write. What ended before the issuer was accredited is not kept.
func (f *filler) scanStep(d registry.DID, accredited uint64) (seen, found int, err error) {
	a := f.cfg.Archive
	from, err := a.cursor(d)
	if err != nil {
		return 0, 0, err
	}
	batch := a.db.NewBatch()
	defer batch.Close()
	var fault error
	err = f.cfg.Replaced(d, from, func(l chain.StatusLeaf) bool {
		seen, from = seen+1, l.Since+1
		here := l.Until <= accredited
		if !here {
			here, fault = a.has(l.Root)
		}
		if fault == nil && !here {
			found++
			fault = batch.Set(queueKey(d, l.Since), l.Root[:])
		}
		return fault == nil && seen < scanStep
	})
	if err = errors.Join(err, fault); err != nil || seen == 0 {
		return 0, 0, err
	}
	if err := batch.Set(cursorKey(d), binary.BigEndian.AppendUint64(nil, from)); err != nil {
		return 0, 0, err
	}
	if err := batch.WriteSync(); err != nil {
		return 0, 0, fmt.Errorf("write archive of lists: %w", err)
	}
	a.missing.Add(int64(found))
	return seen, found, nil
}

// cursor is the height below which an issuer's epochs were looked at.
func (a *archive) cursor(d registry.DID) (uint64, error) {
	raw, err := a.db.Get(cursorKey(d))
	if err != nil {
		return 0, fmt.Errorf("read archive of lists: %w", err)
	}
	if len(raw) != 8 {
		return 0, nil
	}
	return binary.BigEndian.Uint64(raw), nil
}

// A wanted epoch stands in the queue.
type wanted struct {
	key  []byte
	root [32]byte
}

func (w wanted) issuer(network string) string {
	return "did:dojang:" + network + ":" + string(w.key[len(queuePrefix):len(w.key)-8])
}

// queued are the first epochs of the queue after a key.
func (a *archive) queued(after []byte, most int) (out []wanted, err error) {
	it, err := a.db.Iterator(append(slices.Clone(after), 0), []byte{queuePrefix[0] + 1})
	if err != nil {
		return nil, fmt.Errorf("read archive of lists: %w", err)
	}
	defer it.Close()
	for ; it.Valid() && len(out) < most; it.Next() {
		if len(it.Value()) == 32 {
			out = append(out, wanted{key: slices.Clone(it.Key()), root: [32]byte(it.Value())})
		}
	}
	return out, it.Error()
}
