package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

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
	raw, err := f.cfg.Fetch(ctx, peer+ArchivePath+"?"+kind+"="+EncodeHashes(hashes), "application/cbor", maxArchive)
	if err != nil {
		return nil, err
	}
	return parseArchived(raw, len(hashes))
}

// EncodeHashes is how hashes stand in a query: base64url of all in a row.
func EncodeHashes(hashes [][32]byte) string {
	raw := make([]byte, 0, 32*len(hashes))
	for i := range hashes {
		raw = append(raw, hashes[i][:]...)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// DecodeHashes is the inverse, of 1 to MaxArchived hashes. Error: registry.ErrMalformed.
func DecodeHashes(text string) ([][32]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) == 0 || len(raw)%32 != 0 || len(raw) > 32*MaxArchived {
		return nil, registry.ErrMalformed
	}
	var out [][32]byte
	for hash := range slices.Chunk(raw, 32) {
		out = append(out, [32]byte(hash))
	}
	return out, nil
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
