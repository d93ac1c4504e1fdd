package sdjwt

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// defaultWindow is how far a KB-JWT's iat may lie from now (D09).
const defaultWindow = 300 * time.Second

// bind finds the holder's key and checks the KB-JWT against the request (RFC 9901 section 7.3).
func (v *Verified) bind(o Options, sdHash string) error {
	if v.u.kb == "" {
		if o.RequireKeyBinding || len(o.TransactionData) > 0 {
			return HolderBindingMissing
		}
		v.holder, _ = v.u.envelope.holderKey() // not asked for: a foreign kind of key is not an error
		return nil
	}
	var err error
	if v.holder, err = v.u.envelope.holderKey(); err != nil {
		return err
	}
	if err = v.u.checkKB(v.holder, o, sdHash); err != nil {
		return err
	}
	v.proven = true
	return nil
}

// holderKey reads cnf.jwk, the only confirmation method that is accepted (D08).
func (e *envelope) holderKey() (*keys.PublicKey, error) {
	jwk, ok := e.cnf.Get("jwk")
	if !ok || jwk.kind != Object {
		return nil, HolderBindingInvalid.because("no cnf.jwk")
	}
	var buf [256]byte
	key, err := keys.ParseJWK(jwk.appendJSON(buf[:0]))
	if err != nil {
		return nil, HolderBindingInvalid.because("cnf.jwk")
	}
	return key, nil
}

// checkKB: type and algorithm, nonce, audience, sd_hash, time, transaction data; the signature last.
func (u *Unverified) checkKB(holder *keys.PublicKey, o Options, sdHash string) error {
	kb := []byte(u.kb)
	dot1, dot2 := dots(kb)
	if dot1 <= 0 || dot2 <= dot1+1 {
		return HolderBindingInvalid.because("KB-JWT is not three parts")
	}
	h, err := keys.ParseHeader(kb[:dot1], keys.Expect{Typ: keys.TypKeyBinding})
	if err != nil || h.Alg != holder.Alg() {
		return HolderBindingInvalid.because("KB-JWT header")
	}
	payload, err := keys.AppendBase64URL(make([]byte, 0, dot2-dot1), kb[dot1+1:dot2])
	if err != nil {
		return HolderBindingInvalid.because("KB-JWT payload")
	}
	signature, err := keys.AppendBase64URL(make([]byte, 0, 64), kb[dot2+1:])
	if err != nil {
		return HolderBindingInvalid.because("KB-JWT signature")
	}
	p := getParser()
	claims, err := p.text(payload, string(payload), 1)
	p.release()
	if err != nil || claims.kind != Object {
		return HolderBindingInvalid.because("KB-JWT payload")
	}
	if err := checkKBClaims(claims, o, sdHash); err != nil {
		return err
	}
	if holder.Verify(kb[:dot2], signature) != nil {
		return HolderBindingInvalid.because("KB-JWT signature")
	}
	return nil
}

func checkKBClaims(claims Value, o Options, sdHash string) error {
	if nonce, _ := claims.Get("nonce"); o.Nonce == "" || nonce.Str() != o.Nonce {
		return NonceMismatch
	}
	if aud, _ := claims.Get("aud"); o.Audience == "" || aud.Str() != o.Audience { // an array has no Str: D05
		return AudienceMismatch
	}
	if hash, _ := claims.Get("sd_hash"); hash.Str() != sdHash {
		return SDHashMismatch
	}
	iat, _ := claims.Get("iat")
	t, err := envelopeTime(iat)
	if err != nil {
		return HolderBindingInvalid.because("iat")
	}
	window := o.Window
	if window == 0 {
		window = defaultWindow
	}
	if age := o.Now.Sub(t); age > window || age < -window {
		return HolderBindingInvalid.because("iat outside of the window")
	}
	return checkTransactionData(claims, o)
}

// checkTransactionData compares hashes over the request's strings as they are (OpenID4VP B.3.3.1; D41).
func checkTransactionData(claims Value, o Options) error {
	hashes, there := claims.Get("transaction_data_hashes")
	alg, algThere := claims.Get("transaction_data_hashes_alg")
	if len(o.TransactionData) == 0 {
		if there || algThere {
			return TransactionDataMismatch.because("hashes that were not asked for")
		}
		return nil
	}
	name, allowed := "sha-256", o.TransactionDataAlgs
	if algThere {
		name = alg.Str()
	}
	if allowed == nil {
		allowed = []string{"sha-256"}
	}
	if !slices.Contains(allowed, name) || !knownHash(name) {
		return TransactionDataMismatch.because("hash algorithm")
	}
	if hashes.kind != Array || len(hashes.parts) != len(o.TransactionData) {
		return TransactionDataMismatch.because("number of hashes")
	}
	for i, text := range o.TransactionData {
		if hashes.parts[i].Value.Str() != hashText(name, []byte(text)) {
			return TransactionDataMismatch.because("hash")
		}
	}
	return nil
}

func knownHash(name string) bool { return name == "sha-256" || name == "sha-384" || name == "sha-512" }

// KeyBinding is what a holder binds a presentation to.
type KeyBinding struct {
	Audience string // full client_id with its prefix
	Nonce    string
	IssuedAt time.Time
	// TransactionData are the base64url strings of the request; hashes go over the strings as they are.
	TransactionData    []string
	TransactionDataAlg string // "": sha-256, not written
}

// Present selects and signs: the SD-JWT+KB (RFC 9901 section 4.3). s holds the key of cnf.jwk.
// Errors: ErrSelection, HolderBindingInvalid (another key), or the signer's.
func (h *Held) Present(paths []Path, kb KeyBinding, s keys.Signer) (string, error) {
	if !h.boundTo(s.Public()) {
		return "", HolderBindingInvalid.because("the credential is bound to another key")
	}
	if kb.Audience == "" || kb.Nonce == "" || kb.IssuedAt.IsZero() {
		return "", errors.New("sdjwt: a presentation needs audience, nonce and time")
	}
	chosen, err := h.choose(paths)
	if err != nil {
		return "", err
	}
	hash := kb.TransactionDataAlg
	if hash != "" && !knownHash(hash) {
		return "", AlgNotAllowed.because("transaction data hash")
	}
	out := h.appendSelection(make([]byte, 0, h.size(chosen)+512), chosen)
	body := len(out)
	sdHash := hashText(h.u.hash, out)
	out = append(out, kbHeader[s.Public().Alg()]...)
	out = append(out, '.')
	var buf [512]byte
	out = keys.AppendEncodeURL(out, kb.appendPayload(buf[:0], sdHash))
	sig, err := s.Sign(out[body:])
	if err != nil {
		return "", err
	}
	out = append(out, '.')
	return string(keys.AppendEncodeURL(out, sig)), nil
}

// The two headers that a KB-JWT can have, encoded.
var kbHeader = map[string]string{
	keys.ES256: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"kb+jwt"}`)),
	keys.EdDSA: base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","typ":"kb+jwt"}`)),
}

func (kb KeyBinding) appendPayload(b []byte, sdHash string) []byte {
	b = append(b, `{"iat":`...)
	b = strconv.AppendInt(b, kb.IssuedAt.Unix(), 10)
	b = append(b, `,"aud":`...)
	b = appendQuoted(b, kb.Audience)
	b = append(b, `,"nonce":`...)
	b = appendQuoted(b, kb.Nonce)
	b = append(b, `,"sd_hash":"`...)
	b = append(b, sdHash...)
	b = append(b, '"')
	if len(kb.TransactionData) > 0 {
		hashes := make([]string, len(kb.TransactionData))
		for i, text := range kb.TransactionData {
			hashes[i] = hashText(kb.TransactionDataAlg, []byte(text))
		}
		b = append(b, `,"transaction_data_hashes":["`...)
		b = append(b, strings.Join(hashes, `","`)...)
		b = append(b, `"]`...)
		if kb.TransactionDataAlg != "" {
			b = append(b, `,"transaction_data_hashes_alg":`...)
			b = appendQuoted(b, kb.TransactionDataAlg)
		}
	}
	return append(b, '}')
}
