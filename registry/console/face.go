package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// A face is the pages in one language.
type face struct {
	lang  string
	pages map[string]*template.Template // :: page -> layout with it
}

func (s *Server) newFace(lang string) (*face, error) {
	f := &face{lang: lang, pages: map[string]*template.Template{}}
	shared, err := template.New("").Funcs(s.funcs(f)).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse pages: %w", err)
	}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || name == "parts" {
			continue
		}
		page, err := shared.Clone()
		if err == nil {
			page, err = page.ParseFS(pageFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("parse pages: %w", err)
		}
		f.pages[name] = page
	}
	return f, nil
}

// t is a text in the face's language; of arguments what is visible. A key that does not exist is a mistake of ours: tests render every page.
func (f *face) t(key string, args ...any) string {
	entry, ok := texts[key]
	if !ok {
		panic("registry/console: no text " + key)
	}
	s := entry.en
	if f.lang == "ko" {
		s = entry.ko
	}
	for i, a := range args {
		s = strings.ReplaceAll(s, "{"+strconv.Itoa(i+1)+"}", visible(fmt.Sprint(a)))
	}
	return s
}

// assets are served under names that carry their digest's query, for ever.
type assets map[string]asset // :: name -> file

type asset struct {
	body, version string
}

var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

func loadAssets() (assets, error) {
	out := assets{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		raw, err := fs.ReadFile(assetFiles, "assets/"+e.Name())
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(raw)
		out[e.Name()] = asset{body: string(raw), version: hex.EncodeToString(digest[:6])}
	}
	return out, nil
}

// url of an asset.
func (a assets) url(name string) string { return "/assets/" + name + "?v=" + a[name].version }

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := s.assets[r.PathValue("name")]
	if !ok {
		s.fail(w, r, "", errNoPage)
		return
	}
	guard(w)
	w.Header().Set("Content-Type", assetTypes[path.Ext(r.PathValue("name"))])
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	_, _ = w.Write([]byte(a.body)) // a client that left is no fault of ours
}
