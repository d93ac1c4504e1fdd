package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// members are agencies with cards and governance keys and no network.
func members(t *testing.T, n int) (homes []string, out []evidence.BundleMember) {
	t.Helper()
	for i := range n {
		home := filepath.Join(t.TempDir(), "home")
		exits(t, 0, "registry", "init", home, "--member", "agency-"+strconv.Itoa(i), "--name-en", "Agency", "--generate-passphrase")
		own, err := readCard(filepath.Join(home, "card.json"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := registry.ParseJWK(own.GovernanceKey)
		if err != nil {
			t.Fatal(err)
		}
		homes, out = append(homes, home), append(out, evidence.BundleMember{ID: own.Member, Key: key})
	}
	return homes, out
}

// exits runs a command in this process and wants an exit code.
func exits(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, &out, &errs); code != want {
		t.Fatalf("%v: exit %d, want %d\n%s%s", args, code, want, &out, &errs)
	}
	return out.String() + errs.String()
}

func TestTrustBundles(t *testing.T) {
	homes, people := members(t, 3)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	c := chaintest.New(t, chaintest.Config{Validators: 4})
	bundle := func(name string, prev *evidence.Bundle, change func(*evidence.Bundle)) *evidence.Bundle {
		t.Helper()
		b := &evidence.Bundle{Trust: c.Trust(), Threshold: 2, Members: people}
		b.Number, b.Time, b.Expires = 1, time.Now().UTC().Add(-time.Hour).Truncate(time.Second), time.Now().UTC().AddDate(0, 0, 90).Truncate(time.Second)
		if prev != nil {
			b.Number, b.Height, b.Hash, b.Time = prev.Number+1, prev.Height+1, [32]byte{byte(prev.Height + 1)}, prev.Time.Add(time.Minute)
			var err error
			if b.Prev, err = prev.Digest(); err != nil {
				t.Fatal(err)
			}
		}
		if change != nil {
			change(b)
		}
		if err := writeBundle(path(name), b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := bundle("1", nil, nil)
	digest, err := first.Digest()
	if err != nil {
		t.Fatal(err)
	}
	fingerprint := groupsOf8(hex.EncodeToString(digest[:]))
	bundle("2", first, nil)
	t.Run("a first bundle is compared by its fingerprint", func(t *testing.T) {
		exits(t, 2, "registry", "trust", "import", path("reader"), path("1"))
		exits(t, 1, "registry", "trust", "import", path("reader"), path("1"), "--fingerprint", strings.Replace(fingerprint, fingerprint[:1], "x", 1))
		exits(t, 0, "registry", "trust", "import", path("reader"), path("1"), "--fingerprint", strings.ToUpper(fingerprint))
	})
	t.Run("members sign one after the other, offline", func(t *testing.T) {
		if text := exits(t, 0, "registry", "trust", "sign", homes[0], path("2"), "--prev", path("1")); !strings.Contains(text, "1 more signatures are wanted") {
			t.Fatal(text)
		}
		before, err := os.ReadFile(path("reader"))
		if err != nil {
			t.Fatal(err)
		}
		exits(t, 1, "registry", "trust", "import", path("reader"), path("2")) // H14: one of two
		if after, err := os.ReadFile(path("reader")); err != nil || !bytes.Equal(before, after) {
			t.Fatal("the trust file was changed")
		}
		exits(t, 2, "registry", "trust", "sign", homes[0], path("2"), "--prev", path("1")) // twice
		if text := exits(t, 0, "registry", "trust", "sign", homes[2], path("2"), "--prev", path("1")); !strings.Contains(text, "0 more signatures are wanted") ||
			!strings.Contains(text, "signed by: agency-0 agency-2") {
			t.Fatal(text)
		}
		exits(t, 0, "registry", "trust", "import", path("reader"), path("2"))
		exits(t, 0, "registry", "trust", "import", path("reader"), path("1"), path("2")) // what it has is left out
	})
	second, err := readBundle(path("2"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("whoever is no member of the bundle before does not sign", func(t *testing.T) {
		strangers, _ := members(t, 1)
		bundle("3s", second, nil)
		exits(t, 2, "registry", "trust", "sign", homes[0], path("3s")) // without the one before
		own, err := os.ReadFile(filepath.Join(strangers[0], "card.json"))
		if err != nil || !bytes.Contains(own, []byte(`"agency-0"`)) {
			t.Fatal("the stranger was to use the same name")
		}
		exits(t, 1, "registry", "trust", "sign", strangers[0], path("3s"), "--prev", path("2"))
		if b, err := readBundle(path("3s")); err != nil || len(b.Signatures) != 0 {
			t.Fatalf("%d signatures, %v", len(b.Signatures), err)
		}
	})
	for name, change := range map[string]func(*evidence.Bundle){
		"goes back":          func(b *evidence.Bundle) { b.Height-- },
		"of another chain":   func(b *evidence.Bundle) { b.ChainID = "other-1" },
		"after another one":  func(b *evidence.Bundle) { b.Prev[0] ^= 1 },
		"leaves one out":     func(b *evidence.Bundle) { b.Number++ },
		"now in development": func(b *evidence.Bundle) { b.Development = !b.Development },
	} {
		t.Run("a member does not sign what is not the next: "+name, func(t *testing.T) {
			prev := second
			if name == "now in development" { // never from production
				prev = bundle("production", nil, func(b *evidence.Bundle) { b.Development = false })
				if err := writeBundle(path("prev"), prev); err != nil {
					t.Fatal(err)
				}
				bundle("3", prev, func(b *evidence.Bundle) { b.Development = true })
			} else {
				if err := writeBundle(path("prev"), prev); err != nil {
					t.Fatal(err)
				}
				bundle("3", prev, change)
			}
			exits(t, 1, "registry", "trust", "sign", homes[1], path("3"), "--prev", path("prev"))
		})
	}
	t.Run("H14 an expired chain is not taken, and goes on with the next", func(t *testing.T) {
		third := bundle("3", second, func(b *evidence.Bundle) { b.Expires = b.Time.Add(time.Minute) })
		for _, i := range []int{0, 1} {
			exits(t, 0, "registry", "trust", "sign", homes[i], path("3"), "--prev", path("2"))
		}
		if text := exits(t, 1, "registry", "trust", "import", path("reader"), path("3")); !strings.Contains(text, "expired") {
			t.Fatal(text)
		}
		bundle("4", third, nil)
		for _, i := range []int{2, 1} {
			exits(t, 0, "registry", "trust", "sign", homes[i], path("4"), "--prev", path("3"))
		}
		exits(t, 1, "registry", "trust", "import", path("reader"), path("4")) // a link left out
		exits(t, 0, "registry", "trust", "import", path("reader"), path("3"), path("4"))
	})
	t.Run("every reader of trust files loads a bundle", func(t *testing.T) {
		trust, b, err := readTrust(path("reader"))
		if err != nil || b == nil || trust.Number != 4 || trust.ChainID != first.ChainID {
			t.Fatalf("%+v %v", trust, err)
		}
		if _, err := openLight(lightConfig{trust: path("reader"), nodes: []string{"http://127.0.0.1:1"}}); err != nil {
			t.Fatal(err)
		}
	})
}
