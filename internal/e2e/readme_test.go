package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command is a line of a code block that starts the product; `&&` joins several. Comments and prompts are not in it.
var command = regexp.MustCompile(`go run \./cmd/dojang([^&#\n]*)`)

// TestReadmeCommands: every command that a page shows is one that the product takes.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, text := range pages(t) {
		for _, block := range codeBlocks(text) {
			for _, m := range command.FindAllStringSubmatch(block, -1) {
				args := words(m[1])
				seen++
				if code, out := exitCode(t, append(args, "--help")...); code != 0 {
					t.Errorf("%s: `dojang%s` ends with %d: %s", name, m[1], code, out)
				}
			}
		}
	}
	if seen < 9 {
		t.Errorf("only %d commands were found", seen)
	}
	if code, _ := exitCode(t, "demo", "dance", "--help"); code == 0 {
		t.Error("--help accepts everything: the test shows nothing")
	}
}

// TestReadmeTutorial does what the first page of the README says, to the letter, from the words as they stand there.
func TestReadmeTutorial(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	r := startDemo(t, filepath.Join(home, "dojang-data")) // the name that the commands take by default
	r.told("refused")
	last := map[string]string{} // what the commands before printed, by the placeholder that stands for it
	var verdict string
	for _, block := range codeBlocks(pages(t)["README.md"]) {
		if !strings.Contains(block, "demo offer") {
			continue
		}
		for _, m := range command.FindAllStringSubmatch(block, -1) {
			line := m[1]
			for placeholder, value := range last {
				line = strings.Replace(line, placeholder, value, 1)
			}
			args := words(line)
			if strings.Contains(line, "wallet present") {
				args = append(args, "--yes") // a person says it on the terminal
			}
			cmd := dojang(t, args...)
			cmd.Dir = home
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("dojang%s: %v\n%s", line, err, stderrOf(err))
			}
			verdict = string(out)
			if m := regexp.MustCompile(`"(openid-credential-offer|openid4vp)://([^"]*)"`).FindStringSubmatch(verdict); m != nil {
				last["'"+m[1]+"://…'"] = "'" + m[1] + "://" + m[2] + "'"
			}
			if m := regexp.MustCompile(`"id":"([^"]*)"`).FindStringSubmatch(verdict); m != nil {
				last["--id …"] = "--id " + m[1]
			}
		}
	}
	if !strings.Contains(verdict, `"decision":"confirmed"`) || !strings.Contains(verdict, `"status_as_of":"20`) {
		t.Errorf("the last command printed %s", verdict)
	}
	r.stop()
}

func stderrOf(err error) string {
	if ended, ok := err.(*exec.ExitError); ok { //nolint:errorlint // straight from Output
		return string(ended.Stderr)
	}
	return ""
}

// TestLinks: every relative link of every page leads somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	root := repositoryRoot(t)
	seen := 0
	for name, text := range pages(t) {
		headings := anchors(text)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			seen++
			path := filepath.Join(root, filepath.Dir(name), target)
			if target == "" {
				path = filepath.Join(root, name)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if anchor == "" || filepath.Ext(path) != ".md" {
				continue
			}
			there := headings
			if target != "" {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				there = anchors(string(b))
			}
			if !there[anchor] {
				t.Errorf("%s links to %s: no such heading", name, m[1])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d links were found", seen)
	}
}

// anchors are the headings of a page as links name them.
func anchors(text string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			slug := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-")
			out[regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(slug, "")] = true
		}
	}
	return out
}

// pages are all Markdown files, by their path in the repository.
func pages(t *testing.T) map[string]string {
	t.Helper()
	root, out := repositoryRoot(t), map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			b, err := os.ReadFile(path)
			out[strings.TrimPrefix(path, root+"/")] = string(b)
			return err
		}
		return nil
	})
	if err != nil || len(out) < 8 {
		t.Fatalf("%d pages: %v", len(out), err)
	}
	return out
}

// codeBlocks are the fenced parts of a page.
func codeBlocks(text string) []string {
	var out []string
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}

// words splits a line as a shell does, as far as these pages need it: blanks and single quotes.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}
