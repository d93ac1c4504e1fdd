package issuer

import "errors"

// What callers act on. Protocol errors are *oauth.Error beside these.
var (
	ErrUnknownTenant   = errors.New("issuer: no such tenant")
	ErrUnknownType     = errors.New("issuer: the tenant does not issue this type")
	ErrUnknownFormat   = errors.New("issuer: the type is not issued in this format")
	ErrNotFound        = errors.New("issuer: no such credential")
	ErrNoRecord        = errors.New("issuer: no record of this person")
	ErrRevocationFinal = errors.New("issuer: revocation is final")
	ErrTransition      = errors.New("issuer: status cannot change so")
)
