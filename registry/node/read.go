package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/did"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Submit hands signed operations to this node's gateway, in order, and returns when their outcomes are provable (H27).
// Errors: ErrNotAdmitting, ErrBusy, ErrTooMany, ErrRefusedEnvelope, ErrUnknown, ErrStopped, ErrDown. An operation that the rules refuse is
// an Outcome with its code, not an error; Height 0 when the gateway itself refused it, without proof.
func (n *Node) Submit(ctx context.Context, operations ...[]byte) ([]registry.Outcome, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	if len(operations) == 0 {
		return nil, nil
	}
	return r.gateway.submit(ctx, operations)
}

var _ registry.Submitter = (*Node)(nil)

// Network that this node belongs to.
func (n *Node) Network() string { return n.chain.Network }

// ChainID of the network.
func (n *Node) ChainID() string { return n.chain.ChainID }

// Development reports a network of one validator, which readers may track without a witness.
func (n *Node) Development() bool { return n.chain.Development }

// Heartbeat is the longest time between two headers of a healthy network: the genesis', or what the members decided since.
func (n *Node) Heartbeat() time.Duration { return time.Duration(n.heartbeat.Load()) }

// beat takes the heartbeat of the state; the engine's own goroutine calls it, which reads the interval too.
func (n *Node) beat(r *running) {
	ms := r.machine.Info().Params.Heartbeat
	if ms == 0 {
		return // no state yet
	}
	n.heartbeat.Store(int64(time.Duration(ms) * time.Millisecond))
	if r.engine != nil && *r.engine.beat != n.Heartbeat() {
		*r.engine.beat = n.Heartbeat()
	}
}

// Statuses is the store of published lists.
func (n *Node) Statuses() *StatusStore { return n.statuses }

// Genesis is the genesis file.
func (n *Node) Genesis() ([]byte, error) { return os.ReadFile(filepath.Join(n.cfg.Home, genesisFile)) }

// Members of the network, from its genesis.
func (n *Node) Members() []chain.GenesisMember { return n.chain.Members }

// LightBlock of a height as the engine's protobuf; 0: the newest. Errors: ErrDown, ErrTooHigh, registry.ErrNotFound (pruned).
func (n *Node) LightBlock(height uint64) ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	lb, err := r.engine.lightBlock(height)
	if err != nil {
		return nil, err
	}
	pb, err := lb.ToProto()
	if err != nil {
		return nil, fmt.Errorf("encode light block: %w", err)
	}
	return pb.Marshal()
}

// Trust is a trust file's content that begins at the newest header: for the network's own tools (the demo, a
// published bundle), never for a reader that got it from a node.
func (n *Node) Trust(expires time.Time) (evidence.Trust, error) {
	r := n.run.Load()
	if r == nil {
		return evidence.Trust{}, ErrDown
	}
	signed, _, err := r.engine.signedHeader(0)
	if err != nil {
		return evidence.Trust{}, err
	}
	next, err := r.engine.states.LoadValidators(int64(signed.Header.Height) + 1)
	if err != nil {
		return evidence.Trust{}, fmt.Errorf("validators of the next height: %w", err)
	}
	set := setOf(next)
	return evidence.Trust{Number: 1, Network: n.chain.Network, ChainID: n.chain.ChainID, Development: n.chain.Development,
		Height: signed.Header.Height, Hash: signed.Header.Hash(), Time: signed.Header.Time, Expires: expires,
		TrustingPeriod: trustingPeriod, Validators: set}, nil
}

const trustingPeriod = 30 * 24 * time.Hour // DESIGN 4

// A Health says whether the node's answers are current.
type Health struct {
	State  string    // "ok", "syncing" (behind, and headers come), "stuck" (no new header, or none that is new enough), "down"
	Height uint64    // newest header
	Time   time.Time // of that header
	Peers  int
}

// Health of the node now.
func (n *Node) Health() Health {
	r := n.run.Load()
	if r == nil {
		return Health{State: "down"}
	}
	h := Health{State: "ok", Height: r.newest.Load(), Peers: r.engine.node.Switch().Peers().Size()}
	h.Time, _ = r.engine.headerTime(h.Height)
	h.State = health(progress{now: n.cfg.Now(), header: h.Time, came: time.Unix(0, r.headerAt.Load()), started: r.started,
		fetching: r.engine.node.ConsensusReactor().WaitSync()}, n.Heartbeat())
	return h
}

// progress is what health goes by; times are of the node's own clock, but for header's.
type progress struct {
	now, header, came, started time.Time // came: when the newest header came, since the start
	fetching                   bool      // the engine fetches blocks before it takes part
}

// health tells a node that is behind and coming nearer from one that stands still: the newest header of the former has just
// come, and was old when it did.
func health(p progress, heartbeat time.Duration) string {
	old := func(t time.Time) bool { return t.Sub(p.header) > 2*heartbeat+time.Second }
	moved := p.came
	if moved.Before(p.started) {
		moved = p.started
	}
	moving := p.now.Sub(moved) < 2*heartbeat+5*time.Second
	switch {
	case p.fetching && moving, old(p.now) && moving && old(moved):
		return "syncing"
	case p.fetching, old(p.now), p.header.Sub(p.now) > clockDrift: // the last: this clock is wrong
		return "stuck"
	}
	return "ok"
}

// WaitHeight returns when a header of at least that height exists.
func (n *Node) WaitHeight(ctx context.Context, height uint64) error {
	r := n.run.Load()
	if r == nil {
		return ErrDown
	}
	for {
		r.watchMu.Lock()
		next := r.watch
		r.watchMu.Unlock()
		if r.newest.Load() >= height {
			return nil
		}
		select {
		case <-next:
		case <-r.gateway.done:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A Version selects a version of a DID document: by id (its place in the DID's history), by time, or the newest.
type Version struct {
	ID   string
	Time time.Time
}

// A Document is a DID document with its metadata, both JSON.
type Document struct {
	JSON        []byte
	Metadata    []byte
	Deactivated bool
}

// Document of a DID, without proof. Errors: ErrDown, registry.ErrNotFound.
func (n *Node) Document(d registry.DID, v Version) (Document, error) {
	r := n.run.Load()
	if r == nil {
		return Document{}, ErrDown
	}
	if v == (Version{}) {
		return r.docs.get(d, func() (Document, error) { return r.document(d, v) })
	}
	return r.document(d, v)
}

// WebDocument is the newest document of a DID under its did:web alias at a host. Errors: as Document.
func (n *Node) WebDocument(d registry.DID, host string) (Document, error) {
	r := n.run.Load()
	if r == nil {
		return Document{}, ErrDown
	}
	record, err := r.machine.DID(d, 0)
	if err != nil {
		return Document{}, err
	}
	out := Document{Deactivated: record.DID.Deactivated != 0}
	out.JSON, err = record.WebDocument(did.WebAlias(host, d))
	return out, err
}

func (r *running) document(d registry.DID, v Version) (Document, error) {
	height, err := r.heightOf(d, v)
	if err != nil {
		return Document{}, err
	}
	record, err := r.machine.DID(d, height)
	if err != nil {
		return Document{}, err
	}
	out := Document{Deactivated: record.DID.Deactivated != 0}
	if out.JSON, err = record.Document(); err != nil {
		return Document{}, err
	}
	out.Metadata, err = record.Metadata()
	return out, err
}

// heightOf a version; 0 is the newest. ErrNotFound when the DID never had it, or not yet at that time.
func (r *running) heightOf(d registry.DID, v Version) (uint64, error) {
	switch {
	case v.ID != "":
		versions, err := r.machine.Versions(d)
		if err != nil {
			return 0, err
		}
		for _, known := range versions {
			if strconv.FormatUint(known.Seq, 10) == v.ID {
				return known.Height, nil
			}
		}
		return 0, registry.ErrNotFound
	case !v.Time.IsZero():
		at, err := r.machine.HeightAt(v.Time) // an operation of height h took effect at the time of header h+1
		if err != nil {
			return 0, err
		}
		if at < 2 {
			return 0, registry.ErrNotFound
		}
		return at - 1, nil
	}
	return 0, nil
}

// statusEpoch is the newest epoch of an issuer whose lists are fetched, without proof. Anybody may have a DID and write epochs:
// the lists of one that was never accredited would only fill every node's disk, and are registry.ErrNotFound.
func (r *running) statusEpoch(d registry.DID) (registry.StatusEpoch, error) {
	accredited := false
	if err := r.machine.Iterate([]byte("d/"+d.ID()+"/accr/"), func([]byte, []byte) bool {
		accredited = true
		return false
	}); err != nil {
		return registry.StatusEpoch{}, err
	}
	if !accredited {
		return registry.StatusEpoch{}, registry.ErrNotFound
	}
	fact, _, err := r.machine.Status(d)
	if err != nil {
		return registry.StatusEpoch{}, err
	}
	return fact.Epoch(d)
}

// publisher is the endpoint to fetch an issuer's lists from: that of who signed the epoch (the second status operator
// carries on when the issuer is gone), otherwise the issuer's.
func (r *running) publisher(issuer registry.DID) (string, error) {
	who := []registry.DID{issuer}
	if fact, _, err := r.machine.Status(issuer); err == nil {
		if signer, _, err := registry.ParseDIDURL(fact.Signer); err == nil && signer != issuer {
			who = []registry.DID{signer, issuer}
		}
	}
	for _, d := range who {
		suffix := ""
		if d != issuer {
			suffix = "/" + issuer.ID() // an operator may have several issuers
		}
		record, err := r.machine.DID(d, 0)
		if err != nil {
			continue
		}
		for _, s := range record.Services {
			if s.Fact.Type == publisherService && s.Fact.Removed == 0 {
				return strings.TrimSuffix(s.Fact.Endpoint, "/") + suffix, nil
			}
		}
	}
	return "", errors.New("issuer has no " + publisherService)
}

// accredited reports whether an issuer is or was accredited: whose lists are kept for good.
func (r *running) accredited(issuer registry.DID) bool {
	_, err := r.machine.AccreditedSince(issuer)
	return err == nil
}

// follow catches up with epochs that were written while this node was down.
func (n *Node) follow(r *running) {
	if r.follower == nil {
		return
	}
	_ = r.machine.Iterate([]byte("d/"), func(key, _ []byte) bool {
		if id, ok := strings.CutSuffix(strings.TrimPrefix(string(key), "d/"), "/status/latest"); ok && !strings.Contains(id, "/") {
			issuer := registry.DID("did:dojang:" + n.chain.Network + ":" + id)
			r.follower.wake(issuer)
			r.filler.wake(issuer)
		}
		return true
	})
}

// A TypeMetadata is a type metadata document (SD-JWT VC).
type TypeMetadata struct {
	Name string // last segment of its URL, e.g. "resident-id"
	VCT  string
	JSON []byte
}

// TypeMetadata returns a document whose SHA-256 is the digest on the chain. Error: registry.ErrNotFound.
func (n *Node) TypeMetadata(name string) ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	for _, t := range n.cfg.Types {
		if t.Name != name {
			continue
		}
		fact, _, err := r.machine.Type(t.VCT)
		if err != nil {
			return nil, err
		}
		if fact.Digest != sha256.Sum256(t.JSON) {
			return nil, registry.ErrNotFound
		}
		return t.JSON, nil
	}
	return nil, registry.ErrNotFound
}

// Range calls f for the leaves with from <= key < to of the newest committed state, in key order, until f returns false,
// without proof. f must not keep the slices. Errors: ErrDown, registry.ErrNotFound while nothing is committed.
func (n *Node) Range(from, to []byte, f func(key, value []byte) bool) error {
	r := n.run.Load()
	if r == nil {
		return ErrDown
	}
	return r.machine.Range(from, to, f)
}

// SignedHeader of a height, with all votes for it that this node has, and its validators; 0: the newest. Errors: ErrDown,
// ErrTooHigh, registry.ErrNotFound (pruned).
func (n *Node) SignedHeader(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
	r := n.run.Load()
	if r == nil {
		return evidence.SignedHeader{}, nil, ErrDown
	}
	return r.engine.signedHeader(height)
}

// Header is hash and time of a header, also of one whose block was pruned. Errors: ErrDown, ErrTooHigh, registry.ErrNotFound
// (before the first that this node knows).
func (n *Node) Header(height uint64) (hash [32]byte, t time.Time, err error) {
	r := n.run.Load()
	if r == nil {
		return hash, t, ErrDown
	}
	if height > r.newest.Load() {
		return hash, t, ErrTooHigh
	}
	if hash, t, err = r.machine.Header(height); err == nil || !errors.Is(err, registry.ErrNotFound) {
		return hash, t, err
	}
	meta := r.engine.node.BlockStore().LoadBlockMeta(int64(height)) // decided, its block is not executed yet
	if meta == nil {
		return hash, t, registry.ErrNotFound
	}
	h := headerOf(&meta.Header)
	return h.Hash(), h.Time, nil
}

// Transactions of a block, as they stand in it. Errors: ErrDown, ErrTooHigh, registry.ErrNotFound (pruned).
func (n *Node) Transactions(height uint64) ([][]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	if height > r.newest.Load() {
		return nil, ErrTooHigh
	}
	block := r.engine.node.BlockStore().LoadBlock(int64(height))
	if block == nil {
		return nil, registry.ErrNotFound
	}
	return block.Txs.ToSliceOfBytes(), nil
}
