package keys

// A KeySet is a parsed JWK set (RFC 7517 section 5): at most 50 keys.
type KeySet struct{}

// ParseJWKS reads a JWK set. Keys of other types or uses are skipped; a malformed one refuses the set.
func ParseJWKS(data []byte) (*KeySet, error) { return nil, errTODO }

// Candidates are all signature keys with that kid (at most 4, A10); kid "" gives the keys when there is exactly one.
func (s *KeySet) Candidates(kid string) []*PublicKey { return nil }

// Recipients are the encryption keys in order of appearance.
func (s *KeySet) Recipients() []*Recipient { return nil }

// VerifyAny verifies with any of the candidates; ErrKey when there is none, ErrSignature when none fits.
func (j *JWS) VerifyAny(candidates []*PublicKey) ([]byte, *PublicKey, error) {
	return nil, nil, errTODO
}
