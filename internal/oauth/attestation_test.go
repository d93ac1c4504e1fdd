package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
)

const (
	server = "https://issuer.example/gaon"
	client = "https://wallet.example"
)

type wallet struct {
	provider, instance keys.Signer
}

func newWallet(t testing.TB) wallet {
	return wallet{newSigner(t, keys.ES256), newSigner(t, keys.ES256)}
}

func (w wallet) expect() AttestationExpect {
	return AttestationExpect{
		Audience: server, ClientID: client, Now: now, FirstUse: memory(),
		TrustedKey: func(h *keys.Header) (*keys.PublicKey, error) {
			if h.Kid != "p1" {
				return nil, errors.New("unknown provider")
			}
			return w.provider.Public(), nil
		},
	}
}

func (w wallet) claims(change map[string]any) map[string]any {
	var jwk any
	_ = json.Unmarshal(w.instance.Public().JWK(), &jwk)
	c := map[string]any{"iss": "https://provider.example", "sub": client, "iat": now.Unix() - 60, "exp": now.Unix() + 600, "cnf": map[string]any{"jwk": jwk}}
	return changed(c, change)
}

func popFor(change map[string]any) map[string]any {
	return changed(map[string]any{"iss": client, "aud": server, "jti": "j1", "iat": now.Unix(), "challenge": "c1"}, change)
}

func changed(c, change map[string]any) map[string]any {
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func (w wallet) header(wia, pop string) http.Header {
	h := http.Header{}
	h.Set(HeaderAttestation, wia)
	h.Set(HeaderAttestationPoP, pop)
	return h
}

func TestVerifyAttestation(t *testing.T) {
	w := newWallet(t)
	stranger := newSigner(t, keys.ES256)
	wiaHeader := keys.Header{Typ: keys.TypClientAttestation, Kid: "p1"}
	popHeader := keys.Header{Typ: keys.TypClientAttestPoP}
	wia := func(change map[string]any) string { return sign(t, w.provider, wiaHeader, w.claims(change)) }
	pop := func(change map[string]any) string { return sign(t, w.instance, popHeader, popFor(change)) }
	tests := []struct {
		name     string
		wia, pop string
		want     Code
	}{
		{"good", wia(nil), pop(nil), ""},
		{"without iss in the proof (later drafts)", wia(nil), pop(map[string]any{"iss": nil}), ""},
		{"B24 attestation signature", sign(t, stranger, wiaHeader, w.claims(nil)), pop(nil), InvalidClient},
		{"B24 proof signature", wia(nil), flip(pop(nil)), InvalidClient},
		{"B24 exp in the past", wia(map[string]any{"exp": now.Unix() - 1}), pop(nil), InvalidClient},
		{"B24 exp is now", wia(map[string]any{"exp": now.Unix()}), pop(nil), InvalidClient},
		{"B24 no exp", wia(map[string]any{"exp": nil}), pop(nil), InvalidClient},
		{"B24 no sub", wia(map[string]any{"sub": nil}), pop(nil), InvalidClient},
		{"B24 proof for another server", wia(nil), pop(map[string]any{"aud": server + "/"}), InvalidClient},
		{"B24 proof for several servers", wia(nil), pop(map[string]any{"aud": []string{server}}), InvalidClient},
		{"B24 proof key is not cnf", wia(nil), sign(t, stranger, popHeader, popFor(nil)), InvalidClient},
		{"another client than the request's", wia(map[string]any{"sub": "https://other.example"}), pop(map[string]any{"iss": nil}), InvalidClient},
		{"iss of the proof is another client", wia(nil), pop(map[string]any{"iss": "x"}), InvalidClient},
		{"no cnf", wia(map[string]any{"cnf": nil}), pop(nil), InvalidClient},
		{"not valid yet", wia(map[string]any{"nbf": now.Unix() + 3600}), pop(nil), InvalidClient},
		{"own key in the header", sign(t, stranger, keys.Header{Typ: keys.TypClientAttestation, JWK: stranger.Public()}, w.claims(nil)), pop(nil), InvalidClient},
		{"own key beside a trusted kid", sign(t, w.provider, keys.Header{Typ: keys.TypClientAttestation, Kid: "p1", JWK: w.provider.Public()}, w.claims(nil)), pop(nil), InvalidClient},
		{"proof as attestation", pop(nil), pop(nil), InvalidClient},
		{"attestation as proof", wia(nil), wia(nil), InvalidClient},
		{"old proof", wia(nil), pop(map[string]any{"iat": now.Unix() - 3600}), InvalidClient},
		{"no jti", wia(nil), pop(map[string]any{"jti": nil}), InvalidClient},
		{"B26 no challenge", wia(nil), pop(map[string]any{"challenge": nil}), UseAttestationChallenge},
		{"B26 stale challenge", wia(nil), pop(map[string]any{"challenge": "c0"}), UseAttestationChallenge},
		{"B26 attestation too old", wia(map[string]any{"iat": now.Unix() - 7200}), pop(nil), UseFreshAttestation},
		{"B26 attestation of unknown age", wia(map[string]any{"iat": nil}), pop(nil), UseFreshAttestation},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			uses := 0
			e := w.expect()
			e.MaxAge = time.Hour
			e.FirstUse = func(string, time.Time) (bool, error) { uses++; return true, nil }
			e.CheckChallenge = func(c string) error {
				if c != "c1" {
					return errors.New("stale")
				}
				return nil
			}
			a, err := VerifyAttestation(w.header(tt.wia, tt.pop), e)
			if tt.want == "" {
				if err != nil || a.ClientID != client || !a.Key.Equal(w.instance.Public()) || uses != 1 {
					t.Fatalf("%+v, %v", a, err)
				}
				return
			}
			if CodeOf(err) != tt.want || a.Key != nil || uses != 0 {
				t.Fatalf("got %v, %+v, %d uses", err, a, uses)
			}
			if want := map[Code]int{InvalidClient: 401, UseAttestationChallenge: 400, UseFreshAttestation: 400}[tt.want]; AsError(err).Status() != want {
				t.Fatalf("status %d", AsError(err).Status())
			}
			if tt.want == UseAttestationChallenge {
				rec := httptest.NewRecorder()
				WriteError(rec, AsError(err).WithHeader(HeaderChallenge, "c1"))
				if rec.Header().Get(HeaderChallenge) != "c1" {
					t.Fatal("no fresh challenge")
				}
			}
		})
	}
	t.Run("B26 proof of possession used twice", func(t *testing.T) {
		e := w.expect()
		h := w.header(wia(nil), pop(nil))
		if _, err := VerifyAttestation(h, e); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyAttestation(h, e); CodeOf(err) != InvalidClient {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("missing or doubled headers", func(t *testing.T) {
		h := w.header(wia(nil), pop(nil))
		h.Add(HeaderAttestation, wia(nil))
		for _, h := range []http.Header{{}, h} {
			if _, err := VerifyAttestation(h, w.expect()); CodeOf(err) != InvalidClient {
				t.Fatalf("got %v", err)
			}
		}
		if HasAttestation(http.Header{}) || !HasAttestation(h) {
			t.Fatal("HasAttestation")
		}
	})
}

func flip(jws string) string {
	i := strings.LastIndexByte(jws, '.') + 1
	c := byte('A')
	if jws[i] == 'A' {
		c = 'B'
	}
	return jws[:i] + string(c) + jws[i+1:]
}

func TestBuildAttestation(t *testing.T) {
	w := newWallet(t)
	a := Attestation{Issuer: "https://provider.example", ClientID: client, Key: w.instance.Public(), IssuedAt: now, NotBefore: now,
		Expires: now.Add(time.Hour), WalletName: "도장 지갑", WalletLink: "https://wallet.example/about", Status: []byte(`{"status_list":{"idx":1}}`)}
	wia, err := BuildAttestation(w.provider, AttestationHeader{Kid: "p1"}, a)
	if err != nil {
		t.Fatal(err)
	}
	pop, err := BuildAttestationPoP(w.instance, AttestationPoP{ClientID: client, Audience: server, JTI: "j", Challenge: "c", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	got, err := VerifyAttestation(w.header(wia, pop), w.expect())
	if err != nil {
		t.Fatal(err)
	}
	if got.WalletName != a.WalletName || got.WalletLink != a.WalletLink || string(got.Status) != string(a.Status) ||
		!got.Expires.Equal(a.Expires) || !got.NotBefore.Equal(now) || got.Issuer != a.Issuer {
		t.Fatalf("%+v", got)
	}
	if _, err := BuildAttestation(w.provider, AttestationHeader{}, Attestation{ClientID: client}); err == nil {
		t.Fatal("attestation without key and expiry was built")
	}
}

// The specification's own wallet attestation; its key is in its certificate, which nobody here trusts but the test.
func TestSpecificationAttestation(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(vectors(t), "openid4vci-examples", "wallet_attestation.jwt.txt"))
	if err != nil {
		t.Fatal(err)
	}
	jwt := strings.ReplaceAll(strings.TrimSpace(string(raw)), "\n", "")
	j, err := keys.ParseJWS(jwt, keys.Expect{Typ: keys.TypClientAttestation})
	if err != nil {
		t.Fatal(err)
	}
	e := AttestationExpect{Now: time.Unix(1755023547, 0), TrustedKey: func(h *keys.Header) (*keys.PublicKey, error) { return leafKey(h) }}
	a, err := e.openAttestation(jwt)
	if err != nil {
		t.Fatal(err)
	}
	if a.ClientID != "https://wallet.example.com" || a.WalletName != "Wallet Solution X by Wonderland State Department" || len(j.Header().X5C) != 1 {
		t.Fatalf("%+v", a)
	}
	e.Now = time.Unix(1755102745, 0)
	if _, err := e.openAttestation(jwt); CodeOf(err) != InvalidClient {
		t.Fatalf("at exp: %v", err)
	}
}

func FuzzVerifyAttestation(f *testing.F) {
	w := newWallet(f)
	f.Add(sign(f, w.provider, keys.Header{Typ: keys.TypClientAttestation, Kid: "p1"}, w.claims(nil)),
		sign(f, w.instance, keys.Header{Typ: keys.TypClientAttestPoP}, popFor(nil)))
	f.Add("", "..")
	f.Fuzz(func(t *testing.T, wia, pop string) {
		a, err := VerifyAttestation(w.header(wia, pop), w.expect())
		if (err == nil) != (a.Key != nil) {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}

func FuzzDecodeAttestation(f *testing.F) {
	f.Add([]byte(`{"sub":"a","exp":1,"cnf":{"jwk":{}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if a, err := decodeAttestation(payload); err == nil && (a.Key == nil || a.ClientID == "") {
			t.Fatalf("%+v", a)
		}
	})
}
