package oauth

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dojang-id/dojang/internal/keys"
)

// vectors finds ../shared/vectors beside the repository.
func vectors(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	found := filepath.Join(dir, "..", "shared", "vectors")
	if _, err := os.Stat(found); err == nil {
		return found
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("../shared/vectors is absent")
	}
	t.Skip("../shared/vectors is absent")
	return ""
}

func leafKey(h *keys.Header) (*keys.PublicKey, error) {
	if len(h.X5C) == 0 {
		return nil, errors.New("no chain")
	}
	cert, err := x509.ParseCertificate(h.X5C[0])
	if err != nil {
		return nil, err
	}
	return keys.NewPublicKey(cert.PublicKey)
}
