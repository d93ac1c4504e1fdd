package web

import (
	"net/http"
	"net/url"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// archived answers GET /v1/archive for other nodes: a CBOR array with one byte string for each root, or each hash, that was asked for.
func (s *Server) archived(w http.ResponseWriter, r *http.Request) {
	roots, objects, err := parseArchiveQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	items, err := s.cfg.Node.Archived(roots, objects)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	raw, err := registry.Encode(items)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, "application/cbor", raw)
}

// parseArchiveQuery takes one kind of hashes (node.EncodeHashes). Error: light.ErrQuery.
func parseArchiveQuery(raw string) (roots, objects [][32]byte, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(values) != 1 {
		return nil, nil, light.ErrQuery
	}
	for kind, texts := range values {
		if len(texts) != 1 {
			return nil, nil, light.ErrQuery
		}
		hashes, err := node.DecodeHashes(texts[0])
		switch {
		case err != nil:
			return nil, nil, light.ErrQuery
		case kind == "root":
			return hashes, nil, nil
		case kind == "hash":
			return nil, hashes, nil
		}
	}
	return nil, nil, light.ErrQuery
}
