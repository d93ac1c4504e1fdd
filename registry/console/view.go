package console

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// funcs are what templates may call, in the language of a face.
func (s *Server) funcs(f *face) template.FuncMap {
	return template.FuncMap{
		"t":             f.t,
		"lang":          func() string { return f.lang },
		"to":            func(path string) string { return "/" + f.lang + path },
		"asset":         func(name string) string { return s.assets.url(name) },
		"api":           func() string { return s.cfg.API },
		"short":         short,
		"visible":       visible,
		"hex":           func(b any) string { return fmt.Sprintf("%x", b) },
		"b64":           func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) },
		"pick":          func(texts map[string]string) spoken { return pick(f.lang, texts) },
		"when":          func(t time.Time) moment { return moment{Time: t} },
		"ago":           func(t time.Time) string { return f.ago(s.cfg.Now().Sub(t)) },
		"past":          func(t time.Time) bool { return !s.cfg.Now().Before(t) },
		"kst":           func(t time.Time) string { return t.In(korea).Format("2006-01-02 15:04:05") + " KST" },
		"day":           func(t time.Time) string { return t.In(korea).Format("2006-01-02") },
		"iso":           func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"proof":         newProof,
		"docType":       func(vct string) docType { return f.docType(vct) },
		"items":         f.items,
		"basis":         func(codes []string) []basis { return f.basis(codes) },
		"accreditation": func(a Accreditation) string { return accreditationState(a, s.cfg.Now()) },
		"registration":  func(g Registration) string { return registrationState(g, s.cfg.Now()) },
		"validator":     validatorState,
		"next2":         validatorNext,
		"outcome":       outcomeText,
		"use":           useText,
		"opHash":        hashText,
		"sections":      func() []string { return sections },
		"seconds":       f.exactly,
		"param":         f.param,
		"num":           grouped[uint64],
		"pairs":         pairs,
		"one":           func(v any) []any { return []any{v} },
		"words":         f.words,
		"kind":          kindText,
		"motion":        proposalText,
		"change":        changeText,
		"pips":          pips,
		"subjectOf":     subjectOf,
		"power":         totalPower,
		"share":         func(n, all int64) string { return fmt.Sprintf("%.1f", 100*float64(n)/float64(max(all, 1))) },
		"sameType":      sameType,
		"claimsOf":      f.claimsOf,
		"join":          func(all []string) string { return strings.Join(all, ", ") },
		"less":          func(n uint64) uint64 { return n - 1 },
		"plus":          func(n uint64) uint64 { return n + 1 },
		"keystate":      func(k Key) string { return keyState(k, s.cfg.Now()) },
	}
}

var sections = []string{"home", "accreditations", "verifiers", "proposals", "governance", "validators", "dids", "status", "rounds", "anchors", "blocks", "check"}

var korea = time.FixedZone("KST", 9*3600)

// moment is for the template of that name: a time without a block.
type moment struct{ Time time.Time }

// A spoken text knows its language, so that a screen reader does too.
type spoken struct{ Text, Lang string }

// pick a text in a language, or the next best; the tag is set when it is another one.
func pick(lang string, texts map[string]string) spoken {
	for _, want := range []string{lang, "ko", "en"} {
		for tag, text := range texts {
			if base, _, _ := strings.Cut(strings.ToLower(tag), "-"); base == want {
				return spoken{visible(text), want}
			}
		}
	}
	tags := make([]string, 0, len(texts))
	for tag := range texts {
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return spoken{"", lang}
	}
	slices.Sort(tags)
	return spoken{visible(texts[tags[0]]), ""}
}

// visible makes what a text hides visible (J02): control and format characters, among them those that turn the direction
// of writing, become their code points; the rest is composed (NFC), so that the same Hangul looks the same.
func visible(s string) string {
	var b strings.Builder
	for _, r := range norm.NFC.String(strings.ToValidUTF8(s, "\ufffd")) {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) || invisible(r) {
			fmt.Fprintf(&b, "⟦U+%04X⟧", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// invisible letters: Hangul fillers, Braille blank, variation selectors, unusual spaces.
func invisible(r rune) bool {
	switch r {
	case 0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0x034F, 0x17B4, 0x17B5:
		return true
	}
	return unicode.Is(unicode.Variation_Selector, r) || unicode.Is(unicode.Zs, r) && r != ' ' && r != 0x3000
}

// short keeps both ends of an identifier.
func short(s string) string {
	if len(s) <= 20 {
		return s
	}
	return s[:10] + "…" + s[len(s)-6:]
}

// ago in the one unit that matters.
func (f *face) ago(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if f.lang == "ko" {
		return f.span(d) + " 전"
	}
	return f.span(d) + " ago"
}

// units of time, the largest first.
func units() []timeUnit {
	return []timeUnit{{24 * time.Hour, "일", "d"}, {time.Hour, "시간", "h"}, {time.Minute, "분", "min"}, {time.Second, "초", "s"}, {time.Millisecond, "밀리초", "ms"}}
}

type timeUnit struct {
	size   time.Duration
	ko, en string
}

func (f *face) span(d time.Duration) string {
	for _, u := range units() {
		if d >= u.size {
			return f.unit(int64(d/u.size), u.ko, u.en)
		}
	}
	return f.unit(0, "초", "s")
}

// exactly is a duration that somebody chose, in the largest unit that loses nothing.
func (f *face) exactly(d time.Duration) string {
	for _, u := range units() {
		if d >= u.size && d%u.size == 0 {
			return f.unit(int64(d/u.size), u.ko, u.en)
		}
	}
	return f.span(d)
}

func (f *face) unit(n int64, ko, en string) string {
	if f.lang == "ko" {
		return fmt.Sprintf("%d%s", n, ko)
	}
	return fmt.Sprintf("%d %s", n, en)
}

// grouped writes a count with commas, which both languages do.
func grouped[T uint64 | int](n T) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// A proof is a link to Evidence.
type proof struct{ URL, About, File string }

// newProof links the Evidence of a fact; about tells a screen reader of which.
func newProof(about string, parts ...string) (proof, error) {
	fact, err := ParseFact(parts...)
	if err != nil {
		return proof{}, fmt.Errorf("link to the Evidence of a %s: %w", parts[0], err)
	}
	return proof{fact.Path(), visible(about), fact.File()}, nil
}

// A docType is a credential type by name. Known is false for one that no schema here describes.
type docType struct {
	Label, VCT string
	Known      bool
}

func (f *face) docType(vct string) docType {
	if t, ok := schemas.Lookup(vct); ok {
		return docType{t.Label.In(f.lang), vct, true}
	}
	return docType{visible(vct), vct, false}
}

// An item is one claim that a verifier may ask for.
type item struct {
	Label, Path string
	Class       string // of schemas; "" when unknown
}

// A docItems is what may be asked of one type.
type docItems struct {
	Type  docType
	Items []item
}

// items are the claims of a registration, in the order of the types and of their claims.
func (f *face) items(claims map[string][]string) []docItems {
	var out []docItems
	for vct, paths := range claims {
		d := docItems{Type: f.docType(vct)}
		t, known := schemas.Lookup(vct)
		for _, p := range paths {
			it := item{Label: visible(p), Path: visible(p)}
			if known {
				if c, ok := t.Claim(p); ok {
					it.Label, it.Class = c.Label.In(f.lang), string(c.Class)
				}
			}
			d.Items = append(d.Items, it)
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b docItems) int { return strings.Compare(a.Type.VCT, b.Type.VCT) })
	return out
}

// A basis is a legal basis: its text where a schema knows the code.
type basis struct{ Text, Code string }

func (f *face) basis(codes []string) []basis {
	out := make([]basis, len(codes))
	for i, code := range codes {
		out[i] = basis{Text: visible(code)}
		for _, t := range schemas.All() {
			for _, b := range t.LegalBases {
				if b.Code == code {
					out[i] = basis{Text: b.Text.In(f.lang), Code: code}
				}
			}
		}
	}
	return out
}

// outcomeText is the key of a text.
func outcomeText(code string) string {
	if _, ok := texts["code."+code]; ok {
		return "code." + code
	}
	return "code.other"
}

// useText is the key of a text.
func useText(use registry.KeyUse) string {
	if _, ok := texts["use."+string(use)]; ok {
		return "use." + string(use)
	}
	return "none"
}

// pairs makes a map for a template of a template.
func pairs(kv ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i+1 < len(kv); i += 2 {
		out[kv[i].(string)] = kv[i+1]
	}
	return out
}

// hashText is how operations are named in addresses.
func hashText(h registry.Hash) string { return hex.EncodeToString(h[:]) }

func totalPower(all []Validator) (sum int64) {
	for _, v := range all {
		sum += v.Power
	}
	return sum
}

// sameType: the digest is that of the definition which this program has.
func sameType(t Type) bool {
	known, ok := schemas.ByDigest(t.Digest)
	return ok && known.VCT == t.VCT
}

// claimsOf are the items of a type that this program knows.
func (f *face) claimsOf(vct string) []item {
	t, ok := schemas.Lookup(vct)
	if !ok || t.VCT != vct {
		return nil
	}
	var out []item
	for _, c := range t.Claims {
		if c.Reserved {
			continue // the envelope's, not the document's
		}
		out = append(out, item{Label: c.Label.In(f.lang), Path: c.Path, Class: string(c.Class)})
	}
	return out
}
