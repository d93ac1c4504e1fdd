package httpd

import (
	"context"
	"log/slog"

	"github.com/danielgtaylor/huma/v2"
)

// APIConfig of a management API.
type APIConfig struct {
	Title, Version string
	// Tokens are who may call; nil refuses everybody. Operations with Security: []map[string][]string{} (not nil, empty)
	// are open.
	Tokens *Tokens
	// Problems turns the party's sentinels into problems; false: unknown, answered as "internal-error" with a reference
	// and logged.
	Problems func(error) (*Problem, bool)
	Log      *slog.Logger
}

// NewAPI mounts huma on mux: OpenAPI 3.1 at /openapi.json (behind the token), problems, bearer tokens, unknown fields
// refused with 422, no docs page, no $schema links, no echoed values.
func NewAPI(mux *Mux, cfg APIConfig) (huma.API, error) { return nil, errTODO }

// Caller of a management operation: the name of its token; "" outside.
func Caller(ctx context.Context) string { return "" }

// Tokens are bearer tokens of at least 128 bits, known by their SHA-256 only, compared in constant time.
type Tokens struct{}

// Token is one caller: at the edge of a tenant or of the whole party.
type Token struct {
	Name   string   // who, for audit; never secret
	Hash   [32]byte // SHA-256 of the token
	Tenant string   // "" for all
}

// NewToken draws a token: "dojang_" + 43 characters + checksum; shown once.
func NewToken() (string, error) { return "", errTODO }

// HashToken is what is stored.
func HashToken(token string) [32]byte { return [32]byte{} }

// NewTokens refuses doubled hashes or names.
func NewTokens(list ...Token) (*Tokens, error) { return nil, errTODO }

// Replace swaps the set at once: a removed token is refused from the next request on.
func (t *Tokens) Replace(list ...Token) error { return errTODO }

// Find returns the caller of an Authorization header value ("Bearer …").
func (t *Tokens) Find(authorization string) (Token, bool) { return Token{}, false }
