package httpd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync/atomic"
)

// Tokens are the bearer tokens that a listener knows, by their SHA-256 only. The zero value knows none. Safe for
// concurrent use.
type Tokens struct{ list atomic.Pointer[[]Token] }

// Token is one caller.
type Token struct {
	Name   string   // who, for audit; never secret
	Hash   [32]byte // SHA-256 of the token
	Tenant string   // "" for all; a handler compares it (THREATS J16)
}

var errUnauthorized = NewProblem(http.StatusUnauthorized, "unauthorized", "")

const tokenPrefix = "dojang_"

// NewToken draws a token, shown once: "dojang_" ‖ base64url of 256 bits ‖ 8 hex digits CRC-32 of what stands before,
// so that scanners for leaked secrets know one when they see it.
func NewToken() string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: the runtime ends the process instead
	body := tokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
	return fmt.Sprintf("%s%08x", body, crc32.ChecksumIEEE([]byte(body)))
}

// HashToken is what is stored.
func HashToken(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// NewTokens refuses nameless tokens and doubled hashes or names.
func NewTokens(list ...Token) (*Tokens, error) {
	t := &Tokens{}
	return t, t.Replace(list...)
}

// Replace swaps the set at once: a removed token is refused from the next request on.
func (t *Tokens) Replace(list ...Token) error {
	hashes, names := map[[32]byte]bool{}, map[string]bool{}
	for _, k := range list {
		if k.Name == "" || k.Hash == [32]byte{} || k.Hash == HashToken("") || hashes[k.Hash] || names[k.Name] {
			return errors.New("httpd: tokens need distinct names and hashes")
		}
		hashes[k.Hash], names[k.Name] = true, true
	}
	list = append([]Token(nil), list...)
	t.list.Store(&list)
	return nil
}

// Find returns the caller of an Authorization header value ("Bearer …"). It compares hashes in constant time, with
// every known one (THREATS J26).
func (t *Tokens) Find(authorization string) (Token, bool) {
	scheme, token, ok := strings.Cut(authorization, " ")
	list := t.list.Load()
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(token) > 256 || list == nil {
		return Token{}, false
	}
	hash := HashToken(token)
	found := -1
	for i := range *list {
		if subtle.ConstantTimeCompare((*list)[i].Hash[:], hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Token{}, false
	}
	return (*list)[found], true
}

// Guard lets callers with a token through to next, which finds them by Caller.
func (t *Tokens) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := t.Find(r.Header.Get("Authorization"))
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			WriteProblem(w, errUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}
