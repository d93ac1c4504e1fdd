package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dojang-id/dojang"

// A pkg is what `go list -test -deps -json` says of one package of the house.
type pkg struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	ForTest      string
}

// all are the direct imports, tests included.
func (p pkg) all() []string {
	return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
}

func (p pkg) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func house(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports,Deps", module+"/...")
	cmd.Dir = repositoryRoot(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// in reports whether a room lies in or below one of the named rooms.
func in(room string, rooms ...string) bool {
	for _, r := range rooms {
		if room == r || strings.HasPrefix(room, r+"/") {
			return true
		}
	}
	return false
}

var parties = []string{"issuer", "verifier", "wallet-api"}

// never is one rule of DESIGN.md 1: why, and whether an import of target from room breaks it.
type never struct {
	why    string
	breaks func(room, target string) bool
}

// local turns an import path into a room; ok is false for foreign packages.
func local(path string) (string, bool) {
	room, ok := strings.CutPrefix(path, module+"/")
	return room, ok
}

func nevers() []never {
	door := func(prefix string, rooms ...string) never {
		return never{
			why:    fmt.Sprintf("only %s sees %s", strings.Join(rooms, " and "), prefix),
			breaks: func(room, target string) bool { return strings.HasPrefix(target, prefix) && !in(room, rooms...) },
		}
	}
	pure := []string{"internal/sdjwt", "internal/mdoc", "internal/w3cvc", "internal/statuslist", "registry/chain", "registry/did", "registry/evidence"}
	return []never{
		{"parties never import each other", func(room, target string) bool {
			to, ok := local(target)
			if !ok {
				return false
			}
			for _, p := range parties {
				if in(room, p) && in(to, parties...) && !in(to, p) {
					return true
				}
			}
			return false
		}},
		{"parties see registry, registry/evidence and registry/light only", func(room, target string) bool {
			to, ok := local(target)
			return ok && in(room, parties...) && in(to, "registry/did", "registry/chain", "registry/node", "registry/web", "registry/console")
		}},
		{"registry imports no party", func(room, target string) bool {
			to, ok := local(target)
			return ok && in(room, "registry") && in(to, parties...)
		}},
		{"internal imports no party and not the registry", func(room, target string) bool {
			to, ok := local(target)
			return ok && in(room, "internal") && !in(room, "internal/e2e") && in(to, append([]string{"registry", "cmd"}, parties...)...)
		}},
		{"formats and the state machine are pure", func(room, target string) bool {
			return in(room, pure...) && (target == "net/http" || target == "database/sql")
		}},
		door("github.com/cometbft/cometbft", "registry/node", "registry/light"),
		door("github.com/lestrrat-go/jwx", "internal/keys"),
		door("github.com/hyperledger/aries-framework-go", "internal/aries"),
		door("github.com/redis/go-redis", "internal/ttlkv"),
	}
}

// TestNevers reads the arrows from the import graph, tests included.
func TestNevers(t *testing.T) {
	packages := house(t)
	if len(packages) < 10 {
		t.Fatalf("go list found only %d packages", len(packages))
	}
	for _, n := range nevers() {
		t.Run(n.why, func(t *testing.T) {
			for _, p := range packages {
				for _, target := range p.all() {
					if n.breaks(p.room(), target) {
						t.Errorf("%s imports %s", p.room(), target)
					}
				}
			}
		})
	}
}

// TestNeversCatch proves that each rule can fail.
func TestNeversCatch(t *testing.T) {
	bad := [][2]string{
		{"issuer/web", module + "/verifier"},
		{"verifier", module + "/registry/chain"},
		{"registry/web", module + "/issuer"},
		{"internal/keys", module + "/registry"},
		{"registry/chain", "net/http"},
		{"issuer", "github.com/cometbft/cometbft/light"},
		{"internal/sdjwt", "github.com/lestrrat-go/jwx/v2/jwt"},
		{"registry/web", "github.com/hyperledger/aries-framework-go/pkg/vdr"},
		{"issuer/store", "github.com/redis/go-redis/v9"},
	}
	for i, n := range nevers() {
		if !n.breaks(bad[i][0], bad[i][1]) {
			t.Errorf("rule %q lets %s import %s", n.why, bad[i][0], bad[i][1])
		}
	}
}

// TestVerifierIsALibrary: importing package verifier brings no store, no engine, no web framework.
func TestVerifierIsALibrary(t *testing.T) {
	for _, p := range house(t) {
		if p.room() != "verifier" {
			continue
		}
		for _, dep := range p.Deps {
			for _, heavy := range []string{"github.com/redis/", "github.com/danielgtaylor/huma", "github.com/cometbft/", "modernc.org/sqlite", "github.com/jackc/pgx", "database/sql"} {
				if strings.HasPrefix(dep, heavy) {
					t.Errorf("package verifier pulls in %s", dep)
				}
			}
		}
		return
	}
	t.Fatal("package verifier is missing")
}

// TestNoClockInPureRooms looks for time.Now in the rooms that take time as an argument.
func TestNoClockInPureRooms(t *testing.T) {
	root := repositoryRoot(t)
	for _, room := range []string{"internal/sdjwt", "internal/statuslist", "registry/chain", "registry/did", "registry/evidence"} {
		err := filepath.WalkDir(filepath.Join(root, room), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if ok && s.Sel.Name == "Now" {
					if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
						t.Errorf("%s calls time.Now", path)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
