package registry_test

import (
	"bytes"
	"testing"

	"github.com/dojang-id/dojang/registry"
)

func FuzzParseOperation(f *testing.F) {
	f.Add([]byte{0x82, 0x40, 0x80})
	f.Add([]byte(nil))
	t := &testing.T{}
	key, _ := edKey(t, "op")
	op := createOperation(t, key.Public)
	if b, err := op.Sign(key); err == nil {
		f.Add(b)
	}
	member := key
	member.Role = registry.RoleMember("kta")
	op = registry.Operation{Network: "test", ChainID: "c-1", DID: "did:dojang:test:QmX", Body: &registry.AccreditBody{
		Type: "urn:dojang:kr:resident-id:1", N: 1, Basis: []string{"law"}, From: 1,
	}}
	if b, err := op.Sign(member); err == nil {
		f.Add(b)
	}
	inner := registry.Operation{Network: "test", ChainID: "c-1", Seq: 3, Body: &registry.ThresholdBody{K: 2}}
	if proposal, err := registry.Propose("kta", inner, key); err == nil {
		for _, body := range []registry.Body{proposal, &registry.VoteBody{Member: "kta", N: 1}, &registry.MemberRemoveBody{ID: "kta"}, &registry.MemberKeysBody{ID: "kta", Key: key.Public},
			&registry.ValidatorBody{Power: 1, Operator: "kta", Site: "seoul"}, &registry.ParamsBody{TimeLock: new(uint64(3600)), Emergency: new(uint64(0))},
			&registry.MemberAddBody{ID: "b", Name: map[string]string{"en": "B"}, Key: key.Public, Sponsor: otherKey(t).Public}} {
			if b, err := (registry.Operation{Network: "test", ChainID: "c-1", Body: body}).Sign(member); err == nil {
				f.Add(b)
			}
		}
	}
	ref := registry.RoundRef{Programme: "p", Round: "1"}
	for _, body := range []registry.Body{&registry.EmergencyBody{At: 1, Key: "k1"}, &registry.ClaimBody{RoundRef: ref}, &registry.RoundCloseBody{RoundRef: ref},
		&registry.RoundOpenBody{RoundRef: ref, Via: registry.AccreditationRef{Type: "urn:dojang:kr:resident-id:1", N: 1}, Key: key.Public, Until: 1}} {
		if b, err := (registry.Operation{Network: "test", ChainID: "c-1", DID: "did:dojang:test:QmX", Body: body}).Sign(member); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := registry.ParseOperation(b)
		if err != nil {
			if s != nil {
				t.Fatal("an error with a result")
			}
			return
		}
		again, err := s.Operation.Payload()
		if err != nil || !bytes.Equal(again, s.Payload) {
			t.Fatalf("a second encoding of one operation: %v", err)
		}
	})
}

func FuzzParseTransaction(f *testing.F) {
	t := &testing.T{}
	key, _ := edKey(t, "sponsor")
	if b, err := (registry.Transaction{Network: "test", ChainID: "c-1", Sponsor: "kta", Nonce: 7, Operations: [][]byte{{1}}}).Sign(key); err == nil {
		f.Add(b)
	}
	f.Add([]byte{0x82, 0x40, 0x82, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, b []byte) {
		if tx, err := registry.ParseTransaction(b, "test"); err != nil && tx != nil {
			t.Fatal("an error with a result")
		}
	})
}

func FuzzParseJWK(f *testing.F) {
	f.Add([]byte(`{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := registry.ParseJWK(b)
		if err != nil {
			return
		}
		jwk, err := k.JWK()
		if err != nil {
			t.Fatal(err)
		}
		again, err := registry.ParseJWK(jwk)
		if err != nil || !bytes.Equal(k, again) {
			t.Fatal("a key with two forms")
		}
	})
}

func otherKey(t *testing.T) registry.SigningKey {
	key, _ := edKey(t, "other")
	return key
}
