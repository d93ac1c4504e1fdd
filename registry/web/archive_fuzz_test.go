package web

import (
	"errors"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

func FuzzArchiveQuery(f *testing.F) {
	hash := "hash=" + strings.Repeat("0f", 32)
	f.Add(hash)
	f.Add(hash + "&" + hash)
	f.Add("root=" + strings.Repeat("0F", 32) + "&" + hash)
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
