package registry_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/mr-tron/base58"
	"github.com/multiformats/go-multihash"
	"github.com/veraison/go-cose"

	"github.com/dojang-id/dojang/registry"
)

type edSigner struct{ ed25519.PrivateKey }

func (s edSigner) Sign(m []byte) ([]byte, error) { return ed25519.Sign(s.PrivateKey, m), nil }

// ecSigner returns the larger s when high is set: what a token may do.
type ecSigner struct {
	key  *ecdsa.PrivateKey
	high bool
}

func (s ecSigner) Sign(m []byte) ([]byte, error) {
	d := sha256.Sum256(m)
	r, v, err := ecdsa.Sign(rand.Reader, s.key, d[:])
	if err != nil {
		return nil, err
	}
	n := elliptic.P256().Params().N
	if isHigh := v.Cmp(new(big.Int).Rsh(n, 1)) > 0; isHigh != s.high {
		v.Sub(n, v)
	}
	out := make([]byte, 64)
	r.FillBytes(out[:32])
	v.FillBytes(out[32:])
	return out, nil
}

func edKey(t *testing.T, name string) (registry.SigningKey, ed25519.PrivateKey) {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	private := ed25519.NewKeyFromSeed(seed[:])
	return registry.SigningKey{Role: registry.RoleOp, Public: public(t, private.Public()), Signer: edSigner{private}}, private
}

func public(t *testing.T, key any) registry.PublicKey {
	t.Helper()
	p, err := registry.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func createOperation(t *testing.T, op registry.PublicKey) registry.Operation {
	t.Helper()
	next, _ := edKey(t, "next")
	recovery, _ := edKey(t, "recovery")
	return registry.Operation{Network: "test", ChainID: "c-1", Body: &registry.CreateBody{
		Op: op, Next: next.Public.Hash(), Recovery: recovery.Public.Hash(),
		Keys:     []registry.NewKey{{ID: "k1", Use: registry.UseAssertion, Key: op}},
		Services: []registry.Service{{ID: "s", Type: "StatusListPublisher", Endpoint: "https://status.example"}},
	}}
}

func TestOperationRoundTrip(t *testing.T) {
	key, _ := edKey(t, "op")
	op := createOperation(t, key.Public)
	b, err := op.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := registry.ParseOperation(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(registry.RoleOp, key.Public); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(registry.RoleNext, key.Public); !errors.Is(err, registry.ErrSignature) {
		t.Fatalf("absent role: %v", err)
	}
	did, err := op.CreatedDID()
	if err != nil || did != s.ID() {
		t.Fatalf("did %q and %q, %v", did, s.ID(), err)
	}
	if _, err := registry.ParseDID(string(did)); err != nil {
		t.Fatal(err)
	}
	// Adding a signature makes no other operation.
	more, _ := edKey(t, "next")
	more.Role = registry.RoleNext
	b2, err := registry.AddSignature(b, more)
	if err != nil {
		t.Fatal(err)
	}
	s2, err := registry.ParseOperation(b2)
	if err != nil || s2.Hash != s.Hash || len(s2.Signatures) != 2 {
		t.Fatalf("after adding: %v", err)
	}
	b3, err := registry.AddSignature(b2, more)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.ParseOperation(b3); !errors.Is(err, registry.ErrMalformed) {
		t.Fatalf("one role twice: %v", err)
	}
}

// The id is what a multihash library makes of the payload.
func TestIdentifierIsAMultihash(t *testing.T) {
	key, _ := edKey(t, "op")
	op := createOperation(t, key.Public)
	payload, err := op.Payload()
	if err != nil {
		t.Fatal(err)
	}
	want, err := multihash.Sum(payload, multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	did, err := op.CreatedDID()
	if err != nil || did.ID() != base58.Encode(want) {
		t.Fatalf("%q, want %q, %v", did.ID(), base58.Encode(want), err)
	}
}

// Our signatures are COSE_Sign1 with detached payload and external data, as a COSE library understands it.
func TestSignaturesAreCOSE(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, edPrivate := edKey(t, "op")
	for _, tc := range []struct {
		name string
		alg  cose.Algorithm
		key  registry.SigningKey
		pub  any
	}{
		{"EdDSA", cose.AlgorithmEdDSA, ed, edPrivate.Public()},
		{"ES256", cose.AlgorithmES256, registry.SigningKey{Role: registry.RoleOp, Public: public(t, &ec.PublicKey), Signer: ecSigner{key: ec}}, &ec.PublicKey},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := createOperation(t, tc.key.Public).Sign(tc.key)
			if err != nil {
				t.Fatal(err)
			}
			s, err := registry.ParseOperation(b)
			if err != nil {
				t.Fatal(err)
			}
			aad, err := cbor.Marshal([]string{"test", "c-1", "create"})
			if err != nil {
				t.Fatal(err)
			}
			var h cose.ProtectedHeader
			wrapped, err := cbor.Marshal(s.Signatures[0].Protected)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.UnmarshalCBOR(wrapped); err != nil {
				t.Fatal(err)
			}
			message := cose.Sign1Message{Headers: cose.Headers{RawProtected: wrapped, Protected: h}, Payload: s.Payload, Signature: s.Signatures[0].Value}
			v, err := cose.NewVerifier(tc.alg, tc.pub)
			if err != nil {
				t.Fatal(err)
			}
			if err := message.Verify(aad, v); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestHighSIsTurnedAndRefused(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pub := public(t, &ec.PublicKey)
	b, err := createOperation(t, pub).Sign(registry.SigningKey{Role: registry.RoleOp, Public: pub, Signer: ecSigner{key: ec, high: true}})
	if err != nil {
		t.Fatalf("a token that returns the larger s: %v", err)
	}
	if _, err := registry.ParseOperation(b); err != nil {
		t.Fatal(err)
	}
	message := []byte("m")
	low, err := ecSigner{key: ec}.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(low[32:]))
	high := append(bytes.Clone(low[:32]), s.FillBytes(make([]byte, 32))...)
	if err := pub.Verify(message, low); err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string][]byte{"high s": high, "zero": make([]byte, 64), "short": low[:63], "long": append(bytes.Clone(low), 0), "empty": nil} {
		if err := pub.Verify(message, sig); !errors.Is(err, registry.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignRefusesAnotherKey(t *testing.T) {
	key, _ := edKey(t, "op")
	other, _ := edKey(t, "other")
	key.Signer = other.Signer
	if _, err := createOperation(t, key.Public).Sign(key); !errors.Is(err, registry.ErrSignature) {
		t.Fatalf("a signer with another key: %v", err)
	}
}

func TestPublicKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed := edKey(t, "op")
	for _, key := range []any{&ec.PublicKey, ed.Public()} {
		p := public(t, key)
		jwk, err := p.JWK()
		if err != nil {
			t.Fatal(err)
		}
		again, err := registry.ParseJWK(jwk)
		if err != nil || !bytes.Equal(again, p) {
			t.Fatalf("jwk %s: %v", jwk, err)
		}
		multikey, err := p.Multikey()
		if err != nil || multikey[0] != 'z' {
			t.Fatalf("multikey %q: %v", multikey, err)
		}
		var m map[int]any
		if err := cbor.Unmarshal(p, &m); err != nil {
			t.Fatalf("not a COSE_Key: %v", err)
		}
	}
	off := bytes.Clone(public(t, &ec.PublicKey))
	off[76] ^= 1
	for name, bad := range map[string]registry.PublicKey{"off the curve": off, "empty": nil, "cut": off[:76], "tail": append(bytes.Clone(off), 0)} {
		if _, err := bad.Crypto(); !errors.Is(err, registry.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, jwk := range []string{
		`{"crv":"P-256","kty":"EC","x":"AA","y":"AA"}`, `{"crv":"Ed25519","kty":"OKP","x":"AA"}`, `{}`, `{"kty":"RSA"}`,
		`{"crv":"Ed25519","kty":"OKP","x":"` + string(bytes.Repeat([]byte("A"), 43)) + `","d":"AA"}`,
	} {
		if _, err := registry.ParseJWK([]byte(jwk)); !errors.Is(err, registry.ErrKey) {
			t.Errorf("%s: %v", jwk, err)
		}
	}
}

func TestTransactionRoundTrip(t *testing.T) {
	key, _ := edKey(t, "sponsor")
	tx := registry.Transaction{Network: "test", ChainID: "c-1", Sponsor: "kta", Nonce: 7, Operations: [][]byte{{1}, {2}}}
	b, err := tx.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := registry.ParseTransaction(b, "test")
	if err != nil || got.Verify(key.Public) != nil || got.Nonce != 7 || len(got.Operations) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	elsewhere, err := registry.ParseTransaction(b, "prod")
	if err != nil || !errors.Is(elsewhere.Verify(key.Public), registry.ErrSignature) {
		t.Fatalf("a transaction of another network holds: %v", err)
	}
	for name, bad := range map[string]registry.Transaction{
		"no operations": {Network: "test", ChainID: "c-1", Sponsor: "kta", Nonce: 7},
		"no nonce":      {Network: "test", ChainID: "c-1", Sponsor: "kta", Operations: [][]byte{{1}}},
		"no sponsor":    {Network: "test", ChainID: "c-1", Nonce: 1, Operations: [][]byte{{1}}},
		"slash":         {Network: "test", ChainID: "c-1", Sponsor: "a/b", Nonce: 1, Operations: [][]byte{{1}}},
	} {
		if _, err := bad.Sign(key); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}
