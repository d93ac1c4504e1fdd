package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// repositoryRoot is the folder of go.mod.
func repositoryRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the working directory")
	return ""
}

// shared is a file of the folder beside the repository; where it is absent the test is skipped, with CI=true it fails.
func shared(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(repositoryRoot(t), "..", "shared", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing", name)
		}
		t.Skipf("%s is not beside this checkout", name)
	}
	return path
}
