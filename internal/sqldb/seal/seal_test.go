package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"testing"
	"testing/iotest"

	"github.com/dojang-id/dojang/internal/sqldb/seal"
)

var secret = bytes.Repeat([]byte{7}, 32)

func open(t testing.TB, secret []byte, purpose string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(secret, purpose, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSeal(t *testing.T) {
	s, plain := open(t, secret, "a"), []byte("한가온")
	sealed, err := s.Seal("table/1", plain)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Open("table/1", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%q %v", got, err)
	}
	again, err := s.Seal("table/1", plain)
	if err != nil || bytes.Equal(sealed, again) || bytes.Equal(sealed[1:17], again[1:17]) {
		t.Errorf("two seals of one value share a salt: %v", err)
	}
	changed := func(i int) []byte {
		b := bytes.Clone(sealed)
		b[i] ^= 1
		return b
	}
	for _, row := range []struct {
		name   string
		s      *seal.Sealer
		place  string
		sealed []byte
	}{
		{"another place", s, "table/2", sealed},
		{"another purpose", open(t, secret, "b"), "table/1", sealed},
		{"another secret", open(t, bytes.Repeat([]byte{8}, 32), "a"), "table/1", sealed},
		{"another version", s, "table/1", changed(0)},
		{"salt changed", s, "table/1", changed(1)},
		{"nonce changed", s, "table/1", changed(17)},
		{"text changed", s, "table/1", changed(29)},
		{"tag changed", s, "table/1", changed(len(sealed) - 1)},
		{"cut", s, "table/1", sealed[:len(sealed)-1]},
		{"empty", s, "table/1", nil},
		{"head only", s, "table/1", sealed[:29]},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got, err := row.s.Open(row.place, row.sealed); !errors.Is(err, seal.ErrSealed) || got != nil {
				t.Errorf("%q %v", got, err)
			}
		})
	}
}

// TestFormat: what the package says of the bytes, done by hand.
func TestFormat(t *testing.T) {
	sealed, err := open(t, secret, "a").Seal("p", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	base, err := hkdf.Key(sha256.New, secret, nil, "a", 32)
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha256.New, base)
	m.Write(sealed[1:17])
	block, err := aes.NewCipher(m.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := aead.Open(nil, sealed[17:29], sealed[29:], []byte("p")); err != nil || string(got) != "x" || sealed[0] != 1 {
		t.Errorf("%q %v", got, err)
	}
}

func TestNew(t *testing.T) {
	for name, make := range map[string]func() (*seal.Sealer, error){
		"short secret":  func() (*seal.Sealer, error) { return seal.New(secret[:31], "a", rand.Reader) },
		"no purpose":    func() (*seal.Sealer, error) { return seal.New(secret, "", rand.Reader) },
		"no randomness": func() (*seal.Sealer, error) { return seal.New(secret, "a", nil) },
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := seal.New(secret, "a", iotest.ErrReader(errors.New("dry")))
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err := s.Seal("p", []byte("x")); err == nil || sealed != nil {
		t.Errorf("sealed without randomness: %x", sealed)
	}
}

func FuzzOpen(f *testing.F) {
	s := open(f, secret, "a")
	sealed, err := s.Seal("p", []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := s.Open("p", b); err != nil && !errors.Is(err, seal.ErrSealed) {
			t.Error(err)
		}
	})
}
