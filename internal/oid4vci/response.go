package oid4vci

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

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

const maxResponseBytes = 4 << 20

// StringCredential wraps a credential that is a string.
func StringCredential(s string) IssuedCredential {
	v, _ := jsontext.AppendQuote(nil, s) // fails for invalid UTF-8 only: credentials are ASCII
	return IssuedCredential{Credential: v}
}

// Text is the credential when it is a JSON string.
func (c IssuedCredential) Text() (string, bool) {
	var s string
	if c.Credential.Kind() != '"' || json.Unmarshal(c.Credential, &s) != nil {
		return "", false
	}
	return s, true
}

// DecodeCredentialResponse is the wallet's side: credentials xor transaction, at most as many as proofs were sent
// (0 means 1). At most 4 MiB.
func DecodeCredentialResponse(body []byte, proofs int) (CredentialResponse, error) {
	var r CredentialResponse
	if len(body) > maxResponseBytes {
		return CredentialResponse{}, errors.New("oid4vci: credential response is too large")
	}
	if err := decodeObject(body, &r); err != nil {
		return CredentialResponse{}, fmt.Errorf("decode credential response: %w", err)
	}
	switch n := len(r.Credentials); {
	case (n == 0) == (r.TransactionID == ""):
		return CredentialResponse{}, errors.New("oid4vci: credential response needs credentials or a transaction, not both")
	case n > max(proofs, 1):
		return CredentialResponse{}, errors.New("oid4vci: more credentials than proofs")
	case n == 0 && r.Interval <= 0:
		return CredentialResponse{}, errors.New("oid4vci: transaction without an interval")
	case n == 0 && r.NotificationID != "":
		return CredentialResponse{}, errors.New("oid4vci: notification without credentials")
	}
	for _, c := range r.Credentials {
		if s, isString := c.Text(); c.Credential.Kind() != '{' && (!isString || s == "") {
			return CredentialResponse{}, errors.New("oid4vci: credential is neither a string nor an object")
		}
	}
	return r, nil
}

// EncryptResponse makes the application/jwt body of a response to that key (10).
func EncryptResponse(r CredentialResponse, k ResponseEncryptKey) (string, error) {
	to, err := keys.ParseRecipient(k.JWK)
	if err != nil {
		return "", fmt.Errorf("read response key: %w", err)
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	return keys.Encrypt(payload, keys.Encryption{To: to, Enc: k.Enc})
}

// OpenRequest decrypts an application/jwt request body (8.2, 10): the JSON inside. Error: invalid_encryption_parameters.
func OpenRequest(body []byte, key *keys.EncryptionKey, offered RequestEncryption) ([]byte, error) {
	payload, _, err := keys.Decrypt(key, body, keys.ExpectJWE{Encs: offered.Enc, MaxBytes: 1 << 20})
	if err != nil {
		return nil, badEncryption("encrypted request cannot be opened").WithParent(err)
	}
	return payload, nil
}

// A DeferredRequest is 9.1.
type DeferredRequest struct {
	TransactionID      string              `json:"transaction_id"`
	ResponseEncryption *ResponseEncryptKey `json:"credential_response_encryption,omitzero"`
}

// DecodeDeferredRequest reads it: invalid_credential_request when malformed or without a transaction_id.
// Whether the id is a good one is the caller's to say (invalid_transaction_id).
func DecodeDeferredRequest(body []byte, limits RequestLimits) (DeferredRequest, error) {
	var members struct {
		TransactionID jsontext.Value `json:"transaction_id"`
		Encryption    jsontext.Value `json:"credential_response_encryption"`
	}
	if len(body) > limits.bytes() {
		return DeferredRequest{}, badRequest("request is too large")
	}
	if err := decodeObject(body, &members); err != nil {
		return DeferredRequest{}, badRequest("request is not the JSON object it should be").WithParent(err)
	}
	id, err := word(members.TransactionID)
	if err != nil {
		return DeferredRequest{}, err
	}
	if id == "" {
		return DeferredRequest{}, badRequest("transaction_id is missing")
	}
	enc, err := decodeEncryption(members.Encryption, limits)
	if err != nil {
		return DeferredRequest{}, err
	}
	return DeferredRequest{TransactionID: id, ResponseEncryption: enc}, nil
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

const maxNotification = 16 << 10

// ReadNotification reads the body of a notification request after its media type (415) and size (413). Errors are those of
// DecodeNotification.
func ReadNotification(r *http.Request) (Notification, error) {
	body, err := readJSON(r, maxNotification, oauth.InvalidNotificationRequest)
	if err != nil {
		return Notification{}, err
	}
	return DecodeNotification(body)
}

// DecodeNotification reads it: invalid_notification_request when malformed; whether the id is ours is the caller's
// (invalid_notification_id).
func DecodeNotification(body []byte) (Notification, error) {
	var n Notification
	bad := oauth.NewError(oauth.InvalidNotificationRequest, "notification is malformed")
	if len(body) > maxNotification {
		return Notification{}, bad
	}
	if err := decodeObject(body, &n); err != nil {
		return Notification{}, bad.WithParent(err)
	}
	known := n.Event == EventAccepted || n.Event == EventFailure || n.Event == EventDeleted
	if n.NotificationID == "" || len(n.NotificationID) > maxWord || !known || len(n.EventDescription) > 4<<10 {
		return Notification{}, bad
	}
	for i := range len(n.EventDescription) {
		if c := n.EventDescription[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return Notification{}, bad
		}
	}
	return n, nil
}
