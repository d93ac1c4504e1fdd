package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// headerPath answers GET /v1/header-tree/{size}/{height}: it never changes, so that any node, and any cache, has it for ever.
func (s *Server) headerPath(w http.ResponseWriter, r *http.Request) {
	size, bad := strconv.ParseUint(r.PathValue("size"), 10, 63)
	height, worse := strconv.ParseUint(r.PathValue("height"), 10, 63)
	if bad != nil || worse != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	raw, err := s.cfg.Node.HeaderPath(size, height)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, light.TypePoints, raw)
}

// bundles answers GET /v1/trust-bundles?after=N.
func (s *Server) bundles(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 63)
	if err != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	files, err := s.cfg.Node.Bundles(after)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	raw, err := evidence.EncodeBundles(files)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, evidence.TypeBundles, raw)
}

type anchorInput struct {
	Body light.AnchorRequest
}

type anchorOutput struct {
	Body light.AnchorAnswer
}

type headOutput struct {
	Body light.HeadAnswer
}

// manageAnchors mounts what only callers with a token may ask for: anchors are signed with the operator's key.
func (s *Server) manageAnchors(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "anchor", Method: http.MethodPost, Path: light.AnchorsPath, MaxBodyBytes: 256 << 10,
		BodyReadTimeout: 10 * time.Second, Summary: "Anchor digests in time; answers with receipts"}, s.anchor)
	huma.Register(api, huma.Operation{OperationID: "head", Method: http.MethodGet, Path: light.HeadPath,
		Summary: "The newest header, with what proves older ones under it, for publication"}, s.headProof)
}

func (s *Server) anchor(ctx context.Context, in *anchorInput) (*anchorOutput, error) {
	leaves := make([][32]byte, len(in.Body.Leaves))
	for i, l := range in.Body.Leaves {
		if len(l) != 32 {
			return nil, registry.ErrMalformed
		}
		leaves[i] = [32]byte(l)
	}
	made, err := s.cfg.Node.Anchor(ctx, leaves...)
	if err != nil {
		return nil, err
	}
	out := &anchorOutput{Body: light.AnchorAnswer{Evidence: made.Evidence, Height: made.Height, Root: made.Root[:]}}
	for _, r := range made.Receipts {
		path := make([][]byte, len(r.Path))
		for i := range r.Path {
			path[i] = r.Path[i][:]
		}
		out.Body.Size = r.Size
		out.Body.Receipts = append(out.Body.Receipts, light.AnchorPath{Index: r.Index, Path: path})
	}
	return out, nil
}

func (s *Server) headProof(ctx context.Context, _ *struct{}) (*headOutput, error) {
	raw, err := s.cfg.Node.HeadProof(ctx)
	return &headOutput{Body: light.HeadAnswer{Network: s.cfg.Node.Network(), ChainID: s.cfg.Node.ChainID(), Evidence: raw}}, err
}

// anchorProblems are those of the aggregator.
var anchorProblems = []problemRow{
	{node.ErrNoAnchors, http.StatusNotFound, "no-anchors"},
	{node.ErrAnchorRefused, http.StatusConflict, "anchor-refused"},
}
