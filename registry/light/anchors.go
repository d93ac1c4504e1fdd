package light

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// TypePoints is the media type of GET /v1/header-tree/….
const TypePoints = "application/vnd.dojang.points+cbor"

// Of a node's management API, which wants a token: an anchor is signed with its operator's key.
const (
	AnchorsPath = "/v1/anchors"
	HeadPath    = "/v1/head"
)

// An AnchorRequest is the body of POST /v1/anchors. []byte is base64 in JSON.
type AnchorRequest struct {
	Leaves [][]byte `json:"leaves" minItems:"1" maxItems:"1000" doc:"SHA-256 of a salt and the bytes as issued, 32 bytes each"`
}

// An AnchorAnswer has one receipt for each leaf; all share the Evidence and the size of the aggregation.
type AnchorAnswer struct {
	Root     []byte       `json:"root"`
	Height   uint64       `json:"height" doc:"Of the block that anchored the root"`
	Evidence []byte       `json:"evidence"`
	Size     uint64       `json:"size"`
	Receipts []AnchorPath `json:"receipts"`
}

// An AnchorPath is the place of a leaf in its aggregation.
type AnchorPath struct {
	Index uint64   `json:"index"`
	Path  [][]byte `json:"path"`
}

// A HeadAnswer is the answer of GET /v1/head: a head proof (evidence.Bridge).
type HeadAnswer struct {
	Network  string `json:"network"`
	ChainID  string `json:"chain_id"`
	Evidence []byte `json:"evidence"`
}

// ErrAnchorsBusy: the aggregator's queue is full. Nothing was taken; try again later.
var ErrAnchorsBusy = errors.New("registry/light: too many digests are waiting")

// Anchors is an aggregator of time anchors behind a node's management API.
type Anchors struct {
	URL   string // of the management API
	Token string
	HTTP  *http.Client // nil: a plain one with a timeout of a minute
}

var _ registry.Anchors = Anchors{}

// Anchor implements registry.Anchors for up to 1,000 leaves. That each receipt is of its leaf is checked here; what it proves,
// whoever trusts a head (evidence.Receipt.Check). Errors: ErrAnchorsBusy, ErrNotAdmitting, registry.ErrUntrusted.
func (a Anchors) Anchor(ctx context.Context, leaves ...[32]byte) ([][]byte, error) {
	var in AnchorRequest
	for i := range leaves {
		in.Leaves = append(in.Leaves, leaves[i][:])
	}
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+AnchorsPath, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+a.Token)
	client := a.HTTP
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	raw, status, err := do(client, req, 8<<20)
	switch {
	case err != nil:
		return nil, fmt.Errorf("anchor: %w", err)
	case status == http.StatusTooManyRequests:
		return nil, ErrAnchorsBusy
	case status == http.StatusServiceUnavailable:
		return nil, ErrNotAdmitting
	case status != http.StatusOK:
		return nil, fmt.Errorf("anchor: registry node answered %d", status)
	}
	var out AnchorAnswer
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("anchor: %w", err)
	}
	return out.receipts(leaves)
}

func (a *AnchorAnswer) receipts(leaves [][32]byte) ([][]byte, error) {
	if len(a.Receipts) != len(leaves) || len(a.Root) != 32 {
		return nil, untrusted(errors.New("registry/light: not a receipt for each leaf"))
	}
	out := make([][]byte, len(leaves))
	for i, p := range a.Receipts {
		r := evidence.Receipt{Index: p.Index, Size: a.Size, Evidence: a.Evidence}
		for _, h := range p.Path {
			if len(h) != 32 {
				return nil, untrusted(evidence.ErrReceipt)
			}
			r.Path = append(r.Path, [32]byte(h))
		}
		if root, err := r.RootOf(leaves[i]); err != nil || !bytes.Equal(root[:], a.Root) {
			return nil, untrusted(evidence.ErrReceipt)
		}
		var err error
		if out[i], err = r.Marshal(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ErrNotCovered: the head was published before the header that dates the anchor entered the header tree. A later head will do.
var ErrNotCovered = errors.New("registry/light: the published head does not cover this yet")

// Bridge makes a receipt hold under a published head, by the head's proof and one answer of any node. The receipt is not
// otherwise checked. Errors: ErrNotCovered, registry.ErrUntrusted, registry.ErrUnavailable.
func Bridge(ctx context.Context, nodes []string, b Bridging) (*evidence.Receipt, error) {
	head, tree, err := evidence.HeadOfProof(b.Proof, b.Head.Trust(), b.Now)
	if err != nil {
		return nil, fmt.Errorf("head proof: %w", err)
	}
	height, hash, err := b.Receipt.Head()
	if err != nil {
		return nil, err
	}
	out := *b.Receipt
	out.Bridge = nil
	switch {
	case height == head.Height && hash == head.Hash:
		return &out, nil
	case height >= tree.First+tree.Size:
		return nil, ErrNotCovered
	}
	client := &http.Client{Timeout: fetchTimeout}
	last := registry.ErrUnavailable
	for _, node := range nodes {
		url := node + "/v1/header-tree/" + strconv.FormatUint(tree.Size, 10) + "/" + strconv.FormatUint(height, 10)
		raw, status, err := get(ctx, client, url, MaxEvidence)
		if err != nil || status != http.StatusOK {
			continue
		}
		if out.Bridge, err = evidence.Bridge(b.Proof, raw); err == nil {
			err = b.shows(out.Bridge, height, hash)
		}
		if err == nil {
			return &out, nil
		}
		last = err
	}
	return nil, last
}

// A Bridging is what Bridge works on.
type Bridging struct {
	Receipt *evidence.Receipt
	Head    evidence.Head // published
	Proof   []byte        // of the head, exported with it
	Now     time.Time
}

func (b *Bridging) shows(bridge []byte, height uint64, hash [32]byte) error {
	f, err := evidence.Check(bridge, b.Head.Trust(), b.Now)
	if err != nil {
		return untrusted(err)
	}
	if shown, ok := f.HeaderHash(height); !ok || shown != hash {
		return untrusted(errors.New("registry/light: the chain has another header there"))
	}
	return nil
}
