package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// TestBundlesTravel publishes trust bundles at one node; another brings them, and takes nothing that is not a link of this chain.
func TestBundlesTravel(t *testing.T) {
	t.Parallel()
	var log logbook
	offered := map[string][][]byte{} // face -> all that it hands on, from number 1 on
	var l *Localnet
	fetch := func(_ context.Context, address, accept string, _ int64) ([]byte, error) {
		u, err := url.Parse(address)
		if err != nil || u.Path != "/v1/trust-bundles" || accept != evidence.TypeBundles {
			return nil, fmt.Errorf("asked for %s (%s)", address, accept)
		}
		after, err := strconv.ParseUint(u.Query().Get("after"), 10, 64)
		if err != nil {
			return nil, err
		}
		if files, ok := offered[u.Host]; ok {
			return evidence.EncodeBundles(files[min(uint64(len(files)), after):])
		}
		files, err := l.Nodes[0].Bundles(after)
		if err != nil {
			return nil, err
		}
		return evidence.EncodeBundles(files)
	}
	l = faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond, Genesis: direct,
		Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home, reader := l.Nodes[0].cfg.Home, l.Nodes[1]
	if err := reader.WaitHeight(ctx, 3); err != nil {
		t.Fatal(err)
	}
	reader.cfg.Fetch = fetch
	here := func(want uint64) {
		t.Helper()
		if got, err := reader.bundlesHere(); err != nil || got != want {
			t.Fatalf("%d bundles, want %d: %v", got, want, err)
		}
	}
	bring := func(faces ...string) {
		t.Helper()
		reader.cfg.Faces = faces
		reader.bringBundles(ctx)
	}
	propose := func(prev *evidence.Bundle) *evidence.Bundle {
		t.Helper()
		if prev != nil {
			if err := l.Nodes[0].WaitHeight(ctx, prev.Height+1); err != nil {
				t.Fatal(err)
			}
		}
		b, err := l.Nodes[0].ProposeBundle()
		if err != nil {
			t.Fatal(err)
		}
		if prev != nil {
			b.Number = prev.Number + 1
			if b.Prev, err = prev.Digest(); err != nil {
				t.Fatal(err)
			}
		}
		if err := reader.WaitHeight(ctx, b.Height+1); err != nil {
			t.Fatal(err)
		}
		return b
	}
	sign := func(b *evidence.Bundle, n int) *evidence.Bundle {
		t.Helper()
		for _, key := range members(t, l)[:n] {
			if err := b.Sign(key); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	file := func(b *evidence.Bundle) []byte {
		t.Helper()
		raw, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	publish := func(b *evidence.Bundle) {
		t.Helper()
		if err := PublishBundle(home, b, time.Now()); err != nil {
			t.Fatal(err)
		}
	}

	first := propose(nil)
	publish(first)
	bring("http://honest")
	here(0) // nobody has signed the first, and there is no second
	forged := *first
	forged.Members = first.Members[:3]
	forged.Threshold = 2
	if err := reader.takeBundle(sign(&forged, 0), nil); !errors.Is(err, errForeignBundle) {
		t.Fatalf("other members: %v", err)
	}
	foreign := *first
	foreign.Hash[0] ^= 1
	offered["forked"] = [][]byte{file(&foreign)}
	bring("http://forked")
	if !log.has("ALARM: a peer hands on a trust bundle with another header") {
		t.Error("a header of another chain raises no alarm")
	}
	offered["rubbish"] = [][]byte{[]byte("{}")}
	bring("http://rubbish", "http://dead end")
	here(0)

	second := sign(propose(first), 3)
	publish(second)
	bring("http://rubbish", "http://honest")
	here(2)
	for i, want := range []*evidence.Bundle{first, second} {
		got, err := reader.Bundles(uint64(i))
		if err != nil || !bytes.Equal(got[0], file(want)) {
			t.Fatalf("bundle %d is another one: %v", i+1, err)
		}
	}
	third := propose(second)
	offered["few"] = [][]byte{file(first), file(second), file(sign(third, 2))}
	bring("http://few")
	here(2)
	if err := reader.takeBundle(third, nil); !errors.Is(err, evidence.ErrBundle) {
		t.Fatalf("two of three signed: %v", err)
	}
	other := *third
	other.ChainID = "dojang-other-1"
	if err := reader.takeBundle(&other, nil); !errors.Is(err, errForeignBundle) {
		t.Fatalf("of another chain: %v", err)
	}
	other = *third
	other.Height += 1 << 20
	if err := reader.takeBundle(&other, nil); !errors.Is(err, ErrTooHigh) {
		t.Fatalf("of a block that this node has not: %v", err)
	}

	// A change of the threshold in between: the first bundle named what held then.
	out, err := l.Nodes[0].Submit(ctx, paramsOf(t, l, &registry.ThresholdBody{K: 4}))
	if err != nil || out[0].Code != string(registry.CodeOK) {
		t.Fatal(out, err)
	}
	if err := reader.WaitHeight(ctx, out[0].Height+2); err != nil {
		t.Fatal(err)
	}
	if err := reader.namesMembers(first); err != nil {
		t.Fatalf("the members of that time: %v", err)
	}
	fresh := propose(nil)
	fresh.Threshold = 3
	if err := reader.namesMembers(fresh); !errors.Is(err, errForeignBundle) {
		t.Fatalf("the threshold of another time: %v", err)
	}
}

// paramsOf is an operation that all members sign.
func paramsOf(t *testing.T, l *Localnet, body registry.Body) []byte {
	t.Helper()
	raw, err := registry.Operation{Network: l.Nodes[0].Network(), ChainID: l.Nodes[0].ChainID(), Body: body}.Sign(members(t, l)...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
