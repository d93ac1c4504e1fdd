package oid4vci

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// A CredentialRequest is 8.2, decoded: exactly one of both names, proofs of exactly one type.
type CredentialRequest struct {
	CredentialIdentifier      string              `json:"credential_identifier,omitzero"`
	CredentialConfigurationID string              `json:"credential_configuration_id,omitzero"`
	Proofs                    Proofs              `json:"proofs,omitzero"`
	ResponseEncryption        *ResponseEncryptKey `json:"credential_response_encryption,omitzero"`
}

// Proofs holds one of the proof types (appendix F).
type Proofs struct {
	JWT         []string         `json:"jwt,omitzero"`
	DIVP        []jsontext.Value `json:"di_vp,omitzero"`
	Attestation []string         `json:"attestation,omitzero"`
}

// The proof types.
const (
	ProofJWT         = "jwt"
	ProofDIVP        = "di_vp"
	ProofAttestation = "attestation"
)

// Type is the one proof type that is present, "" when there is none.
func (p Proofs) Type() string {
	switch {
	case p.JWT != nil:
		return ProofJWT
	case p.DIVP != nil:
		return ProofDIVP
	case p.Attestation != nil:
		return ProofAttestation
	}
	return ""
}

// Len is the number of proofs.
func (p Proofs) Len() int { return len(p.JWT) + len(p.DIVP) + len(p.Attestation) }

// ResponseEncryptKey is where the response is to be encrypted to.
type ResponseEncryptKey struct {
	JWK jsontext.Value `json:"jwk"`
	Enc string         `json:"enc"`
	Zip string         `json:"zip,omitzero"`
}

// RequestLimits are the issuer's own.
type RequestLimits struct {
	Bytes     int  // of the body; default 256 KiB
	BatchSize int  // most proofs in one request; 0 means 1
	NoProofs  bool // the configuration needs no key binding: proofs may be missing
	// Encryption is the issuer's metadata; nil: response encryption is not offered.
	Encryption *ResponseEncryption
	// Encrypted says that the body came out of a JWE; only then credential_response_encryption is taken.
	Encrypted bool
	// MustEncrypt says that the issuer demands encrypted requests.
	MustEncrypt bool
}

// ReadCredentialRequest reads the body of an unencrypted request after its media type (415) and size (413).
// Errors are those of DecodeCredentialRequest.
func ReadCredentialRequest(r *http.Request, limits RequestLimits) (CredentialRequest, error) {
	body, err := readJSON(r, limits.bytes(), oauth.InvalidCredentialRequest)
	if err != nil {
		return CredentialRequest{}, err
	}
	return DecodeCredentialRequest(body, limits)
}

// readJSON reads a body of at most limit bytes after its media type (415) and size (413); code is what refuses it.
func readJSON(r *http.Request, limit int, code oauth.Code) ([]byte, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || media != "application/json" || charset != "" && charset != "utf-8" && charset != "UTF-8" {
		return nil, oauth.NewError(code, "content type must be application/json").WithStatus(http.StatusUnsupportedMediaType)
	}
	tooLarge := oauth.NewError(code, "request is too large").WithStatus(http.StatusRequestEntityTooLarge)
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	var over *http.MaxBytesError
	if errors.As(err, &over) || len(body) > limit {
		return nil, tooLarge
	}
	if err != nil {
		return nil, oauth.NewError(code, "body could not be read").WithParent(err)
	}
	return body, nil
}

// DecodeCredentialRequest reads the JSON strictly. Errors: invalid_credential_request (malformed, both or neither name,
// two proof types, empty or too many proofs), invalid_proof (proofs missing), invalid_encryption_parameters.
func DecodeCredentialRequest(body []byte, limits RequestLimits) (CredentialRequest, error) {
	if len(body) > limits.bytes() {
		return CredentialRequest{}, badRequest("request is too large").WithStatus(http.StatusRequestEntityTooLarge)
	}
	if limits.MustEncrypt && !limits.Encrypted {
		return CredentialRequest{}, badEncryption("request must be encrypted")
	}
	var members struct {
		Identifier      jsontext.Value `json:"credential_identifier"`
		ConfigurationID jsontext.Value `json:"credential_configuration_id"`
		Proofs          jsontext.Value `json:"proofs"`
		Encryption      jsontext.Value `json:"credential_response_encryption"`
	}
	if err := decodeObject(body, &members); err != nil {
		return CredentialRequest{}, badRequest("request is not the JSON object it should be").WithParent(err)
	}
	var c CredentialRequest
	var err error
	if (members.Identifier == nil) == (members.ConfigurationID == nil) {
		return CredentialRequest{}, badRequest("exactly one of credential_identifier and credential_configuration_id is required")
	}
	if c.CredentialIdentifier, err = word(members.Identifier); err != nil {
		return CredentialRequest{}, err
	}
	if c.CredentialConfigurationID, err = word(members.ConfigurationID); err != nil {
		return CredentialRequest{}, err
	}
	if c.Proofs, err = decodeProofs(members.Proofs, limits); err != nil {
		return CredentialRequest{}, err
	}
	if c.ResponseEncryption, err = decodeEncryption(members.Encryption, limits); err != nil {
		return CredentialRequest{}, err
	}
	return c, nil
}

func decodeProofs(raw jsontext.Value, limits RequestLimits) (Proofs, error) {
	if raw == nil {
		if limits.NoProofs {
			return Proofs{}, nil
		}
		return Proofs{}, oauth.NewError(oauth.InvalidProof, "proofs is missing")
	}
	var types map[string]jsontext.Value
	if err := decodeObject(raw, &types); err != nil {
		return Proofs{}, badRequest("proofs is malformed").WithParent(err)
	}
	if len(types) != 1 {
		return Proofs{}, badRequest("proofs must hold exactly one proof type")
	}
	var p Proofs
	var err error
	for name, list := range types {
		switch {
		case list.Kind() != '[':
			return Proofs{}, badRequest("proofs of a type must be an array")
		case name == ProofJWT:
			err = json.Unmarshal(list, &p.JWT)
		case name == ProofAttestation:
			err = json.Unmarshal(list, &p.Attestation)
		case name == ProofDIVP:
			err = json.Unmarshal(list, &p.DIVP)
		default:
			return Proofs{}, badRequest("proof type is not supported")
		}
	}
	return p, checkProofs(p, err, limits)
}

func checkProofs(p Proofs, err error, limits RequestLimits) error {
	most := max(limits.BatchSize, 1)
	switch {
	case err != nil:
		return badRequest("proof is of the wrong JSON type").WithParent(err)
	case p.Len() == 0 || p.Len() > most || len(p.Attestation) > 1:
		return badRequest("proofs is empty or exceeds the batch size")
	case slices.Contains(p.JWT, "") || slices.Contains(p.Attestation, ""):
		return badRequest("proof is empty")
	case slices.ContainsFunc(p.DIVP, func(v jsontext.Value) bool { return v.Kind() != '{' }):
		return badRequest("proof is of the wrong JSON type")
	}
	return nil
}

// decodeEncryption: 8.2 wants the request encrypted too, or someone in between could put in a key of his own.
func decodeEncryption(raw jsontext.Value, limits RequestLimits) (*ResponseEncryptKey, error) {
	offered := limits.Encryption
	switch {
	case raw == nil && offered != nil && offered.Required:
		return nil, badEncryption("the response must be encrypted")
	case raw == nil:
		return nil, nil
	case offered == nil:
		return nil, badEncryption("response encryption is not offered")
	case !limits.Encrypted:
		return nil, badEncryption("request encryption must be used with response encryption")
	}
	var k ResponseEncryptKey
	if err := decodeObject(raw, &k); err != nil {
		return nil, badEncryption("credential_response_encryption is malformed").WithParent(err)
	}
	if !slices.Contains(offered.Enc, k.Enc) || k.Zip != "" && !slices.Contains(offered.Zip, k.Zip) {
		return nil, badEncryption("enc or zip is not offered")
	}
	// ParseRecipient wants alg ECDH-ES, a point on the curve and no private member.
	if _, err := keys.ParseRecipient(k.JWK); err != nil || !slices.Contains(offered.Alg, keys.ECDHES) {
		return nil, badEncryption("jwk is not acceptable").WithParent(err)
	}
	return &k, nil
}

// word reads an optional string of 1 to 512 bytes; null is not a string.
func word(raw jsontext.Value) (string, error) {
	if raw == nil {
		return "", nil
	}
	var s string
	if raw.Kind() != '"' || json.Unmarshal(raw, &s) != nil || s == "" || len(s) > maxWord {
		return "", badRequest("a name is empty, too long or not a string")
	}
	return s, nil
}

// maxDepth bounds nesting: nothing here goes deeper than a data-integrity proof.
const maxDepth = 32

// decodeObject unmarshals an object, no deeper than maxDepth, without duplicate names or trailing data.
func decodeObject(data []byte, into any) error {
	if jsontext.Value(data).Kind() != '{' || tooDeep(data) {
		return errors.New("not an object, or nested too deeply")
	}
	return json.Unmarshal(data, into)
}

// tooDeep counts brackets outside of strings; it does not validate.
func tooDeep(data []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

func (l RequestLimits) bytes() int {
	if l.Bytes > 0 {
		return l.Bytes
	}
	return 256 << 10
}

func badRequest(why string) *oauth.Error { return oauth.NewError(oauth.InvalidCredentialRequest, why) }

func badEncryption(why string) *oauth.Error {
	return oauth.NewError(oauth.InvalidEncryptionParameters, why)
}
