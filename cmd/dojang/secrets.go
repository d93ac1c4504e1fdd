package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
)

// passphrase of the demo's key files: random, in a file of its own, readable by the owner alone. The production profile
// wants it from the operator, or an HSM.
func passphrase(dir string) ([]byte, error) {
	name := filepath.Join(dir, "passphrase")
	b, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	b = []byte(hex.EncodeToString(random))
	return b, writeFile(name, b)
}

// openKeys opens a party's key store.
func openKeys(dir string, pass []byte) (*keys.FileStore, error) {
	store, err := keys.NewFileStore(keys.FileStoreConfig{Dir: dir, Passphrase: pass, Interactive: true})
	if err != nil {
		return nil, fmt.Errorf("open key store %s: %w", dir, err)
	}
	return store, nil
}

// managementToken makes the token of a management API anew at every start; demo.json carries it.
func managementToken() (string, *httpd.Tokens, error) {
	token := httpd.NewToken()
	tokens, err := httpd.NewTokens(httpd.Token{Name: "demo", Hash: httpd.HashToken(token)})
	return token, tokens, err
}
