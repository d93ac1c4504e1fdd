package sdjwt

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dojang-id/dojang/internal/keys"
)

// anyValue draws a JSON value with selectively disclosable parts anywhere in it.
func anyValue(t *rapid.T, depth int) Value {
	kind := rapid.IntRange(0, 6).Draw(t, "kind")
	if depth >= 4 {
		kind %= 4
	}
	switch kind {
	case 0, 1:
		return Text(rapid.String().Draw(t, "text"))
	case 2:
		return Int(rapid.Int64().Draw(t, "int"))
	case 3:
		return Flag(rapid.Bool().Draw(t, "flag"))
	case 4:
		n := rapid.IntRange(0, 4).Draw(t, "elements")
		elements := make([]Element, n)
		for i := range elements {
			elements[i] = Element{Value: anyValue(t, depth+1), SD: rapid.Bool().Draw(t, "sd")}
		}
		return ArrayOf(elements...)
	}
	return ObjectOf(anyClaims(t, depth+1)...)
}

func anyClaims(t *rapid.T, depth int) []Claim {
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z"\\\n가-힣]{1,6}`), 0, 5, rapid.ID[string]).Draw(t, "names")
	var claims []Claim
	for _, name := range names {
		if reservedAtTop(name) {
			continue
		}
		claims = append(claims, Claim{Name: name, Value: anyValue(t, depth), SD: rapid.Bool().Draw(t, "sd")})
	}
	return claims
}

func drawWorld(t *rapid.T) (issuer, holder keys.Signer) {
	alg := rapid.SampledFrom([]string{keys.ES256, keys.EdDSA})
	issuer, err1 := keys.Generate(alg.Draw(t, "issuer"))
	holder, err2 := keys.Generate(alg.Draw(t, "holder"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return issuer, holder
}

// plain removes the order of names, which disclosure does not keep.
func plain(v Value) any { return v.Any() }

// Whatever is issued comes back whole when all is shown, and exactly what was chosen otherwise.
func TestIssuePresentVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		issuer, holder := drawWorld(t)
		claims := anyClaims(t, 1)
		p, err := Prepare(Credential{
			Alg: issuer.Public().Alg(), VCT: "t", Expires: now.Add(3600e9), Holder: holder.Public(), Claims: claims,
			Decoys: rapid.IntRange(0, 3).Draw(t, "decoys"),
		}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Sign(issuer)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, string(p.SigningInput())+".") || len(p.Disclosures()) != strings.Count(text, "~")-1 {
			t.Fatal("what was recorded is not what was signed")
		}
		held, err := Open(text)
		if err != nil {
			t.Fatal(err)
		}
		want := plain(ObjectOf(claims...)).(map[string]any)
		got := plain(held.Claims()).(map[string]any)
		for _, name := range []string{"vct", "exp", "cnf"} {
			delete(got, name)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("issued and held differ:\n%s", d)
		}
		presentSome(t, held, issuer, holder)
	})
}

func presentSome(t *rapid.T, held *Held, issuer, holder keys.Signer) {
	all := held.Disclosable()
	var chosen []Path
	for i, path := range all {
		if rapid.Bool().Draw(t, fmt.Sprint("choose", i)) {
			chosen = append(chosen, path)
		}
	}
	text, err := held.Present(chosen, KeyBinding{Audience: testAudience, Nonce: testNonce, IssuedAt: now}, holder)
	if err != nil {
		t.Fatal(err)
	}
	u, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	v, err := u.Verify(issuer.Public(), bound())
	if err != nil {
		t.Fatal(err)
	}
	if !v.HolderProven() || !v.Holder().Equal(holder.Public()) {
		t.Fatal("holder is not proven")
	}
	// the disclosures sent are those of the chosen paths, their parents and what lies below them
	want := 0
	for _, path := range all {
		for _, c := range chosen {
			short, long := path, c
			if len(short) > len(long) {
				short, long = long, short
			}
			if cmp.Equal(short, long[:len(short)]) {
				want++
				break
			}
		}
	}
	if got := strings.Count(text, "~") - 1; got != want {
		t.Fatalf("sent %d disclosures, chose %d", got, want)
	}
	if got := len(v.Disclosed()); got != want {
		t.Fatalf("verified %d disclosures, sent %d", got, want)
	}
	other := bound()
	other.Nonce = "another"
	if err := verifyText(text, issuer.Public(), other); !errors.Is(err, NonceMismatch) {
		t.Fatalf("another nonce: %v", err)
	}
}

// No single changed byte of a presentation verifies.
func TestEveryByteCounts(t *testing.T) {
	w := newWorld(t)
	text := w.present(w.issue(w.credential()), Path{"address"}, Path{"nationalities", 1})
	for i := range len(text) {
		for _, change := range []byte{1, 0x20} {
			spoiled := []byte(text)
			spoiled[i] ^= change
			if err := verifyText(string(spoiled), w.issuer.Public(), bound()); err == nil {
				t.Fatalf("byte %d of %d changed and still verified", i, len(text))
			} else if _, ok := ReasonOf(err); !ok {
				t.Fatalf("byte %d: an error without a reason: %v", i, err)
			}
		}
	}
}

func TestHeld(t *testing.T) {
	w := newWorld(t)
	text := w.issue(w.credential())
	held, err := Open(text)
	if err != nil {
		t.Fatal(err)
	}
	if held.Text() != text || !held.Holder().Equal(w.holder.Public()) || len(held.Disclosable()) != 7 {
		t.Errorf("text, holder or paths are wrong: %v", held.Disclosable())
	}
	for _, c := range []struct {
		name  string
		paths []Path
		sent  int
		err   error
	}{
		{"nothing", nil, 0, nil},
		{"always disclosed", []Path{{"issuing_country"}, {"vct"}}, 0, nil},
		{"one", []Path{{"family_name"}}, 1, nil},
		{"the same twice", []Path{{"family_name"}, {"family_name"}}, 1, nil},
		{"child takes its parent", []Path{{"address", "sido"}}, 2, nil},
		{"parent takes its children", []Path{{"address"}}, 3, nil},
		{"one element", []Path{{"nationalities", 1}}, 1, nil},
		{"all elements", []Path{{"nationalities", nil}}, 2, nil},
		{"array takes its elements", []Path{{"nationalities"}}, 2, nil},
		{"not there", []Path{{"family_name"}, {"nickname"}}, 0, ErrSelection},
		{"index out of range", []Path{{"nationalities", 2}}, 0, ErrSelection},
		{"negative index", []Path{{"nationalities", -1}}, 0, ErrSelection},
		{"name into an array", []Path{{"nationalities", "x"}}, 0, ErrSelection},
		{"empty path", []Path{{}}, 0, ErrSelection},
		{"component of another type", []Path{{1.5}}, 0, ErrSelection},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := held.Select(c.paths)
			if !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if err == nil && strings.Count(out, "~")-1 != c.sent {
				t.Errorf("sent %d disclosures, want %d", strings.Count(out, "~")-1, c.sent)
			}
			if err != nil && out != "" {
				t.Error("an error came with a text")
			}
		})
	}
	kb := KeyBinding{Audience: testAudience, Nonce: testNonce, IssuedAt: now}
	if _, err := held.Present(nil, kb, w.issuer); !errors.Is(err, HolderBindingInvalid) {
		t.Errorf("another key: %v", err)
	}
	if _, err := held.Present(nil, KeyBinding{Audience: "x", Nonce: "y"}, w.holder); err == nil {
		t.Error("presented without a time")
	}
	if _, err := Open(w.present(text)); !errors.Is(err, Malformed) {
		t.Errorf("held a presentation: %v", err)
	}
}

func TestVerifiedEnvelope(t *testing.T) {
	w := newWorld(t)
	c := w.credential()
	u, err := Parse(w.present(w.issue(c), Path{"family_name"}))
	if err != nil {
		t.Fatal(err)
	}
	h := u.Hints()
	if h.Issuer != c.Issuer || h.VCT != c.VCT || h.Kid != c.Kid || !h.KeyBinding || h.Alg != keys.ES256 || !h.IssuedAt.Equal(c.IssuedAt) {
		t.Errorf("hints %+v", h)
	}
	v, err := u.Verify(w.issuer.Public(), bound())
	if err != nil {
		t.Fatal(err)
	}
	ref, ok := v.Status()
	if !ok || ref != *c.Status || v.Issuer() != c.Issuer || v.VCT() != c.VCT || v.Kid() != c.Kid || !v.Expires().Equal(c.Expires) || !v.NotBefore().Equal(c.NotBefore) {
		t.Error("envelope came back changed")
	}
	if name, _ := v.Claims().Get("family_name"); name.Str() != "한" {
		t.Error("disclosed claim is missing")
	}
	if _, there := v.Claims().Get("given_name"); there {
		t.Error("a withheld claim is there")
	}
}

func TestParseClaims(t *testing.T) {
	claims, err := ParseClaims([]byte(`{"a":{"b":[1,2.50,"x"]},"c":true,"k":"\ud55c"}`), []Path{{"a", "b", nil}, {"c"}})
	if err != nil {
		t.Fatal(err)
	}
	if !claims[1].SD || claims[0].SD || !claims[0].Value.Select(Path{"b"})[0].Elements()[2].SD || claims[2].Value.Str() != "한" {
		t.Error("marks are wrong")
	}
	if got := string(ObjectOf(claims...).JSON()); got != `{"a":{"b":[1,2.50,"x"]},"c":true,"k":"한"}` {
		t.Errorf("came back as %s", got)
	}
	for _, c := range []struct {
		object string
		sd     []Path
		want   error
	}{
		{`{"a":1,"a":2}`, nil, ErrClaims},
		{`[]`, nil, ErrClaims},
		{`{} x`, nil, ErrClaims},
		{`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, nil, ErrClaims},
		{`{"a":1}`, []Path{{"b"}}, ErrSelection},
		{`{"a":1}`, []Path{{}}, ErrSelection},
	} {
		if _, err := ParseClaims([]byte(c.object), c.sd); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.object, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	w := newWorld(f)
	text := w.issue(w.credential())
	d := disclose(`["s","a",{"_sd":["x"]}]`)
	for _, seed := range []string{
		text, w.present(text, Path{"address"}), "", "~", "~~", "a.b.c~", text + "~", strings.TrimSuffix(text, "~"),
		w.forge(vcHeader, `{"vct":"t","_sd":["`+digestOf(d)+`"]}`, d), w.forge(vcHeader, `{"vct":"t","n":[{"...":"x"}]}`),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse(text)
		if err != nil {
			if _, ok := ReasonOf(err); !ok {
				t.Fatalf("an error without a reason: %v", err)
			}
			if u != nil {
				t.Fatal("an error came with a token")
			}
			return
		}
		if got := string(u.body) + u.kb; got != text {
			t.Fatal("two spellings of one token")
		}
		json := u.claims.JSON()
		if strings.Contains(string(json), `"_sd":`) {
			t.Fatal("_sd survives processing")
		}
		if _, err := ParseClaims(json, nil); err != nil {
			t.Fatalf("processed payload is no JSON object: %v", err)
		}
		if v, err := u.Verify(w.issuer.Public(), bound()); err != nil && v != nil {
			t.Fatal("an error came with a verified token")
		}
	})
}

func FuzzParseClaims(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"_sd":["x"],"한":"\u0000"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		claims, err := ParseClaims(data, nil)
		if err != nil {
			return
		}
		p, err := Prepare(Credential{Alg: keys.ES256, VCT: "t", Claims: claims}, rand.Reader)
		if err == nil && len(p.SigningInput()) == 0 {
			t.Fatal("nothing to sign")
		}
	})
}
