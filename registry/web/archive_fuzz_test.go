package web

import (
	"errors"
	"testing"

	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

func FuzzArchiveQuery(f *testing.F) {
	some := node.EncodeHashes([][32]byte{{1}, {2}})
	f.Add("hash=" + some)
	f.Add("hash=" + some + "&hash=" + some)
	f.Add("root=" + some + "&hash=" + some)
	f.Add("root=" + node.EncodeHashes(make([][32]byte, node.MaxArchived+1)))
	f.Add("hash=%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		roots, objects, err := parseArchiveQuery(raw)
		n := len(roots) + len(objects)
		switch {
		case err != nil && (!errors.Is(err, light.ErrQuery) || n > 0):
			t.Fatalf("%d hashes: %v", n, err)
		case err == nil && (n == 0 || n > node.MaxArchived || len(roots) > 0 && len(objects) > 0):
			t.Fatalf("%d roots and %d objects", len(roots), len(objects))
		}
	})
}
