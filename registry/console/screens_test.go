package console

import (
	"html"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

var evidenceLink = regexp.MustCompile(`href="(/evidence/[^"]+)"`)

// Every page shows a real chain, and every Evidence that it offers holds and says something about its subject.
func TestConsortium(t *testing.T) {
	w := newConsortium(t)
	s := w.server()
	links := map[string]bool{}
	pages := w.pages()
	look := func(name, path string) {
		for _, lang := range languages {
			answer := get(t, s, "/"+lang+path)
			body := answer.Body.String()
			if want := map[bool]int{true: 404, false: 200}[name == "find-none"]; answer.Code != want || leftover.MatchString(body) {
				t.Errorf("/%s%s: %d", lang, path, answer.Code)
			}
			guarded(t, answer)
			for _, m := range evidenceLink.FindAllStringSubmatch(body, -1) {
				links[html.UnescapeString(m[1])] = true
			}
		}
	}
	for name, path := range pages {
		look(name, path)
	}
	for name, path := range w.later() {
		look(name, path)
	}
	if len(links) < 50 {
		t.Errorf("%d links to Evidence", len(links))
	}
	trust := w.Trust()
	trust.TrustingPeriod *= 12 // the chain has lived for weeks
	for path := range links {
		raw := get(t, s, path)
		if raw.Code != 200 {
			t.Errorf("%s: %d", path, raw.Code)
			continue
		}
		facts, err := evidence.Check(raw.Body.Bytes(), trust, w.Now())
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		subject := 0
		for _, f := range describe(facts, chaintest.Network) {
			if f.Kind == "other" {
				t.Errorf("%s: %+v", path, f)
			}
			if strings.HasPrefix(path, "/evidence/"+f.Kind) {
				subject++
			}
		}
		if subject == 0 && !strings.HasPrefix(path, "/evidence/block/") {
			t.Errorf("%s says nothing about itself", path)
		}
	}
}

// TestScreens writes a picture of every page, language and width into DOJANG_SCREENS, to be looked at.
func TestScreens(t *testing.T) {
	dir := os.Getenv("DOJANG_SCREENS")
	if dir == "" {
		t.Skip("DOJANG_SCREENS names no folder")
	}
	w := newConsortium(t)
	server := httptest.NewServer(w.server().Handler())
	defer server.Close()
	ctx := browser(t)
	only := os.Getenv("DOJANG_SCREENS_ONLY")
	shoot := func(name, path string) {
		if only != "" && !regexp.MustCompile(only).MatchString(name) {
			return
		}
		for _, lang := range languages {
			for kind, width := range map[string]int64{"desktop": 1280, "phone": 360} {
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 800), chromedp.Navigate(server.URL+"/"+lang+path)); err != nil {
					t.Fatal(err)
				}
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name+"."+lang+"."+kind+".png"), picture, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, path := range w.pages() {
		shoot(name, path)
	}
	for name, path := range w.later() {
		shoot(name, path)
	}
}
