package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// catchUp bounds how long a healed node may take to come to where the others are.
const catchUp = 60 * time.Second

// observe looks at every node after healing, then stops them and replays their blocks.
func (d *drill) observe(ctx context.Context, l *load) (Seen, error) {
	seen := Seen{Nodes: make([]SeenNode, d.cfg.Network.Nodes()), Outages: d.outages, Began: d.began}
	target, err := d.target(ctx)
	if err != nil {
		return seen, err
	}
	var wg sync.WaitGroup
	for i := range seen.Nodes {
		wg.Go(func() {
			o := observer{d: d, node: i, out: &seen.Nodes[i], headers: &headerCache{known: map[uint64][32]byte{}}}
			o.out.Headers, o.out.Outcomes, o.out.Versions = map[uint64]SeenHeader{}, map[string]SeenOutcome{}, map[string][]uint64{}
			if !d.reaches(ctx, i, target) {
				o.refuse("does not reach height %d, where another was", target)
				return
			}
			o.look(ctx, l, target)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return seen, ctx.Err()
	}
	return seen, d.replay(&seen)
}

// target is a height above everything that was acknowledged.
func (d *drill) target(ctx context.Context) (uint64, error) {
	var target uint64
	for _, e := range d.cfg.History.Entries() {
		target = max(target, e.Height+1)
	}
	for i := range d.cfg.Network.Nodes() {
		if h, err := d.newest(ctx, i); err == nil {
			target = max(target, h)
		}
	}
	if target == 0 {
		return 0, errors.New("drill: no node answers after healing")
	}
	return target, nil
}

func (d *drill) reaches(ctx context.Context, node int, target uint64) bool {
	for until := time.Now().Add(catchUp); time.Now().Before(until); {
		if h, err := d.newest(ctx, node); err == nil && h >= target {
			return true
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return false
		}
	}
	return false
}

// replay stops the nodes and executes their blocks again.
func (d *drill) replay(seen *Seen) error {
	for i := range seen.Nodes {
		if err := d.cfg.Network.Fault(Restart, i); err != nil {
			return fmt.Errorf("stop node %d: %w", i+1, err)
		}
	}
	for i := range seen.Nodes {
		var err error
		if seen.Nodes[i].Replayed, err = d.cfg.Network.Replay(i); err != nil {
			seen.Nodes[i].Refused = append(seen.Nodes[i].Refused, "replay: "+err.Error())
		}
	}
	return nil
}

// newest height that a node shows; of a node that hangs, an error within a second.
func (d *drill) newest(ctx context.Context, node int) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	raw, status, err := d.get(ctx, node, "/v1/headers/latest")
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("status %d", status)
	}
	b, err := light.ParseBlock(d.cfg.Trust.ChainID, raw)
	return b.Height, err
}

func (d *drill) get(ctx context.Context, node int, path string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cfg.Network.URL(node)+path, nil)
	if err != nil {
		return nil, 0, err
	}
	res, err := d.cfg.HTTP.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return raw, res.StatusCode, err
}

// An observer looks at one node.
type observer struct {
	d       *drill
	node    int
	out     *SeenNode
	headers *headerCache
}

func (o *observer) refuse(format string, args ...any) {
	if len(o.out.Refused) < 50 {
		o.out.Refused = append(o.out.Refused, fmt.Sprintf(format, args...))
	}
}

func (o *observer) look(ctx context.Context, l *load, target uint64) {
	for height := uint64(1); height <= target && ctx.Err() == nil; height++ {
		o.header(ctx, height)
	}
	for rest := l.hashes; len(rest) > 0 && ctx.Err() == nil; {
		n := min(len(rest), light.MaxQueryKeys)
		o.outcomes(ctx, rest[:n])
		rest = rest[n:]
	}
	for _, did := range l.dids {
		if ctx.Err() == nil {
			o.versions(ctx, did)
		}
	}
}

func (o *observer) header(ctx context.Context, height uint64) {
	raw, status, err := o.d.get(ctx, o.node, fmt.Sprintf("/v1/headers/%d", height))
	if err != nil || status != http.StatusOK {
		o.refuse("no header at height %d: status %d", height, status)
		return
	}
	b, err := light.ParseBlock(o.d.cfg.Trust.ChainID, raw)
	switch {
	case err != nil:
		o.refuse("header %d does not hold: %v", height, err)
	case b.Height != height:
		o.refuse("asked for header %d, got %d", height, b.Height)
	case b.Validators.Hash() != o.d.cfg.Trust.Validators.Hash():
		o.refuse("header %d is signed by other validators than the network's", height)
	default:
		o.out.Headers[height] = SeenHeader{Hash: b.Hash, AppHash: b.AppHash, Time: b.Time}
	}
}

// outcomes by Evidence, checked with the trust point alone.
func (o *observer) outcomes(ctx context.Context, hashes []registry.Hash) {
	q := light.Query{Operations: hashes}
	raw, status, err := o.d.get(ctx, o.node, "/v1/evidence?"+q.Values().Encode())
	if err != nil || status != http.StatusOK {
		o.refuse("no evidence of %d operations: status %d", len(hashes), status)
		return
	}
	facts, err := evidence.Checker{Trust: o.d.cfg.Trust, Headers: o.headers, MaxSize: light.MaxEvidence}.Check(raw, time.Now())
	if err != nil {
		o.refuse("evidence does not hold: %v", err)
		return
	}
	for _, h := range hashes {
		outcome, err := facts.Outcome(h)
		switch {
		case err == nil:
			o.out.Outcomes[hashText(h)] = SeenOutcome{Code: outcome.Code, Height: outcome.Height}
		case !errors.Is(err, registry.ErrNotFound):
			o.refuse("evidence shows nothing of operation %s", hashText(h))
		}
	}
}

type metadata struct {
	About struct {
		VersionID string `json:"versionId"`
		Next      string `json:"nextVersionId"`
	} `json:"didDocumentMetadata"`
}

// versions walks the history of a DID from its first version on.
func (o *observer) versions(ctx context.Context, did registry.DID) {
	for id := "0"; id != ""; {
		raw, status, err := o.d.get(ctx, o.node, "/1.0/identifiers/"+url.PathEscape(string(did))+"?versionId="+id)
		if err == nil && status == http.StatusNotFound && id == "0" {
			return // its create never executed
		}
		var m metadata
		if err != nil || status != http.StatusOK || json.Unmarshal(raw, &m) != nil {
			o.refuse("no version %s of %s: status %d", id, did, status)
			return
		}
		var seq uint64
		if _, err := fmt.Sscan(m.About.VersionID, &seq); err != nil || len(o.out.Versions[string(did)]) > maxUpdates+1 {
			o.refuse("history of %s does not end", did)
			return
		}
		o.out.Versions[string(did)] = append(o.out.Versions[string(did)], seq)
		id = m.About.Next
	}
}

// problemCode is the code member of an RFC 9457 answer.
func problemCode(raw []byte) string {
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(raw, &p) // not a problem: no code
	return p.Code
}

// headerCache spares the signatures of a header that was verified before.
type headerCache struct{ known map[uint64][32]byte }

// Known implements evidence.HeaderCache.
func (c *headerCache) Known(height uint64, hash [32]byte) bool {
	have, ok := c.known[height]
	return ok && have == hash
}

// Add implements evidence.HeaderCache.
func (c *headerCache) Add(height uint64, hash [32]byte) { c.known[height] = hash }
