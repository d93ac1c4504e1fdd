package keys

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestNumericDate(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      int64 // -1: refused
	}{
		{"whole", "1790000000", 1790000000},
		{"zero", "0", 0},
		{"A23 fraction is cut off", "1.5", 1},
		{"A23 string", `"1790000000"`, -1},
		{"A23 1e400", "1e400", -1},
		{"A23 exponent", "1e9", -1},
		{"A23 negative", "-1", -1},
		{"A23 2^63", "9223372036854775808", -1},
		{"A23 2^64", "18446744073709551616", -1},
		{"A23 NaN", "NaN", -1},
		{"A23 null", "null", -1},
		{"A23 after the year 9999", "253402300800", -1},
		{"last second", "253402300799", 253402300799},
		{"leading zero", "01", -1},
		{"no fraction after the point", "1.", -1},
		{"empty", "", -1},
		{"long fraction", "1.00000000000000000000000000000000000", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseNumericDate([]byte(c.raw))
			if c.want < 0 {
				wantErr(t, err, ErrMalformed)
				return
			}
			if err != nil || got.Unix() != c.want {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	t.Run("A23 exp == now is expired", func(t *testing.T) {
		now := time.Unix(1790000000, 0)
		if !Expired(now, now) || Expired(now.Add(time.Second), now) || !Expired(now.Add(-time.Second), now) {
			t.Error("wrong side of the second")
		}
	})
}

func TestNonces(t *testing.T) {
	now := time.Unix(1790000000, 0)
	old, fresh := NonceKey{ID: 1, Secret: bytes.Repeat([]byte{1}, 32)}, NonceKey{ID: 2, Secret: bytes.Repeat([]byte{2}, 32)}
	ring := []NonceKey{fresh, old}
	scope := NonceScope{Tenant: "gaon", Purpose: "c_nonce"}
	window := NonceWindow{Now: now.Add(time.Minute), MaxAge: 5 * time.Minute}
	nonce, err := MintNonce(old, scope, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := CheckNonce(ring, scope, nonce, window)
	if err != nil || len(id) != 24 {
		t.Fatalf("own nonce refused: %v", err)
	}
	other, err := MintNonce(old, scope, now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if id2, err := CheckNonce(ring, scope, other, window); err != nil || bytes.Equal(id, id2) {
		t.Errorf("two nonces share an id: %v", err)
	}
	flipped := []byte(nonce)
	flipped[20] ^= 1
	for _, c := range []struct {
		name, nonce string
		ring        []NonceKey
		scope       NonceScope
		window      NonceWindow
		want        error
	}{
		{"B39 never issued by us", EncodeBase64URL(make([]byte, 41)), ring, scope, window, ErrNonce},
		{"B39 client-generated", "d2FsbGV0", ring, scope, window, ErrNonce},
		{"B39 another tenant's", nonce, ring, NonceScope{"seoul", "c_nonce"}, window, ErrNonce},
		{"B39 another purpose's", nonce, ring, NonceScope{"gaon", "dpop"}, window, ErrNonce},
		{"B39 scope split elsewhere", nonce, ring, NonceScope{"gaonc", "_nonce"}, window, ErrNonce},
		{"B39 altered", string(flipped), ring, scope, window, ErrNonce},
		{"A24 padded copy", nonce + "=", ring, scope, window, ErrNonce},
		{"A24 copy with newline", nonce[:54] + "\n", ring, scope, window, ErrNonce},
		{"key dropped after rotation", nonce, []NonceKey{fresh}, scope, window, ErrNonce},
		{"key without a secret", nonce, []NonceKey{{ID: 1}}, scope, window, ErrNonce},
		{"too old", nonce, ring, scope, NonceWindow{now.Add(6 * time.Minute), 5 * time.Minute}, ErrStale},
		{"from the future", nonce, ring, scope, NonceWindow{now.Add(-4 * time.Minute), 5 * time.Minute}, ErrStale},
		{"empty", "", ring, scope, window, ErrNonce},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CheckNonce(c.ring, c.scope, c.nonce, c.window)
			wantErr(t, err, c.want)
			if got != nil {
				t.Error("an error came with an id")
			}
		})
	}
	_, err = MintNonce(NonceKey{Secret: []byte("short")}, scope, now, rand.Reader)
	wantErr(t, err, ErrKey)
	if _, err = MintNonce(old, scope, now, bytes.NewReader(nil)); err == nil {
		t.Error("minted without randomness")
	}
}

func TestStores(t *testing.T) {
	file, err := NewFileStore(FileStoreConfig{Dir: filepath.Join(t.TempDir(), "keys"), Passphrase: []byte("correct horse"), Interactive: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Store{"file": file, "memory": NewMemoryStore()} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Signer("issuer")
			wantErr(t, err, ErrNotFound)
			made, err := OpenOrCreate(s, "issuer", ES256)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Create("issuer", ES256)
			wantErr(t, err, ErrExists)
			again, err := OpenOrCreate(s, "issuer", ES256)
			if err != nil || !again.Public().Equal(made.Public()) {
				t.Fatalf("another key came back: %v", err)
			}
			_, err = OpenOrCreate(s, "issuer", EdDSA)
			wantErr(t, err, ErrAlg)
			ed, err := OpenOrCreate(s, "member", EdDSA)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := ed.Sign([]byte("x"))
			if err != nil || ed.Public().Verify([]byte("x"), sig) != nil {
				t.Error("stored key does not sign")
			}
		})
	}
}

func TestFileStoreRefusals(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	cfg := FileStoreConfig{Dir: dir, Passphrase: []byte("correct horse"), Interactive: true}
	s, err := NewFileStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Create("issuer", ES256)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := s.Secret("nonce")
	if err != nil || len(secret) != 32 {
		t.Fatal(err)
	}
	reopened, err := NewFileStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := reopened.Signer("issuer"); err != nil || !k.Public().Equal(made.Public()) {
		t.Errorf("reopened store: %v", err)
	}
	if again, err := reopened.Secret("nonce"); err != nil || !bytes.Equal(again, secret) {
		t.Errorf("reopened secret: %v", err)
	}
	_, err = s.Secret("issuer")
	wantErr(t, err, ErrKey)
	_, err = s.Signer("nonce")
	if err == nil {
		t.Error("a secret was opened as a signing key")
	}
	_, err = NewFileStore(FileStoreConfig{Dir: dir, Passphrase: []byte("wrong horse"), Interactive: true})
	wantErr(t, err, ErrKey)
	_, err = NewFileStore(FileStoreConfig{Dir: dir, Passphrase: []byte("short")})
	wantErr(t, err, ErrKey)
	for _, name := range []string{"", "..", "../x", ".x", "A", "a/b", "a\x00b"} {
		_, err = s.Create(name, ES256)
		wantErr(t, err, ErrMalformed)
		_, err = s.Signer(name)
		wantErr(t, err, ErrMalformed)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) != 3 { // store.json, issuer.key, nonce.key: no temporary file stays
		t.Errorf("%d files", len(entries))
	}
	checkTamperedFiles(t, s, dir, made)
}

func checkTamperedFiles(t *testing.T, s *FileStore, dir string, made Signer) {
	t.Helper()
	path := filepath.Join(dir, "issuer.key")
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte, mode os.FileMode) {
		t.Helper()
		p := filepath.Join(dir, name)
		os.Remove(p)
		if err := os.WriteFile(p, data, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("other.key", sealed, 0o600) // moved under another name
	_, err = s.Signer("other")
	wantErr(t, err, ErrMalformed)
	write("other.key", bytes.Replace(sealed, []byte("issuer"), []byte("other"), 1), 0o600)
	_, err = s.Signer("other")
	wantErr(t, err, ErrKey)
	signer, err := CryptoSigner(made)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	write("plain.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	_, err = s.Signer("plain")
	wantErr(t, err, ErrMalformed) // plain files are refused
	write("issuer.key", sealed, 0o644)
	_, err = s.Signer("issuer")
	wantErr(t, err, ErrKey) // open to others
}
