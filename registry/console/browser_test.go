package console

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dojang-id/dojang/registry/evidence"
)

// browser is a chromium with a new profile. Without one the test is skipped, in CI it fails.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not installed")
		}
		t.Skip("chromium is not installed")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

func TestBrowser(t *testing.T) {
	ctx := browser(t)
	c, _, q := world(t)
	raw := c.Evidence(q)
	f := newFake()
	f.trust = c.Trust()
	s, err := New(Config{Source: f, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	var mu sync.Mutex
	var complaints []string
	err = chromedp.Listen(ctx, func(ev any) { // errors of a page, and what its policy refuses
		if kind := fmt.Sprintf("%T", ev); strings.HasSuffix(kind, ".EventExceptionThrown") || strings.HasSuffix(kind, ".EventEntryAdded") {
			mu.Lock()
			complaints = append(complaints, fmt.Sprintf("%+v", ev))
			mu.Unlock()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range languages {
		for _, path := range everyPage() {
			if strings.HasPrefix(path, "/proposals/") && path != "/proposals/1" && path != "/proposals/7" {
				continue // the same page
			}
			for _, width := range []int64{360, 1280} {
				if width > 1000 && lang != "en" {
					continue // its words are longer
				}
				if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 844), chromedp.Navigate(server.URL+"/"+lang+path)); err != nil {
					t.Fatal(err)
				}
				wide := evaluate[string](t, ctx, `[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.tagName + "." + e.className).slice(0, 6).join(" ")`)
				overflow := evaluate[int](t, ctx, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
				font := evaluate[string](t, ctx, `getComputedStyle(document.querySelector("h1")).letterSpacing`)
				if overflow > 0 || font == "normal" {
					t.Errorf("/%s%s at %d: %d pixels too wide (%s), stylesheet %q", lang, path, width, overflow, wide, font)
				}
			}
		}
	}
	t.Run("keyboard", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/en/"), chromedp.KeyEvent(kb.Tab)); err != nil {
			t.Fatal(err)
		}
		first := evaluate[string](t, ctx, `document.activeElement.className + " " + (document.activeElement.getBoundingClientRect().left >= 0)`)
		err := chromedp.Do(ctx, chromedp.KeyEvent(kb.Enter), chromedp.Sleep(100*time.Millisecond))
		after := evaluate[string](t, ctx, `document.activeElement.id`)
		if err != nil || first != "skip true" || after != "content" {
			t.Errorf("the first stop is %q, then %q (%v)", first, after, err)
		}
	})
	t.Run("check a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "x.evidence")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(raw) > evidence.MaxSize {
			t.Fatal("too large a fixture")
		}
		err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/ko/check"), chromedp.SetUploadFiles(chromedp.ID("file"), []string{file}),
			chromedp.Click(chromedp.CSS(".upload button")))
		if err != nil {
			t.Fatal(err)
		}
		result, err := chromedp.Run(ctx, chromedp.Text(chromedp.ID("res")))
		if err != nil || strings.TrimSpace(result) != "성립합니다" {
			t.Errorf("%q %v", result, err)
		}
	})
	mu.Lock()
	if len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
	mu.Unlock()
	t.Run("the policy holds, and breaking it would have been heard", func(t *testing.T) {
		if err := chromedp.Do(ctx, chromedp.Navigate(server.URL+"/en/")); err != nil {
			t.Fatal(err)
		}
		evaluate[bool](t, ctx, `{ const i = new Image(); i.src = "https://evil.example/x.png"; document.body.append(i); true }`)
		if err := chromedp.Do(ctx, chromedp.Sleep(300*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(complaints) == 0 {
			t.Error("a foreign image was not refused, or nobody heard of it")
		}
	})
}

func evaluate[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
