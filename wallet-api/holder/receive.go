package holder

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
)

// Received is a stored logical credential.
type Received struct {
	ID      string
	VCT     string
	Issuer  string // DID
	Copies  int
	Expires time.Time
	// Tokens are the copies byte for byte, for callers that compare them with the issuer's record.
	Tokens []string
}

// Receive takes what was offered: token, nonce, one key and one proof a copy, all copies in one request. Every copy is
// checked before any is stored; one that does not hold refuses them all, and the issuer is told where it asks to be.
// Errors: ErrTxCode, ErrRefused, ErrUntrusted, ErrUnreachable.
func (h *Holder) Receive(ctx context.Context, o *Offer, txCode string) ([]Received, error) {
	if o.NeedsTxCode && txCode == "" {
		return nil, ErrTxCode
	}
	access, err := h.redeem(ctx, o, txCode)
	if err != nil {
		return nil, err
	}
	var all []Received
	for _, t := range o.Types {
		r, err := h.receiveType(ctx, o, t, access)
		if err != nil {
			return all, fmt.Errorf("receive %s: %w", t.Configuration, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// redeem exchanges the pre-authorized code (OpenID4VCI 6).
func (h *Holder) redeem(ctx context.Context, o *Offer, txCode string) (string, error) {
	request := oid4vci.TokenRequest{PreAuthorizedCode: o.code, TxCode: txCode}
	request.GrantType = oauth.GrantPreAuthorizedCode
	form, err := request.Form()
	if err != nil {
		return "", err
	}
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if err := h.attestation(ctx, o.server, header); err != nil {
		return "", err
	}
	res, err := h.do(ctx, httpd.Request{Method: http.MethodPost, URL: o.token, Body: []byte(form), Header: header})
	if err != nil {
		return "", fmt.Errorf("redeem the code: %w", err)
	}
	if res.Status != http.StatusOK {
		refusal := wireError(res)
		if o.NeedsTxCode && refusal == string(oauth.InvalidGrant) {
			return "", fmt.Errorf("%w: %s", ErrTxCode, refusal)
		}
		return "", fmt.Errorf("%w: redeem the code: %s", ErrRefused, refusal)
	}
	token, err := oid4vci.DecodeTokenResponse(res.Body)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return token.AccessToken, nil
}

func (h *Holder) receiveType(ctx context.Context, o *Offer, t OfferedType, access string) (Received, error) {
	nonce, err := h.nonce(ctx, o)
	if err != nil {
		return Received{}, err // a failed nonce ends the issuance: no proof without one (I23)
	}
	copies := 1
	if b := o.metadata.BatchIssuance; b != nil {
		copies = min(b.BatchSize, 10)
	}
	device := make([]deviceKey, copies)
	request := oid4vci.CredentialRequest{CredentialConfigurationID: t.Configuration}
	for i := range device {
		if device[i], err = h.newKey(); err != nil {
			return Received{}, err
		}
		proof, err := oid4vci.BuildProof(device[i], oid4vci.ProofRequest{Audience: o.Issuer, Nonce: nonce, Now: h.cfg.Now()})
		if err != nil {
			return Received{}, fmt.Errorf("prove a key: %w", err)
		}
		request.Proofs.JWT = append(request.Proofs.JWT, proof)
	}
	answer, err := h.credentials(ctx, o, request, access)
	if err != nil {
		return Received{}, err
	}
	checked, err := h.check(ctx, o, t, answer, device)
	if err != nil {
		h.notify(ctx, o, answer.NotificationID, "credential_failure", access)
		return Received{}, err
	}
	r, err := h.store(ctx, o, t, checked)
	if err != nil {
		return Received{}, fmt.Errorf("store the copies: %w", err)
	}
	h.notify(ctx, o, answer.NotificationID, "credential_accepted", access)
	return r, nil
}

func (h *Holder) nonce(ctx context.Context, o *Offer) (string, error) {
	if o.metadata.NonceEndpoint == "" {
		return "", nil
	}
	res, err := h.do(ctx, httpd.Request{Method: http.MethodPost, URL: o.metadata.NonceEndpoint})
	if err != nil {
		return "", fmt.Errorf("fetch a nonce: %w", err)
	}
	var n oid4vci.NonceResponse
	if res.Status != http.StatusOK || json.Unmarshal(res.Body, &n) != nil || n.CNonce == "" {
		return "", fmt.Errorf("%w: no nonce (status %d)", ErrRefused, res.Status)
	}
	return n.CNonce, nil
}

func (h *Holder) credentials(ctx context.Context, o *Offer, request oid4vci.CredentialRequest, access string) (oid4vci.CredentialResponse, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return oid4vci.CredentialResponse{}, err
	}
	res, err := h.do(ctx, httpd.Request{
		Method: http.MethodPost, URL: o.metadata.CredentialEndpoint, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + access}},
	})
	if err != nil {
		return oid4vci.CredentialResponse{}, fmt.Errorf("ask for the credential: %w", err)
	}
	if res.Status != http.StatusOK {
		return oid4vci.CredentialResponse{}, fmt.Errorf("%w: ask for the credential: %s", ErrRefused, wireError(res))
	}
	answer, err := oid4vci.DecodeCredentialResponse(res.Body, len(request.Proofs.JWT))
	if err != nil {
		return answer, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if len(answer.Credentials) != len(request.Proofs.JWT) {
		return answer, fmt.Errorf("%w: %d copies for %d keys", ErrUntrusted, len(answer.Credentials), len(request.Proofs.JWT))
	}
	return answer, nil
}

// notify is best effort: the issuer learns the outcome where it asked to (OpenID4VCI 11), nothing depends on it.
func (h *Holder) notify(ctx context.Context, o *Offer, id, event, access string) {
	if id == "" || o.metadata.NotificationEndpoint == "" {
		return
	}
	body, err := json.Marshal(oid4vci.Notification{NotificationID: id, Event: event})
	if err != nil {
		return
	}
	_, _ = h.do(ctx, httpd.Request{ //nolint:errcheck // best effort, see above
		Method: http.MethodPost, URL: o.metadata.NotificationEndpoint, Body: body,
		Header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + access}},
	})
}

// wireError is the `error` member of an OAuth answer, or the status: codes of a closed list, never free text.
func wireError(res *httpd.Response) string {
	var e struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(res.Body, &e) == nil && e.Error != "" && len(e.Error) < 64 {
		return e.Error
	}
	return fmt.Sprintf("status %d", res.Status)
}
