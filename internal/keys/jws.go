package keys

// Expect says what a place accepts. Zero limits mean the defaults.
type Expect struct {
	Typ      string   // exact, case-sensitive; required
	Algs     []string // exact, case-sensitive; nil: ES256 and EdDSA
	MaxBytes int      // of the whole compact token; 0: 64 KiB
}

// A Header is what a compact JWS carries beside its payload. Before Verify it is a hint, nothing more.
type Header struct {
	Alg   string // SignJWS fills it from the signer
	Typ   string
	Kid   string     // opaque, at most 256 bytes
	JWK   *PublicKey // public, its alg is Alg
	X5C   [][]byte   // DER, leaf first, at most 5; not verified: see VerifyChain
	Extra []Member   // further members with string values, in order of appearance (key_attestation, …)
}

// A Member is a named string of a JOSE header.
type Member struct{ Name, Value string }

// Get finds an extra member.
func (h *Header) Get(name string) (string, bool) {
	for _, m := range h.Extra {
		if m.Name == name {
			return m.Value, true
		}
	}
	return "", false
}

// A JWS is parsed and not verified: its header may be used to find a key, its payload cannot be read.
type JWS struct {
	header    Header
	input     []byte // header.payload, as signed
	payload   []byte
	signature []byte
}

// ParseJWS reads a compact JWS. It refuses another typ, another algorithm, crit, b64, jku, x5u, x5t, zip,
// more than one of kid/jwk/x5c never (the caller's rule), unknown non-string members, duplicates, JSON serialisation,
// base64 with padding, newlines or trailing bits.
func ParseJWS[T ~string | ~[]byte](token T, e Expect) (*JWS, error) { return nil, errTODO }

// Header is the unverified header: hints for finding a key.
func (j *JWS) Header() *Header { return &j.header }

// Verify returns the payload when key signed the token and the key's algorithm is the header's.
// Errors: ErrAlg, ErrSignature.
func (j *JWS) Verify(key *PublicKey) ([]byte, error) { return nil, errTODO }

// SignJWS makes a compact JWS; h.Alg is taken from the signer (a contradicting one is ErrAlg).
func SignJWS(s Signer, h Header, payload []byte) (string, error) { return "", errTODO }
