package sdjwt

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// Options say what a verifier insists on.
type Options struct {
	Now  time.Time
	Typs []string // of the issuer-signed JWT, exact; nil: dc+sd-jwt

	// Required are top-level claims that must be there after processing (RFC 9901 section 9.7); vct always is,
	// unless AllowMissingVCT.
	Required        []string
	AllowMissingVCT bool // for a plain SD-JWT

	// RequireKeyBinding: the decision comes from the request, never from what was sent (RFC 9901 section 7.3).
	// With it, Audience and Nonce are required. Without it a KB-JWT that is there is still verified.
	RequireKeyBinding bool
	Audience          string        // the full client_id with its prefix, or origin:…
	Nonce             string        // of the request
	Window            time.Duration // of the KB-JWT's iat around Now; 0: 300 s

	// TransactionData are the base64url strings of the request that this credential must authorise, in order; nil:
	// none, and a KB-JWT with hashes is refused.
	TransactionData     []string
	TransactionDataAlgs []string // hash names the request allows; nil: sha-256
}

// A Verified token: the given key signed it, it is in time, its disclosures belong to it, and, when required,
// the holder's key signed for this audience and nonce.
type Verified struct {
	u      *Unverified
	holder *keys.PublicKey
	proven bool
	status StatusRef
	listed bool
}

// Verify checks in the order of DOMAIN 4.5, so that the first failing code is reported: what the token must carry,
// the issuer's signature, the key binding (its cheap checks before its signature), the interval, the status reference.
// exp == now is expired. Errors: any Reason.
func (u *Unverified) Verify(key *keys.PublicKey, o Options) (*Verified, error) {
	if err := u.checkShape(o); err != nil {
		return nil, err
	}
	if key == nil || key.Alg() != u.header.Alg {
		return nil, AlgNotAllowed.because("alg contradicts the issuer's key")
	}
	input, sdHash := u.sums()
	if key.VerifyHashed(u.input, input, u.signature) != nil {
		return nil, SignatureInvalid.because("issuer")
	}
	v := &Verified{u: u}
	if err := v.bind(o, sdHash); err != nil {
		return nil, err
	}
	if err := u.envelope.inForce(o.Now); err != nil {
		return nil, err
	}
	if err := v.readStatus(); err != nil {
		return nil, err
	}
	return v, nil
}

// sums are the SHA-256 that the issuer signed and, when there is a key binding, its sd_hash: of a text that begins with what
// the issuer signed, so that both take one pass.
func (u *Unverified) sums() (input [sha256.Size]byte, sdHash string) {
	state := sha256.New()
	state.Write(u.input)
	state.Sum(input[:0])
	switch {
	case u.kb == "":
		return input, ""
	case u.hash != "sha-256":
		return input, hashText(u.hash, u.body)
	}
	state.Write(u.body[len(u.input):])
	var body [sha256.Size]byte
	return input, keys.EncodeBase64URL(state.Sum(body[:0]))
}

func (u *Unverified) checkShape(o Options) error {
	if o.Now.IsZero() || (o.RequireKeyBinding && (o.Audience == "" || o.Nonce == "")) {
		return Malformed.because("options without time, audience or nonce") // a caller's bug, closed
	}
	if o.Typs == nil && u.header.Typ != keys.TypSDJWTVC || o.Typs != nil && !slices.Contains(o.Typs, u.header.Typ) {
		return Malformed.because("typ")
	}
	if u.envelope.vct == "" && !o.AllowMissingVCT {
		return Malformed.because("no vct")
	}
	for _, name := range o.Required {
		if _, there := u.claims.Get(name); !there {
			return Malformed.because("a required claim is missing")
		}
	}
	return nil
}

func (e *envelope) inForce(now time.Time) error {
	if !e.nbf.IsZero() && now.Before(e.nbf) {
		return NotYetValid
	}
	if !e.exp.IsZero() && keys.Expired(e.exp, now) {
		return Expired
	}
	return nil
}

// Claims that bind or limit the credential: never inside a disclosure (SD-JWT VC section 2.2.2.3; D17).
var neverDisclosed = []string{"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status"}

// readEnvelope reads what the format itself acts on. Wrong types are Malformed (A23).
func (u *Unverified) readEnvelope() (err error) {
	e := &u.envelope
	for i := range u.claims.parts {
		c := &u.claims.parts[i]
		if c.SD && slices.Contains(neverDisclosed, c.Name) {
			return Malformed.because("a claim that must not be selectively disclosable")
		}
		switch c.Name {
		case "iss":
			e.iss, err = envelopeText(c.Value)
		case "vct":
			e.vct, err = envelopeText(c.Value)
		case "iat":
			e.iat, err = envelopeTime(c.Value)
		case "nbf":
			e.nbf, err = envelopeTime(c.Value)
		case "exp":
			e.exp, err = envelopeTime(c.Value)
		case "cnf":
			e.cnf = c.Value
		case "status":
			e.status = c.Value
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func envelopeText(v Value) (string, error) {
	if v.Str() == "" || len(v.Str()) > 2048 {
		return "", Malformed.because("iss or vct")
	}
	return v.Str(), nil
}

func envelopeTime(v Value) (time.Time, error) {
	if v.kind != Number {
		return time.Time{}, Malformed.because("a time that is no number")
	}
	t, err := keys.ParseNumericDate([]byte(v.text))
	if err != nil {
		return time.Time{}, Malformed.because("a time out of range")
	}
	return t, nil
}

// readStatus reads status.status_list (Token Status List section 6.2). A status of another mechanism is StatusInvalid:
// what cannot be checked must not pass as absent. idx is checked as C02 says.
func (v *Verified) readStatus() error {
	s := v.u.envelope.status
	if s.kind == Absent {
		return nil
	}
	list, ok := s.Get("status_list")
	if !ok {
		return StatusInvalid.because("no status_list")
	}
	idx, uri := Value{}, Value{}
	idx, _ = list.Get("idx")
	uri, _ = list.Get("uri")
	n, ok := idx.Int64()
	if !ok || n < 0 || idx.text[0] == '-' || n >= 1<<31 || uri.Str() == "" || len(uri.text) > 2048 {
		return StatusInvalid.because("status_list")
	}
	v.status, v.listed = StatusRef{URI: uri.text, Index: uint64(n)}, true
	return nil
}

// Claims is the processed payload (an Object): disclosed claims merged in, _sd, _sd_alg and ... removed.
func (v *Verified) Claims() Value { return v.u.claims }

// Issuer is iss, "" when absent.
func (v *Verified) Issuer() string { return v.u.envelope.iss }

// VCT is the type.
func (v *Verified) VCT() string { return v.u.envelope.vct }

// Kid is the key id of the header.
func (v *Verified) Kid() string { return v.u.header.Kid }

// X5C is the certificate chain of the header, still to be verified by the caller who resolved the key otherwise.
func (v *Verified) X5C() [][]byte { return v.u.header.X5C }

// Holder is the key of cnf.jwk, nil when the credential is not bound or the key is of a kind that we do not verify.
func (v *Verified) Holder() *keys.PublicKey { return v.holder }

// HolderProven reports whether a KB-JWT was verified.
func (v *Verified) HolderProven() bool { return v.proven }

// Status is the status list reference; ok false when there is none.
func (v *Verified) Status() (ref StatusRef, ok bool) { return v.status, v.listed }

// IssuedAt is iat, zero when absent.
func (v *Verified) IssuedAt() time.Time { return v.u.envelope.iat }

// NotBefore is nbf, zero when absent.
func (v *Verified) NotBefore() time.Time { return v.u.envelope.nbf }

// Expires is exp, zero when absent.
func (v *Verified) Expires() time.Time { return v.u.envelope.exp }

// Disclosed are the paths that came out of disclosures, parents before children.
func (v *Verified) Disclosed() []Path { return disclosedPaths(v.u.claims, nil, nil) }

func disclosedPaths(v Value, at Path, out []Path) []Path {
	for i := range v.parts {
		c := &v.parts[i]
		here := append(at[:len(at):len(at)], any(c.Name))
		if v.kind == Array {
			here[len(at)] = i
		}
		if c.SD {
			out = append(out, here)
		}
		out = disclosedPaths(c.Value, here, out)
	}
	return out
}
