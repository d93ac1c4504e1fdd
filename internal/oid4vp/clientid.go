package oid4vp

// A Prefix is a client identifier prefix (5.9.3).
type Prefix string

// The prefixes that exist here; any other is refused with invalid_request.
const (
	PrefixNone        Prefix = "" // pre-registered client
	PrefixRedirectURI Prefix = "redirect_uri"
	PrefixDID         Prefix = "decentralized_identifier"
	PrefixX509DNS     Prefix = "x509_san_dns"
	PrefixX509Hash    Prefix = "x509_hash"
)

// A ClientID is a client_id split at its first colon.
type ClientID struct {
	Prefix Prefix
	Value  string
}

// ParseClientID reads a full client_id: known prefixes only, the value well-formed for its prefix, at most 512 bytes.
// Error: invalid_request.
func ParseClientID(s string) (ClientID, error) { return ClientID{}, errTODO }

// String is the full client_id, as it stands in `aud` of a presentation.
func (c ClientID) String() string {
	if c.Prefix == PrefixNone {
		return c.Value
	}
	return string(c.Prefix) + ":" + c.Value
}
