package oid4vci

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// A CredentialRequest is 8.2, decoded: exactly one of both names, proofs of exactly one type.
type CredentialRequest struct {
	CredentialIdentifier      string              `json:"credential_identifier,omitzero"`
	CredentialConfigurationID string              `json:"credential_configuration_id,omitzero"`
	Proofs                    Proofs              `json:"proofs,omitzero"`
	ResponseEncryption        *ResponseEncryptKey `json:"credential_response_encryption,omitzero"`
}

// Proofs holds one of the proof types.
type Proofs struct {
	JWT         []string         `json:"jwt,omitzero"`
	DIVP        []jsontext.Value `json:"di_vp,omitzero"`
	Attestation []string         `json:"attestation,omitzero"`
}

// Type is "jwt", "di_vp", "attestation" or "" when there is none.
func (p Proofs) Type() string { return "" }

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
}

// ReadCredentialRequest reads the body of an unencrypted request after its media type (415) and size (413).
func ReadCredentialRequest(r *http.Request, limits RequestLimits) (CredentialRequest, error) {
	return CredentialRequest{}, errTODO
}

// DecodeCredentialRequest reads the JSON strictly. Errors: invalid_credential_request (malformed, both or neither name,
// two proof types, empty or too many proofs), invalid_proof (proofs missing), invalid_encryption_parameters.
func DecodeCredentialRequest(body []byte, limits RequestLimits) (CredentialRequest, error) {
	return CredentialRequest{}, errTODO
}

// A CredentialResponse is 8.3: credentials, or a transaction to ask for later.
type CredentialResponse struct {
	Credentials    []IssuedCredential `json:"credentials,omitzero"`
	TransactionID  string             `json:"transaction_id,omitzero"`
	Interval       int64              `json:"interval,omitzero"` // seconds
	NotificationID string             `json:"notification_id,omitzero"`
}

// An IssuedCredential is a string (SD-JWT VC, base64url of IssuerSigned, JWT) or an object (ldp_vc).
type IssuedCredential struct {
	Credential jsontext.Value `json:"credential"`
}

// StringCredential wraps a credential that is a string.
func StringCredential(s string) IssuedCredential { return IssuedCredential{} }

// String is the credential when it is a JSON string.
func (c IssuedCredential) String() (string, bool) { return "", false }

// DecodeCredentialResponse is the wallet's side: credentials xor transaction, at most as many as proofs were sent. At most 4 MiB.
func DecodeCredentialResponse(body []byte, proofs int) (CredentialResponse, error) {
	return CredentialResponse{}, errTODO
}

// A DeferredRequest is 9.1.
type DeferredRequest struct {
	TransactionID      string              `json:"transaction_id"`
	ResponseEncryption *ResponseEncryptKey `json:"credential_response_encryption,omitzero"`
}

// DecodeDeferredRequest reads it: invalid_credential_request when malformed, invalid_transaction_id when absent.
func DecodeDeferredRequest(body []byte, limits RequestLimits) (DeferredRequest, error) {
	return DeferredRequest{}, errTODO
}

// The events of a notification (11.1).
const (
	EventAccepted = "credential_accepted"
	EventFailure  = "credential_failure"
	EventDeleted  = "credential_deleted"
)

// A Notification is 11.1.
type Notification struct {
	NotificationID   string `json:"notification_id"`
	Event            string `json:"event"`
	EventDescription string `json:"event_description,omitzero"`
}

// DecodeNotification reads it: invalid_notification_request when malformed, invalid_notification_id is the caller's.
func DecodeNotification(body []byte) (Notification, error) { return Notification{}, errTODO }
