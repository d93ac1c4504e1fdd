package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	threatRow  = regexp.MustCompile(`(?m)^\| ([A-K][0-9]{2}) \|`)
	threatName = regexp.MustCompile(`^[A-K][0-9]{2}\b`)
	// A line of docs/threats.md: `| E01 | mdoc |`, or `| A01 | partly: DPoP |` for an id that some rooms cover already.
	openRow = regexp.MustCompile(`(?m)^\| ([A-K][0-9]{2}) \| ([^|]+) \|`)
)

// TestThreats: every numbered threat is either a subtest of that name or a line of docs/threats.md that names the missing feature.
func TestThreats(t *testing.T) {
	list, err := os.ReadFile(shared(t, "THREATS.md"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(repositoryRoot(t), "docs", "threats.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range threatRow.FindAllStringSubmatch(string(list), -1) {
		known[m[1]] = true
	}
	if len(known) < 300 {
		t.Fatalf("the list names only %d threats", len(known))
	}
	open := map[string]string{}
	for _, m := range openRow.FindAllStringSubmatch(string(page), -1) {
		if _, twice := open[m[1]]; twice {
			t.Errorf("docs/threats.md names %s twice", m[1])
		}
		open[m[1]] = strings.TrimSpace(m[2])
	}
	tested := threatTests(t)
	for id := range known {
		reason, listed := open[id]
		partly := strings.HasPrefix(reason, "partly:")
		switch {
		case tested[id] == "" && !listed:
			t.Errorf("%s has neither a subtest nor a line in docs/threats.md", id)
		case tested[id] == "" && partly:
			t.Errorf("docs/threats.md says that %s is partly covered, but no subtest bears its name", id)
		case tested[id] != "" && listed && !partly:
			t.Errorf("%s is tested in %s and still listed as open", id, tested[id])
		}
	}
	for id := range open {
		if !known[id] {
			t.Errorf("docs/threats.md lists %s, which the list does not know", id)
		}
	}
	for id, where := range tested {
		if !known[id] {
			t.Errorf("%s bears the name %s, which the list does not know", where, id)
		}
	}
}

// threatTests maps each id that begins a string literal of a test file to that file.
func threatTests(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := repositoryRoot(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, "_test.go") || path == filepath.Join(root, "internal", "e2e", "threats_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					if id := threatName.FindString(s); id != "" {
						found[id] = strings.TrimPrefix(path, root+"/")
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
