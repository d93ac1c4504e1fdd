package holder

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
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

const maxCopies = 10

// Receive takes what was offered: token, nonce, one key and one proof a copy, all copies in one request. Every copy is
// checked before any is stored; one that does not hold refuses them all, and the issuer is told where it asks to be.
// txCode is ignored when the offer needs none; a wrong one leaves the offer usable. What was received before an error, of
// an offer of several types, is returned with it.
// Errors: ErrTxCode, ErrRefused, ErrUntrusted, ErrRegistry, ErrOffer, ErrUnreachable.
func (h *Holder) Receive(ctx context.Context, o *Offer, txCode string) ([]Received, error) {
	if o.NeedsTxCode && txCode == "" {
		return nil, ErrTxCode
	}
	s, err := h.redeem(ctx, o, txCode)
	if err != nil {
		return nil, err
	}
	var all []Received
	for _, t := range o.Types {
		r, err := s.receive(ctx, t)
		if err != nil {
			return all, fmt.Errorf("receive %s: %w", t.VCT, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (s *session) receive(ctx context.Context, t OfferedType) (Received, error) {
	nonce, err := s.freshNonce(ctx)
	if err != nil {
		return Received{}, err // a failed nonce ends the issuance: no proof without one (I23)
	}
	request, device, err := s.request(t, nonce)
	if err != nil {
		return Received{}, err
	}
	answer, err := s.credentials(ctx, request)
	if err != nil {
		return Received{}, err
	}
	r, err := s.keep(ctx, t, answer, device)
	if err != nil {
		s.notify(ctx, answer.NotificationID, "credential_failure")
		return Received{}, err
	}
	s.notify(ctx, answer.NotificationID, "credential_accepted")
	_ = s.h.refreshOne(ctx, r.ID) //nolint:errcheck // what a later Refresh makes good
	return r, nil
}

// request makes one fresh key and its proof a copy.
func (s *session) request(t OfferedType, nonce string) (oid4vci.CredentialRequest, []deviceKey, error) {
	copies := 1
	if b := s.offer.metadata.BatchIssuance; b != nil {
		copies = max(1, min(b.BatchSize, maxCopies))
	}
	request := oid4vci.CredentialRequest{CredentialConfigurationID: t.Configuration}
	if id, ok := s.datasets[t.Configuration]; ok { // then it is named by that, and by nothing else (8.2)
		request.CredentialIdentifier, request.CredentialConfigurationID = id, ""
	}
	device := make([]deviceKey, copies)
	for i := range device {
		var err error
		if device[i], err = s.h.newKey(); err != nil {
			return request, nil, err
		}
		proof, err := oid4vci.BuildProof(device[i], oid4vci.ProofRequest{
			Audience: s.offer.Issuer, ClientID: s.clientID(), Nonce: nonce, Now: s.h.cfg.Now(),
		})
		if err != nil {
			return request, nil, fmt.Errorf("prove a key: %w", err)
		}
		request.Proofs.JWT = append(request.Proofs.JWT, proof)
	}
	return request, device, nil
}

// keep stores all copies or none.
func (s *session) keep(ctx context.Context, t OfferedType, answer oid4vci.CredentialResponse, device []deviceKey) (Received, error) {
	checked, err := s.h.check(ctx, t.VCT, answer, device)
	if err != nil {
		return Received{}, err
	}
	r, err := s.h.store(ctx, s.offer.Issuer, t, checked)
	if err != nil {
		return Received{}, fmt.Errorf("store the copies: %w", err)
	}
	return r, nil
}

func (s *session) freshNonce(ctx context.Context) (string, error) {
	res, err := s.h.do(ctx, httpd.Request{Method: http.MethodPost, URL: s.offer.metadata.NonceEndpoint}, ErrOffer)
	if err != nil {
		return "", fmt.Errorf("fetch a nonce: %w", err)
	}
	if res.Status != http.StatusOK {
		return "", fmt.Errorf("%w: no nonce: %s", ErrRefused, wireError(res))
	}
	n, err := oid4vci.DecodeNonceResponse(res.Body)
	if err != nil {
		return "", fmt.Errorf("%w: no nonce: %w", ErrRefused, err)
	}
	return n.CNonce, nil
}

func (s *session) credentials(ctx context.Context, request oid4vci.CredentialRequest) (oid4vci.CredentialResponse, error) {
	res, err := s.post(ctx, s.offer.metadata.CredentialEndpoint, request)
	if err != nil {
		return oid4vci.CredentialResponse{}, fmt.Errorf("ask for the credential: %w", err)
	}
	if res.Status != http.StatusOK {
		return oid4vci.CredentialResponse{}, fmt.Errorf("%w: ask for the credential: %s", ErrRefused, wireError(res))
	}
	answer, err := oid4vci.DecodeCredentialResponse(res.Body, len(request.Proofs.JWT))
	if err != nil {
		return oid4vci.CredentialResponse{}, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if answer.TransactionID != "" {
		return oid4vci.CredentialResponse{}, fmt.Errorf("%w: the issuer wants to be asked again later", ErrRefused)
	}
	return answer, nil
}

// notify is best effort: the issuer learns the outcome where it asked to (OpenID4VCI 11), nothing depends on it.
func (s *session) notify(ctx context.Context, id, event string) {
	if id == "" || s.offer.metadata.NotificationEndpoint == "" {
		return
	}
	_, _ = s.post(ctx, s.offer.metadata.NotificationEndpoint, oid4vci.Notification{NotificationID: id, Event: event}) //nolint:errcheck // see above
}
