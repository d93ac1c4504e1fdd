package console

import (
	"html"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/registry"
)

// hostile puts one text wherever the chain carries text of somebody.
func hostile(text string) *fakeSource {
	f := newFake()
	names := map[string]string{"ko": text, "en": text}
	f.network.ChainID = text // the name of a network is checked in its genesis
	for i := range f.network.Members {
		f.network.Members[i].Name = names
		f.network.Validators[i].Name = text
	}
	for i := range f.blocks {
		f.blocks[i].Proposer, f.blocks[i].Signers = text, []string{text}
	}
	for i := range f.registrations {
		g := &f.registrations[i]
		g.Name, g.PurposeText, g.LegalBasis = names, names, []string{text}
		g.Claims = map[string][]string{"urn:dojang:kr:resident-id:1": {text}, "urn:x:unknown:1": {text}}
	}
	for i := range f.accreditations {
		f.accreditations[i].LegalBasis, f.accreditations[i].StatusHost, f.accreditations[i].Domain = []string{text}, text, text
	}
	for i := range f.statuses {
		f.statuses[i].Signer, f.statuses[i].Lists, f.statuses[i].Domain = text, []string{text}, text
	}
	for i := range f.subjects {
		s := &f.subjects[i]
		s.Name, s.Registrations, s.Accreditations, s.Status = names, f.registrations, f.accreditations, &f.statuses[0]
		for j := range s.KeyList {
			s.KeyList[j].Multikey, s.KeyList[j].Alg, s.KeyList[j].Use = text, text, registry.KeyUse(text)
		}
		for j := range s.Services {
			s.Services[j].Type, s.Services[j].Endpoint = text, text
		}
	}
	f.operation.Code = text
	f.governance.Members = f.network.Members
	hostileCouncil(f, names, text)
	return f
}

// hostileCouncil does the same to decisions, rounds and blocks. Ids are checked when operations are parsed; here they are
// hostile where they are shown only.
func hostileCouncil(f *fakeSource, names map[string]string, text string) {
	for i := range f.proposals {
		p := &f.proposals[i]
		p.Code, p.Kind = text, registry.Kind(text)
		for j := range p.Votes {
			p.Votes[j].Name, p.Votes[j].Member = names, text
		}
		for j := range p.Steps {
			p.Steps[j].Member = text
		}
		p.Before.Member, p.Before.Accreditation, p.Before.Registration = &f.network.Members[0], &f.accreditations[0], &f.registrations[0]
		switch b := p.Body.(type) {
		case *registry.AccreditBody:
			b.Basis, b.Host = []string{text}, text
		case *registry.RegisterBody:
			b.Name, b.Text, b.Basis, b.Claims = names, names, []string{text}, map[string][]string{text: {text}}
		case *registry.TypeDigestBody:
			b.Type = text
		case *registry.MemberAddBody:
			b.ID, b.Name = text, names
		case *registry.ValidatorBody:
			b.Operator, b.Site = text, text
		case *registry.RetireBody:
			b.ID = text
		}
	}
	f.proven = []Misbehaviour{{Key: strings.Repeat("ab", 32), Operator: text, Height: 1, Power: 10, Left: 1, At: Moment{Height: 2}}}
	for i := range f.network.Validators {
		f.network.Validators[i].Operator, f.network.Validators[i].Site = text, text
	}
	for i := range f.contents.Operations {
		d := &f.contents.Operations[i]
		d.Kind, d.Sponsor, d.Members = registry.Kind(text), text, []string{text}
	}
	for i := range f.emergencies {
		f.emergencies[i].By = []string{text}
	}
}

func TestHostileTexts(t *testing.T) {
	t.Run("J01 markup and templates are text", func(t *testing.T) {
		for _, text := range []string{`<img src=x onerror=alert(1)>`, `"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
			`{{7*7}}`, "${7*7}`", `<svg><a xlink:href="javascript:alert(1)">`, `</title><math><mtext>`, `</code></textarea><style>*{}`, `&lt;script&gt;`} {
			s := newServer(t, hostile(text))
			shown := 0
			for _, path := range everyPage() {
				w := get(t, s, "/en"+path)
				body := w.Body.String()
				if w.Code != 200 && !strings.HasPrefix(path, "/verifiers/") {
					t.Errorf("%s: %d", path, w.Code)
				}
				if strings.ContainsAny(text, `<>"'`) && strings.Contains(body, text) {
					t.Errorf("%s carries %q as it is", path, text)
				}
				for _, m := range anyLink.FindAllStringSubmatch(body, -1) {
					if to := html.UnescapeString(m[1]); !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "#") && !strings.HasPrefix(to, "https://node.example/") {
						t.Errorf("%s links to %q", path, to)
					}
				}
				if strings.Contains(body, "49") && strings.Contains(text, "7*7") && strings.Contains(html.UnescapeString(body), "<bdi>49</bdi>") {
					t.Errorf("%s computes", path)
				}
				if strings.Contains(html.UnescapeString(body), text) {
					shown++
				}
				stripped := strings.ReplaceAll(body, html.EscapeString(text), "")
				if text != "javascript:alert(1)" && !strings.Contains(text, "on") && anyInline.MatchString(stripped) {
					t.Errorf("%s: inline %q", path, anyInline.FindString(stripped))
				}
			}
			if shown < 8 {
				t.Errorf("%q is shown on %d pages only", text, shown)
			}
		}
	})
	t.Run("J02 direction, hidden letters, decomposed Hangul", func(t *testing.T) {
		for _, r := range []struct{ name, text, want string }{
			{"override", "은행\u202e행은", "은행⟦U+202E⟧행은"},
			{"isolates", "a\u2066b\u2069", "a⟦U+2066⟧b⟦U+2069⟧"},
			{"zero width", "한\u200b빛", "한⟦U+200B⟧빛"},
			{"soft hyphen and BOM", "a\u00adb\ufeff", "a⟦U+00AD⟧b⟦U+FEFF⟧"},
			{"Hangul filler", "한\u3164빛", "한⟦U+3164⟧빛"},
			{"line and paragraph", "a\nb\u2028c\u2029", "a⟦U+000A⟧b⟦U+2028⟧c⟦U+2029⟧"},
			{"no-break and odd spaces", "a\u00a0b\u2003c", "a⟦U+00A0⟧b⟦U+2003⟧c"},
			{"decomposed Hangul", "\u1112\u1161\u11ab\u1107\u1175\u11be", "한빛"},
			{"variation selector", "한\ufe0f", "한⟦U+FE0F⟧"},
			{"tag letters of a flag", "🏴\U000e0067\U000e007f", "🏴⟦U+E0067⟧⟦U+E007F⟧"},
			{"broken UTF-8", "a\xffb", "a\ufffdb"},
			{"plain", "한빛은행 Hanbit (주) – 1", "한빛은행 Hanbit (주) – 1"},
		} {
			if got := visible(r.text); got != r.want {
				t.Errorf("%s: %q, want %q", r.name, got, r.want)
			}
		}
		s := newServer(t, hostile("은행\u202egnp.exe\u2067\u200f"))
		for _, path := range everyPage() {
			body := get(t, s, "/ko"+path).Body.String()
			for _, c := range []string{"\u202e", "\u2067", "\u200f"} {
				if strings.Contains(body, c) {
					t.Errorf("%s lets %+q through", path, c)
				}
			}
		}
		for path, want := range map[string]string{"/verifiers": "<bdi>은행⟦U+202E⟧", "/governance": "<bdi>은행⟦U+202E⟧", "/validators": "<bdi>은행⟦U+202E⟧", "/proposals/5": "<bdi>은행⟦U+202E⟧", "/proposals/7": "<bdi>은행⟦U+202E⟧", "/accreditations": "<bdi>은행⟦U+202E⟧", "/dids": "<bdi>은행⟦U+202E⟧"} {
			if body := html.UnescapeString(get(t, s, "/ko"+path).Body.String()); !strings.Contains(body, want) {
				t.Errorf("%s does not isolate", path)
			}
		}
	})
	t.Run("J02 a name in another language says so", func(t *testing.T) {
		f := hostile("x")
		f.registrations[0].Name = map[string]string{"ko": "한빛은행"}
		f.registrations[0].PurposeText = map[string]string{"fr": "compte"}
		body := get(t, newServer(t, f), "/en/verifiers").Body.String()
		if !strings.Contains(body, `<bdi lang="ko">한빛은행</bdi>`) || !strings.Contains(body, "<bdi>compte</bdi>") {
			t.Error("languages are not marked")
		}
	})
	t.Run("J02 a domain that may look like another is not shown", func(t *testing.T) {
		for host, ok := range map[string]bool{"status.seoul.example": true, "localhost:8602": true, "xn--80ak6aa92e.com": false, "аpple.com": false, "a.b@evil.example": false,
			"EXAMPLE.com": false, "": false, "a b": false, "한빛.example": false, "a.example\u202e": false, strings.Repeat("a", 261): false} {
			if plainHost(host) != ok {
				t.Errorf("%q: %v", host, !ok)
			}
		}
	})
	t.Run("J02 look-alike names stand beside their identifiers", func(t *testing.T) {
		body := get(t, newServer(t, hostile("Ηanbit Bank")), "/en/verifiers").Body.String() // Greek capital Eta
		if !strings.Contains(body, short(testID("bank").ID())) {
			t.Error("no identifier beside the name")
		}
	})
}

func TestForms(t *testing.T) {
	s := newServer(t, newFake())
	post := func(header, value string) int {
		r := httptest.NewRequest("POST", "https://explorer.example/en/check", strings.NewReader("--b\r\nContent-Disposition: form-data; name=\"evidence\"; filename=\"x\"\r\n\r\nabc\r\n--b--\r\n"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		if header != "" {
			r.Header.Set(header, value)
		}
		w := do(t, s, r)
		guarded(t, w)
		return w.Code
	}
	for _, row := range []struct {
		name, header, value string
		want                int
	}{
		{"J12 a form of another site", "Sec-Fetch-Site", "cross-site", 403},
		{"J12 a form of a sibling", "Sec-Fetch-Site", "same-site", 403},
		{"J12 origin null", "Origin", "null", 403},
		{"J12 origin with our name in front", "Origin", "https://explorer.example.evil", 403},
		{"our own form", "Sec-Fetch-Site", "same-origin", 200},
		{"our own origin", "Origin", "https://explorer.example", 200},
		{"a tool without a browser", "", "", 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := post(row.header, row.value); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
	t.Run("J12 no page may be framed or read by another origin", func(t *testing.T) {
		for _, path := range everyPage() {
			w := get(t, s, "/ko"+path)
			if w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("Access-Control-Allow-Origin") != "" ||
				w.Header().Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, w.Header())
			}
		}
	})
}
