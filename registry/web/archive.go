package web

import (
	"encoding/hex"
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

// parseArchiveQuery takes one kind of hash, 1 to node.MaxArchived of them. Error: light.ErrQuery.
func parseArchiveQuery(raw string) (roots, objects [][32]byte, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(values) != 1 {
		return nil, nil, light.ErrQuery
	}
	for kind, texts := range values {
		to := &roots
		if kind == "hash" {
			to = &objects
		} else if kind != "root" {
			return nil, nil, light.ErrQuery
		}
		if len(texts) > node.MaxArchived {
			return nil, nil, light.ErrQuery
		}
		for _, text := range texts {
			hash, err := hex.DecodeString(text)
			if err != nil || len(hash) != 32 {
				return nil, nil, light.ErrQuery
			}
			*to = append(*to, [32]byte(hash))
		}
	}
	return roots, objects, nil
}
