package node

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// ArchivePath on a node's HTTP face gives other nodes what its archive has, by hash (Node.Archived).
const ArchivePath = "/v1/archive"

// MaxArchived is how much one request to ArchivePath may ask for.
const MaxArchived = 64

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

// round asks the peers once for everything in the queue, and counts what came.
func (f *filler) round(ctx context.Context) (got int, err error) {
	f.bad = map[string]bool{}
	var failed error
	for after := queuePrefix; ; {
		epochs, err := f.cfg.Archive.queued(after, MaxArchived)
		if err != nil || len(epochs) == 0 || ctx.Err() != nil {
			return got, errors.Join(failed, err, ctx.Err())
		}
		after = epochs[len(epochs)-1].key
		n, err := f.bring(ctx, epochs)
		got += n
		failed = err // the newest says enough
		if len(f.bad) == len(f.cfg.Peers) {
			return got, errors.Join(failed, errors.New("no peer answers"))
		}
	}
}

// bring fetches epochs with all their lists.
func (f *filler) bring(ctx context.Context, epochs []wanted) (got int, err error) {
	var failed error
	left := slices.DeleteFunc(slices.Clone(epochs), func(w wanted) bool { return f.large[w.root] })
	for _, peer := range f.cfg.Peers {
		for len(left) > 0 && !f.bad[peer] && ctx.Err() == nil {
			records, err := f.records(ctx, peer, left)
			if err != nil {
				f.fail(peer, err)
				failed = errors.Join(failed, err)
				break
			}
			if len(records) == 0 {
				break // it has none of them
			}
			n, err := f.take(ctx, records)
			got, failed = got+n, errors.Join(failed, err)
			left = slices.DeleteFunc(slices.Clone(left), func(w wanted) bool {
				return slices.ContainsFunc(records, func(r archivedEpoch) bool { return string(r.key) == string(w.key) })
			})
		}
	}
	if got < len(epochs) && failed == nil {
		failed = errors.New("no peer has them")
	}
	return got, failed
}

// An archivedEpoch came from a peer and hashes to the root.
type archivedEpoch struct {
	wanted
	records [][]byte
	lists   []statuslist.Record
}

func (f *filler) records(ctx context.Context, peer string, epochs []wanted) ([]archivedEpoch, error) {
	roots := make([][32]byte, len(epochs))
	for i := range epochs {
		roots[i] = epochs[i].root
	}
	items, err := f.ask(ctx, peer, "root", roots)
	if err != nil {
		return nil, err
	}
	var out []archivedEpoch
	for i, raw := range items {
		if len(raw) == 0 {
			continue
		}
		e := archivedEpoch{wanted: epochs[i]}
		if e.records, err = epochRecords(raw, e.root); err == nil { // what no node takes from an issuer is not taken from a peer
			stored := storedEpoch{Issuer: e.issuer(f.cfg.Network), Root: e.root[:], Records: e.records}
			e.lists, err = stored.parse()
		}
		if err != nil {
			return nil, fmt.Errorf("records of an epoch: %w", err)
		}
		out = append(out, e)
	}
	return out, nil
}

// take fetches the lists of epochs whose records are here, and archives the epochs that are whole then.
func (f *filler) take(ctx context.Context, epochs []archivedEpoch) (got int, err error) {
	var trees []statuslist.Subtree
	for _, e := range epochs {
		for _, r := range e.lists {
			if t := r.Tree(); kept(r) && t.Bytes <= maxTree {
				trees = append(trees, t)
			}
		}
	}
	w := f.cfg.Archive.writer(f.cfg.Archive.growth * len(epochs))
	defer w.close()
	failed := f.below(ctx, w, trees)
	if errors.Is(failed, errGrowth) && len(epochs) > 1 { // one of them, perhaps: the others one by one
		for _, e := range epochs {
			n, err := f.take(ctx, []archivedEpoch{e})
			got, failed = got+n, errors.Join(failed, err)
		}
		return got, failed
	}
	if errors.Is(failed, errGrowth) {
		f.large[epochs[0].root] = true
		f.cfg.Log.Error("ALARM: a status epoch is too large for the archive", "issuer", epochs[0].issuer(f.cfg.Network))
	}
	for _, e := range epochs {
		whole, err := f.whole(e)
		if err == nil && whole {
			err = f.finish(e)
			got++
		}
		if err != nil {
			return got, errors.Join(failed, err)
		}
	}
	return got, failed
}

func (f *filler) whole(e archivedEpoch) (bool, error) {
	for _, r := range e.lists {
		if !kept(r) {
			continue
		}
		if here, err := f.cfg.Archive.hasObject(r.Root); err != nil || !here {
			return false, err
		}
	}
	return true, nil
}

// finish writes the records and takes the epoch out of the queue.
func (f *filler) finish(e archivedEpoch) error {
	a := f.cfg.Archive
	w := a.writer(a.growth + maxRecords)
	defer w.close()
	if err := w.batch.Delete(e.key); err != nil {
		return err
	}
	if err := w.epoch(e.root, e.records); err != nil {
		return err
	}
	a.missing.Add(-1)
	return nil
}

// below fetches what lies in subtrees, and writes every node after its parts. What no peer gives is left out, with all above it.
// It holds some objects for each level of a tree, whatever the size.
func (f *filler) below(ctx context.Context, w *writer, subtrees []statuslist.Subtree) error {
	var failed error
	for group := range slices.Chunk(subtrees, MaxArchived) {
		nodes, err := f.objects(ctx, w, group)
		failed = errors.Join(failed, err)
		if errors.Is(err, errGrowth) || ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
		var parts []statuslist.Subtree
		for _, n := range nodes {
			parts = append(parts, n.parts...)
		}
		if len(parts) == 0 {
			continue
		}
		if err := f.below(ctx, w, parts); err != nil {
			failed = err
			if errors.Is(err, errGrowth) || ctx.Err() != nil {
				return failed
			}
		}
		if err := f.join(w, nodes); err != nil {
			return err
		}
	}
	return failed
}

// A fetchedNode is an inner node whose parts may be missing yet.
type fetchedNode struct {
	hash   [32]byte
	object []byte
	parts  []statuslist.Subtree
}

// objects fetches the nodes of a group that are not here; chunks are written at once.
func (f *filler) objects(ctx context.Context, w *writer, group []statuslist.Subtree) ([]fetchedNode, error) {
	var left []statuslist.Subtree
	for _, s := range group {
		here, err := w.known(s.Hash)
		if err != nil {
			return nil, err
		}
		if !here && !slices.ContainsFunc(left, func(o statuslist.Subtree) bool { return o.Hash == s.Hash }) {
			left = append(left, s)
		}
	}
	var nodes []fetchedNode
	for _, peer := range f.cfg.Peers {
		if len(left) == 0 {
			break
		}
		if f.bad[peer] {
			continue
		}
		got, missing, err := f.from(ctx, peer, left)
		if err != nil {
			f.fail(peer, err)
		}
		for _, n := range got {
			if len(n.parts) > 0 {
				nodes = append(nodes, n)
			} else if err := w.object(n.hash, n.object); err != nil {
				return nil, err
			}
		}
		left = missing
	}
	if len(left) > 0 {
		return nodes, errors.New("no peer has some of the lists")
	}
	return nodes, w.flush("archive.fetched")
}

// from asks one peer; what does not hold ends its turn.
func (f *filler) from(ctx context.Context, peer string, left []statuslist.Subtree) (got []fetchedNode, missing []statuslist.Subtree, err error) {
	hashes := make([][32]byte, len(left))
	for i := range left {
		hashes[i] = left[i].Hash
	}
	items, err := f.ask(ctx, peer, "hash", hashes)
	if err != nil {
		return nil, left, err
	}
	for i, object := range items {
		if len(object) == 0 {
			missing = append(missing, left[i])
			continue
		}
		parts, e := left[i].Open(object)
		if e != nil {
			missing, err = append(missing, left[i]), fmt.Errorf("part of a list: %w", e)
			continue
		}
		got = append(got, fetchedNode{hash: left[i].Hash, object: object, parts: parts})
	}
	return got, missing, err
}

// join writes the nodes whose parts are here.
func (f *filler) join(w *writer, nodes []fetchedNode) error {
	for _, n := range nodes {
		whole := true
		for _, p := range n.parts {
			here, err := w.known(p.Hash)
			if err != nil {
				return err
			}
			whole = whole && here
		}
		if !whole {
			continue
		}
		if err := w.object(n.hash, n.object); err != nil {
			return err
		}
	}
	return w.flush("archive.fetched")
}

func (f *filler) fail(peer string, err error) {
	f.bad[peer] = true
	f.cfg.Log.Warn("archive of lists: a peer does not answer as it should", "peer", peer, "err", err)
}

// ask a peer for things of one kind; one item for each, empty where it does not have it.
func (f *filler) ask(ctx context.Context, peer, kind string, hashes [][32]byte) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	var url strings.Builder
	url.WriteString(peer + ArchivePath)
	sep := byte('?')
	for _, h := range hashes {
		url.WriteByte(sep)
		url.WriteString(kind + "=" + hex.EncodeToString(h[:]))
		sep = '&'
	}
	raw, err := f.cfg.Fetch(ctx, url.String(), "application/cbor", maxArchive)
	if err != nil {
		return nil, err
	}
	return parseArchived(raw, len(hashes))
}

// parseArchived is an answer to n hashes.
func parseArchived(raw []byte, n int) ([][]byte, error) {
	if len(raw) > maxArchive {
		return nil, registry.ErrLimit
	}
	var items [][]byte
	if err := strictCBOR.Unmarshal(raw, &items); err != nil || len(items) != n {
		return nil, registry.ErrMalformed
	}
	return items, nil
}

// Archived are records of epochs by their roots, and objects by their hashes (registry/README.md, "Archive of lists"), in that order; empty
// where this node does not have one, or the answer is full: then the rest is to be asked for again. Errors: ErrDown, registry.ErrLimit.
func (n *Node) Archived(roots, objects [][32]byte) ([][]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	if len(roots)+len(objects) > MaxArchived {
		return nil, registry.ErrLimit
	}
	out := make([][]byte, len(roots)+len(objects))
	size := 0
	for i := range out {
		if size > archivedBytes {
			break
		}
		var err error
		if i < len(roots) {
			out[i], err = r.archive.epoch(roots[i])
		} else {
			out[i], err = r.archive.object(objects[i-len(roots)])
		}
		if err != nil && !errors.Is(err, ErrNotArchived) {
			return nil, err
		}
		size += len(out[i])
	}
	return out, nil
}

// ArchiveMissing counts the status epochs on the chain whose lists this node does not have, and looks for.
func (n *Node) ArchiveMissing() int64 {
	r := n.run.Load()
	if r == nil {
		return 0
	}
	return r.archive.missing.Load()
}
