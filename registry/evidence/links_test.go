package evidence_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

func FuzzDecodeBundles(f *testing.F) {
	raw, _ := evidence.EncodeBundles([][]byte{[]byte(`{"format":"dojang-trust-bundle/1"}`)})
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		links, err := evidence.DecodeBundles(raw)
		if err == nil && len(links) > evidence.MaxBundles {
			t.Fatal("more than allowed")
		}
	})
}

// A reader that began anew at a published head keeps the bundle whose successors it follows.
func TestTrustBesideBundle(t *testing.T) {
	c, _, _ := world(t, 4)
	b := bundleOf(c, 3, 3, 2)
	b.Prev = [32]byte{1}
	later := b.Trust
	later.Height, later.Hash, later.Time, later.Expires = b.Height+9, [32]byte{9}, b.Time.Add(time.Hour), time.Time{}
	raw, err := evidence.MarshalTrust(later, b)
	if err != nil {
		t.Fatal(err)
	}
	trust, bundle, err := evidence.LoadTrust(raw)
	if err != nil || bundle == nil || bundle.Number != 3 || trust.Height != later.Height || trust.Hash != later.Hash || !trust.Expires.IsZero() {
		t.Fatalf("%+v %+v %v", trust, bundle, err)
	}
	if _, err := evidence.ParseTrust(raw); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("taken as a plain trust file: %v", err)
	}
	if plain, err := evidence.MarshalTrust(later, nil); err != nil {
		t.Error(err)
	} else if _, bundle, err := evidence.LoadTrust(plain); err != nil || bundle != nil {
		t.Errorf("a plain trust file: %+v %v", bundle, err)
	}
	for name, change := range map[string]func(*evidence.Trust){
		"not later":          func(x *evidence.Trust) { x.Height = b.Height },
		"of another chain":   func(x *evidence.Trust) { x.ChainID = "dojang-test-2" },
		"of another network": func(x *evidence.Trust) { x.Network = "other" },
		"of another number":  func(x *evidence.Trust) { x.Number++ },
		"before its bundle":  func(x *evidence.Trust) { x.Time = b.Time },
	} {
		bad := later
		change(&bad)
		if _, err := evidence.MarshalTrust(bad, b); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"another height": `"height": 10`, "no bundle": `"dojang-trust-bundle/1"`, "another format": `"dojang-trust/1"`} {
		bad := bytes.Replace(raw, []byte(text), []byte(`"height": 1`), 1)
		if bytes.Equal(bad, raw) {
			t.Fatalf("%s: nothing changed in %s", name, raw)
		}
		if _, _, err := evidence.LoadTrust(bad); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
