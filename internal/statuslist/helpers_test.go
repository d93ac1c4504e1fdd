package statuslist

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

const listURI = "https://status.dojang.example/2VxKq/3"

var signedAt = time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)

func newKey(t testing.TB) keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random makes a list where about one entry in every is set to each value that fits.
func random(t testing.TB, bits int, length uint64, every int) Values {
	t.Helper()
	l, err := NewList(bits, length)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, uint64(bits)))
	for range int(length) / every {
		if err := l.Set(r.Uint64N(length), Status(r.UintN(1<<bits))); err != nil {
			t.Fatal(err)
		}
	}
	return l.Values()
}

func claimsFor(t testing.TB, v Values) Claims {
	t.Helper()
	compressed, err := Deflate(v.Raw())
	if err != nil {
		t.Fatal(err)
	}
	return Claims{
		URI: listURI, IssuedAt: signedAt, ExpiresAt: signedAt.Add(24 * time.Hour), TTL: 5 * time.Minute,
		Bits: v.Bits(), Compressed: compressed,
	}
}

// rawJWT signs any payload under any typ: what an issuer of somebody else may send.
func rawJWT(t testing.TB, s keys.Signer, typ, payload string) []byte {
	t.Helper()
	token, err := keys.SignJWS(s, keys.Header{Typ: typ, Kid: "k"}, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return []byte(token)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// vectors finds a published vector folder beside the repository.
func vectors(t *testing.T, parts ...string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	name := filepath.Join(append([]string{dir, "..", "shared", "vectors", "token-status-list"}, parts...)...)
	data, err := os.ReadFile(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("published vectors are required in CI: %v", err)
		}
		t.Skipf("published vectors are not here: %v", err)
	}
	return bytes.TrimSpace(data)
}
