package console

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// form is an upload with these parts, name and content in turn.
func form(t *testing.T, parts ...string) *httptest.ResponseRecorder {
	t.Helper()
	return upload(t, newServer(t, newFake()), parts...)
}

func upload(t *testing.T, s *Server, parts ...string) *httptest.ResponseRecorder {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(parts); i += 2 {
		part, err := w.CreateFormFile(parts[i], "x.evidence")
		if err == nil {
			_, err = part.Write([]byte(parts[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/en/check", &body)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return do(t, s, r)
}

// world is a chain with an accredited agency and Evidence of it.
func world(t *testing.T) (*chaintest.Chain, registry.DID, chain.Query) {
	t.Helper()
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("mois")
	const vct = "urn:dojang:kr:resident-id:1"
	c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"KR-RRA-24-2"}, From: c.Time.Unix() - 60}}, chaintest.Member(0)))
	c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.RegisterBody{Purpose: "test", Name: map[string]string{"en": "Hanbit <b>"}, Text: map[string]string{"en": "x"},
		Claims: map[string][]string{vct: {"name"}}, Basis: []string{"x"}, From: c.Time.Unix()}}, chaintest.Member(0)))
	return c, a.DID, chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: chaintest.AssertionID}}, Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}},
		Registrations: []chain.RegistrationRef{{DID: a.DID, Purpose: "test"}}, DIDs: []registry.DID{a.DID}, Types: []string{vct},
		Raw: [][]byte{registry.ParamsFamily().Latest(), registry.MemberFamily("member-0").Latest()}}
}

func TestCheckSteps(t *testing.T) {
	c, _, q := world(t)
	material := func() evidence.Material { return c.Material(q) }
	build := func(t *testing.T, m evidence.Material) []byte {
		t.Helper()
		raw, err := evidence.Build(m)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	rows := []struct {
		name, step string // the step that fails; "" for none
		make       func(t *testing.T) []byte
		trust      func(*evidence.Trust)
		late       time.Duration
	}{
		{"whole", "", func(t *testing.T) []byte { return build(t, material()) }, nil, 0},
		{"no Evidence at all", "shape", func(*testing.T) []byte { return []byte("%PDF-1.7") }, nil, 0},
		{"a byte too many", "shape", func(t *testing.T) []byte { return append(build(t, material()), 0) }, nil, 0},
		{"another chain", "chain", func(t *testing.T) []byte { return build(t, material()) }, func(tr *evidence.Trust) { tr.ChainID = "other-1" }, 0},
		{"from the future", "time", func(t *testing.T) []byte { return build(t, material()) }, nil, -time.Hour},
		{"older than the trusted header and later", "time", func(t *testing.T) []byte { return build(t, material()) }, func(tr *evidence.Trust) { tr.Height = 1 << 40 }, 0},
		{"a fact changed", "state", func(t *testing.T) []byte {
			return bytes.Replace(build(t, material()), []byte("Hanbit"), []byte("Hanbot"), 1)
		}, nil, 0},
		{"a date changed", "dates", func(t *testing.T) []byte {
			m := material()
			m.Points[0].Time = m.Points[0].Time.Add(time.Millisecond)
			return build(t, m)
		}, nil, 0},
		{"too old", "age", func(t *testing.T) []byte { return build(t, material()) }, nil, 31 * 24 * time.Hour},
		{"unknown validators", "set", func(t *testing.T) []byte { return build(t, material()) }, func(tr *evidence.Trust) {
			tr.Validators = evidence.ValidatorSet{{PublicKey: [32]byte{1}, Power: 10}}
		}, 0},
		{"a vote forged", "votes", func(t *testing.T) []byte {
			m := material()
			m.Headers[len(m.Headers)-1].Commit.Votes[0].Signature[3] ^= 1
			return build(t, m)
		}, nil, 0},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			raw := r.make(t)
			f := newFake()
			f.trust = c.Trust()
			if r.trust != nil {
				r.trust(&f.trust)
			}
			s, err := New(Config{Source: f, Now: func() time.Time { return c.Now().Add(r.late) }})
			if err != nil {
				t.Fatal(err)
			}
			w := upload(t, s, "evidence", string(raw))
			body := html.UnescapeString(w.Body.String())
			guarded(t, w)
			if w.Code != 200 || strings.Contains(body, "It holds") != (r.step == "") || strings.Contains(body, "It does not hold") == (r.step == "") {
				t.Fatalf("%d, %s", w.Code, body)
			}
			if r.step == "" {
				for _, want := range []string{"Mobile resident ID", "KR-RRA-24-2", "Hanbit <b>", "Signs certificates and status lists", "Member 0"} {
					if !strings.Contains(body, want) {
						t.Errorf("does not say %q", want)
					}
				}
				return
			}
			_, after, ok := strings.Cut(body, "✗ Failed</span> <span>")
			if !ok || !strings.HasPrefix(after, texts["ck."+r.step].en) {
				t.Errorf("another step failed: %.60q", after)
			}
			if strings.Contains(body, "Hanb") {
				t.Error("facts of an Evidence that does not hold are shown")
			}
		})
	}
}

func TestUpload(t *testing.T) {
	for _, r := range []struct {
		name  string
		parts []string
		want  int
	}{
		{"empty file", []string{"evidence", ""}, 400},
		{"J19 a byte above the limit", []string{"evidence", strings.Repeat("x", evidence.MaxSize+1)}, 413},
		{"at the limit", []string{"evidence", strings.Repeat("x", evidence.MaxSize)}, 200},
		{"J19 more than the form may hold", []string{"evidence", strings.Repeat("x", maxUpload)}, 413},
		{"another field", []string{"other", "x"}, 400},
		{"J19 a second field", []string{"evidence", "x", "evidence", "y"}, 400},
		{"no field", nil, 400},
	} {
		t.Run(r.name, func(t *testing.T) {
			if w := form(t, r.parts...); w.Code != r.want {
				t.Errorf("%d, want %d", w.Code, r.want)
			}
		})
	}
	t.Run("not a form", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/en/check", strings.NewReader("evidence=x"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if w := do(t, newServer(t, newFake()), r); w.Code != 400 {
			t.Errorf("%d", w.Code)
		}
	})
	t.Run("a form without end", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/en/check", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"evidence\"\r\n\r\nabc"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		if w := do(t, newServer(t, newFake()), r); w.Code != 400 {
			t.Errorf("%d", w.Code)
		}
	})
}

// An error that is none of the check's leaves no step passed.
func TestFailedStep(t *testing.T) {
	for _, r := range []struct {
		err  error
		want evidence.Step
	}{{nil, ""}, {fmt.Errorf("x: %w", evidence.ErrTooOld), evidence.StepAge}, {errors.New("anything else"), evidence.StepSize}} {
		if got := failedStep(r.err); got != r.want {
			t.Errorf("%v: %s, want %s", r.err, got, r.want)
		}
	}
}

func FuzzParseFact(f *testing.F) {
	f.Add("key", testID("a").ID(), "cred-1", "")
	f.Add("anchor", strings.Repeat("ab", 32), "", "")
	f.Add("parameters", "", "", "")
	f.Add("did", "../x", "%2f", "")
	f.Add("round", testID("a").ID(), "youth-rent", "2026-1")
	f.Add("accreditation-history", testID("a").ID(), "urn:x:1", "1")
	f.Add("proposal", "7", "", "")
	f.Fuzz(func(t *testing.T, kind, id, name, sub string) {
		fact, err := ParseFact(kind, id, name, sub)
		if err != nil {
			if fact != (Fact{}) {
				t.Fatal("a fact with an error")
			}
			return
		}
		parts := strings.Split(strings.TrimPrefix(fact.Path(), "/evidence/"), "/")
		again, err := ParseFact(parts...)
		if err != nil || again != fact || strings.ContainsAny(fact.Path(), " \"'<>%\\?#") {
			t.Fatalf("%q does not come back: %v", fact.Path(), err)
		}
	})
}

func FuzzPlaces(f *testing.F) {
	f.Add(testID("a").ID() + "/urn:dojang:kr:resident-id:1/1")
	f.Add(testID("a").ID() + "/account-opening")
	f.Add("' OR 1=1--")
	f.Fuzz(func(t *testing.T, s string) {
		for _, valid := range []func(string) bool{validID, validAccreditationPlace, validRegistrationPlace, validIssuerPlace, validRoundPlace, validNumber} {
			if valid(s) && (len(s) > 256 || strings.ContainsAny(s, " \"'<>%\\?#\x00") || strings.Contains(s, "//") || strings.HasSuffix(s, "/")) {
				t.Fatalf("took %q", s)
			}
		}
	})
}

// A search leads to a page of ours or says that it leads nowhere, whatever was asked.
func FuzzFind(f *testing.F) {
	for _, q := range []string{"#7", "12", "의안 3", string(testID("mois")) + "/urn:dojang:kr:resident-id:1/1", "https://status.example/" + testID("mois").ID() + "/1",
		"//evil.example", "urn:dojang:kr:resident-id:1", strings.Repeat("ab", 32), "d/" + testID("mois").ID() + "/accr/urn:x/2", "kr-trust"} {
		f.Add(q)
	}
	source := newFake()
	f.Fuzz(func(t *testing.T, q string) {
		places, why, err := finder{source, t.Context(), source.network}.places(q)
		if err != nil {
			t.Fatal(err)
		}
		if len(places) == 0 {
			if _, ok := texts[why]; !ok {
				t.Fatalf("%q: no reason %q", q, why)
			}
		}
		for _, p := range places {
			if _, ok := texts["fact."+p.Kind]; !ok || !strings.HasPrefix(p.Path, "/") || strings.HasPrefix(p.Path, "//") || strings.ContainsAny(p.Path, "\\ \r\n\"'<>?%") || strings.Contains(p.Path, "..") {
				t.Fatalf("%q leads to %+v", q, p)
			}
		}
	})
}

func FuzzVisible(f *testing.F) {
	f.Add("한\u202e빛\u200b\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if out := visible(s); visible(out) != out || strings.ContainsAny(out, "\u202e\u2066\u2067\u200f\x00\n\r") {
			t.Fatalf("%q became %q", s, out)
		}
	})
}
