package issuer

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/schemas"
)

func TestLint(t *testing.T) {
	typ, _ := schemas.Lookup("resident-id")
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	other, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	today := schemas.DateOf(now)
	good := func() (sdjwt.Credential, decided) {
		d := decided{issuer: "did:dojang:test:z1", uri: "https://status.example/z1/1", index: 7, holder: key.Public(), now: now, issued: today.Start(), expires: today.AddDays(60).Start(), lastSecond: today.AddDays(1000).Start()}
		return sdjwt.Credential{
			Alg: keys.ES256, Issuer: d.issuer, VCT: typ.VCT, IssuedAt: d.issued, NotBefore: d.issued, Expires: d.expires, Holder: key.Public(),
			Status: &sdjwt.StatusRef{URI: d.uri, Index: 7}, Claims: []sdjwt.Claim{{Name: "schema_version", Value: sdjwt.Text("1.0.0")}, {Name: "name", Value: sdjwt.Text("한가온"), SD: true}},
		}, d
	}
	for name, change := range map[string]func(*sdjwt.Credential, *decided){
		"issuer":                 func(c *sdjwt.Credential, _ *decided) { c.Issuer = "did:dojang:test:z2" },
		"type":                   func(c *sdjwt.Credential, _ *decided) { c.VCT = "urn:dojang:kr:customs-identity:1" },
		"index":                  func(c *sdjwt.Credential, _ *decided) { c.Status.Index = 8 },
		"list":                   func(c *sdjwt.Credential, _ *decided) { c.Status.URI += "0" },
		"no status":              func(c *sdjwt.Credential, _ *decided) { c.Status = nil },
		"holder key":             func(c *sdjwt.Credential, _ *decided) { c.Holder = other.Public() },
		"no holder key":          func(c *sdjwt.Credential, _ *decided) { c.Holder = nil },
		"iat to the second":      func(c *sdjwt.Credential, d *decided) { c.IssuedAt = now; d.issued = now },
		"exp to the second":      func(c *sdjwt.Credential, d *decided) { c.Expires = c.Expires.Add(1e9); d.expires = c.Expires },
		"exp after the document": func(c *sdjwt.Credential, d *decided) { d.lastSecond = today.AddDays(50).Start() },
		"exp less than 45 days":  func(c *sdjwt.Credential, d *decided) { c.Expires = today.AddDays(40).Start(); d.expires = c.Expires },
		"exp in the past": func(c *sdjwt.Credential, d *decided) {
			c.Expires = today.Start()
			d.expires, d.lastSecond = c.Expires, c.Expires
		},
		"issued tomorrow": func(c *sdjwt.Credential, d *decided) { c.IssuedAt = today.AddDays(1).Start(); d.issued = c.IssuedAt },
		"class X behind a digest": func(c *sdjwt.Credential, _ *decided) {
			c.Claims = append(c.Claims, sdjwt.Claim{Name: "rrn", Value: sdjwt.Text("x"), SD: true})
		},
		"class X in clear": func(c *sdjwt.Credential, _ *decided) {
			c.Claims = append(c.Claims, sdjwt.Claim{Name: "ci", Value: sdjwt.Text("x")})
		},
		"disclosable claim in clear": func(c *sdjwt.Credential, _ *decided) { c.Claims[1].SD = false },
		"unknown name": func(c *sdjwt.Credential, _ *decided) {
			c.Claims = append(c.Claims, sdjwt.Claim{Name: "x", Value: sdjwt.Flag(true)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, d := good()
			change(&c, &d)
			p, err := sdjwt.Prepare(c, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if err := newTypeLint(typ).lint(p, d); !errors.Is(err, errLint) {
				t.Errorf("lint says %v", err)
			}
		})
	}
	c, d := good()
	p, err := sdjwt.Prepare(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := newTypeLint(typ).lint(p, d); err != nil {
		t.Errorf("the good one: %v", err)
	}
	t.Run("B71 two copies with one salt", func(t *testing.T) {
		if err := lintBatch([]*sdjwt.Prepared{p, p}); !errors.Is(err, errLint) {
			t.Error(err)
		}
	})
	t.Run("a grant signs its own intent, once", func(t *testing.T) {
		pr := &press{signer: key}
		g := granted(Issuance{Intents: []Intent{{TBS: p.Digest()}, {TBS: [32]byte{1}}}})
		if _, err := pr.sign(g[1], p); !errors.Is(err, errGrant) {
			t.Error("signed under another intent")
		}
		if _, err := pr.sign(g[0], p); err != nil {
			t.Error(err)
		}
		if _, err := pr.sign(g[0], p); !errors.Is(err, errGrant) || pr.count.Load() != 1 {
			t.Error("signed twice")
		}
	})
}

func TestStates(t *testing.T) {
	all := []State{StateOffered, StateAuthorized, StateIssued, StateSuspended, StateNeedsRenewal, StateRevoked}
	allowed := map[State][]State{
		StateOffered: {StateRevoked}, StateAuthorized: {StateRevoked},
		StateIssued:       {StateSuspended, StateNeedsRenewal, StateRevoked},
		StateSuspended:    {StateIssued, StateNeedsRenewal, StateRevoked},
		StateNeedsRenewal: {StateIssued, StateSuspended, StateRevoked},
	}
	for _, from := range all {
		for _, to := range all {
			err := from.change(to)
			ok := from == to || slices.Contains(allowed[from], to)
			if (err == nil) != ok {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if from == StateRevoked && to != from && !errors.Is(err, ErrRevocationFinal) {
				t.Errorf("revoked to %s: %v", to, err)
			}
		}
	}
}

func TestSeal(t *testing.T) {
	s, err := newSecrets([]byte(strings.Repeat("k", 32)), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.seal([]byte("plain"), "place/a")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := s.open(sealed, "place/a"); err != nil || string(plain) != "plain" {
		t.Error(err)
	}
	if _, err := s.open(sealed, "place/b"); err == nil {
		t.Error("a row opens in another place")
	}
	for i := range sealed {
		bent := slices.Clone(sealed)
		bent[i] ^= 1
		if _, err := s.open(bent, "place/a"); err == nil {
			t.Fatalf("opens with byte %d bent", i)
		}
	}
	if _, err := s.open(nil, "place/a"); err == nil {
		t.Error("nothing opens")
	}
	if _, err := newSecrets([]byte("short"), rand.Reader); err == nil {
		t.Error("a short secret is taken")
	}
}

func TestCodes(t *testing.T) {
	seen := map[string]int{}
	for range 2000 {
		c, err := drawTxCode(rand.Reader)
		if err != nil || len(c) != 6 || strings.Trim(c, "0123456789") != "" {
			t.Fatal(c, err)
		}
		seen[c[:1]]++
	}
	for d, n := range seen {
		if n < 130 || n > 280 {
			t.Errorf("codes beginning with %s: %d of 2000", d, n)
		}
	}
	if first, again := codeOf("a"), codeOf("a"); first == codeOf("b") || len(first) != 43 || first != again {
		t.Error("codes are derived from references")
	}
}

func TestDisclosedName(t *testing.T) {
	const salt = `["AAAAAAAAAAAAAAAAAAAAAA",`
	for _, tc := range []struct {
		text, name  string
		element, ok bool
	}{
		{salt + `"name","한"]`, "name", false, true},
		{salt + `"address",{"_sd":[]}]`, "address", false, true},
		{salt + `"00012"]`, "00012", true, true},
		{salt + `"a\",\"b"]`, `a\",\"b`, true, true},
		{salt + `{"_sd":[]}]`, "", true, true},
		{salt + `"na\u006de","x"]`, `na\u006de`, false, true}, // no type has such a name
		{salt + `"name`, "", false, false},
		{salt, "", false, false},
		{`["short","name","x"]`, "", false, false},
		{`["AAAAAAAAAAAAAAAAAAAAA\u0041","name","x"]`, "", false, false},
		{`{"a":1}`, "", false, false},
		{``, "", false, false},
	} {
		name, element, ok := disclosedName([]byte(tc.text))
		if ok != tc.ok || ok && (element != tc.element || string(name) != tc.name && name != nil) {
			t.Errorf("%s: %q %v %v", tc.text, name, element, ok)
		}
	}
}

func FuzzDisclosedName(f *testing.F) {
	f.Add([]byte(`["AAAAAAAAAAAAAAAAAAAAAA","name",1]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, element, ok := disclosedName(b); ok && !element && name == nil {
			t.Error("an object member without a name")
		}
	})
}
