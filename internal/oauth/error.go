package oauth

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
)

// A Code is the `error` member on the wire. The list below is closed: nothing else leaves a server of ours.
type Code string

// Codes of RFC 6749 4.1.2.1 and 5.2, RFC 6750 3.1, RFC 9449, RFC 9396, RFC 9126 and attestation-based client authentication.
const (
	InvalidRequest              Code = "invalid_request"
	InvalidClient               Code = "invalid_client"
	InvalidGrant                Code = "invalid_grant"
	UnauthorizedClient          Code = "unauthorized_client"
	UnsupportedGrantType        Code = "unsupported_grant_type"
	UnsupportedResponseType     Code = "unsupported_response_type"
	InvalidScope                Code = "invalid_scope"
	AccessDenied                Code = "access_denied"
	ServerError                 Code = "server_error"
	TemporarilyUnavailable      Code = "temporarily_unavailable"
	SlowDown                    Code = "slow_down" // 429 on the endpoints of the pre-authorized code
	InvalidToken                Code = "invalid_token"
	InsufficientScope           Code = "insufficient_scope"
	InvalidDPoPProof            Code = "invalid_dpop_proof"
	UseDPoPNonce                Code = "use_dpop_nonce"
	InvalidAuthorizationDetails Code = "invalid_authorization_details"
	UseAttestationChallenge     Code = "use_attestation_challenge"
	UseFreshAttestation         Code = "use_fresh_attestation"
)

// Codes of OpenID4VCI 1.0 8.3.1.2, 9.3 and 11.3.
const (
	InvalidCredentialRequest       Code = "invalid_credential_request"
	UnknownCredentialConfiguration Code = "unknown_credential_configuration"
	UnknownCredentialIdentifier    Code = "unknown_credential_identifier"
	InvalidProof                   Code = "invalid_proof"
	InvalidNonce                   Code = "invalid_nonce"
	InvalidEncryptionParameters    Code = "invalid_encryption_parameters"
	CredentialRequestDenied        Code = "credential_request_denied"
	InvalidTransactionID           Code = "invalid_transaction_id"
	InvalidNotificationID          Code = "invalid_notification_id"
	InvalidNotificationRequest     Code = "invalid_notification_request"
)

// Codes of OpenID4VP 1.0 8.5.
const (
	VPFormatsNotSupported   Code = "vp_formats_not_supported"
	InvalidRequestURIMethod Code = "invalid_request_uri_method"
	InvalidTransactionData  Code = "invalid_transaction_data"
	WalletUnavailable       Code = "wallet_unavailable"
)

// An Error is what the other party reads, {"error", "error_description"}, with a parent that only our log reads.
type Error struct {
	Code        Code   `json:"error"`
	Description string `json:"error_description,omitzero"`

	status int
	header http.Header
	parent error
}

// NewError makes a wire error. The description is a constant of ours, never input: characters that the specification
// forbids are dropped when it is made.
func NewError(code Code, description string) *Error {
	return &Error{Code: code, Description: cleanDescription(description)}
}

// WithParent returns a copy that carries the cause for the log.
func (e *Error) WithParent(err error) *Error {
	c := *e
	c.parent = err
	return &c
}

// WithStatus returns a copy with another HTTP status than the code's usual one.
func (e *Error) WithStatus(status int) *Error {
	c := *e
	c.status = status
	return &c
}

// WithHeader returns a copy whose answer carries one more header (DPoP-Nonce, OAuth-Client-Attestation-Challenge, Retry-After).
func (e *Error) WithHeader(name, value string) *Error {
	c := *e
	c.header = e.header.Clone()
	if c.header == nil {
		c.header = http.Header{}
	}
	c.header.Set(name, value)
	return &c
}

// Error is for logs: code, description and cause.
func (e *Error) Error() string {
	s := "oauth: " + string(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.parent != nil {
		s += ": " + e.parent.Error()
	}
	return s
}

// Unwrap returns the hidden cause.
func (e *Error) Unwrap() error { return e.parent }

// Is matches another *Error by code alone, so that errors.Is(err, oauth.NewError(oauth.InvalidGrant, "")) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Description == "" && t.parent == nil
}

// Status is the HTTP status of the answer: 401 for invalid_client and invalid_token, 403 for insufficient_scope,
// 429 for slow_down, 500 and 503 for the server's own faults, 400 for all else.
func (e *Error) Status() int {
	if e.status != 0 {
		return e.status
	}
	switch e.Code {
	case InvalidClient, InvalidToken:
		return http.StatusUnauthorized
	case InsufficientScope:
		return http.StatusForbidden
	case SlowDown:
		return http.StatusTooManyRequests
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// AsError finds the wire error in err's chain; anything else is server_error with err as the hidden parent.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return NewError(ServerError, "internal error").WithParent(err)
}

// CodeOf is the wire code that err would be answered with; "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return AsError(err).Code
}

// WriteError answers with err's wire error as JSON, never to be stored. It returns what was sent, for the log.
func WriteError(w http.ResponseWriter, err error) *Error {
	e := AsError(err)
	h := w.Header()
	for name, values := range e.header {
		h[name] = values
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(e.Status())
	body, mErr := json.Marshal(e)
	if mErr == nil {
		_, _ = w.Write(body)
	}
	return e
}

// Refusal is what a server's middleware answers with at an endpoint of OAuth or OpenID4VC before its handler runs: code,
// with the status that it chose (405, 413).
func Refusal(code Code) func(w http.ResponseWriter, status int) {
	return func(w http.ResponseWriter, status int) { WriteError(w, NewError(code, "").WithStatus(status)) }
}

// WriteResourceError is [WriteError] for endpoints that take an access token: 401 and 403 carry WWW-Authenticate with the
// scheme the server wants (RFC 6750 3, RFC 9449 7.1).
func WriteResourceError(w http.ResponseWriter, err error, want Scheme) *Error {
	e := AsError(err)
	if s := e.Status(); s == http.StatusUnauthorized || s == http.StatusForbidden {
		challenge := string(want) + ` error="` + string(e.Code) + `"`
		if want == SchemeDPoP {
			challenge += `, algs="ES256"`
		}
		e = e.WithHeader("WWW-Authenticate", challenge)
	}
	return WriteError(w, e)
}

// cleanDescription keeps %x20-21 / %x23-5B / %x5D-7E (RFC 6749 5.2).
func cleanDescription(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c <= 0x7e && c != '"' && c != '\\' {
			out = append(out, c)
		}
	}
	return string(out)
}
