package web

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/ttlkv"
	"github.com/dojang-id/dojang/issuer"
)

// Purposes of the nonces that carry an epoch.
const (
	purposeDPoP      = "dpop"
	purposeChallenge = "attestation"
)

// token is the token endpoint (OpenID4VCI 6): limits, client, DPoP, then the code.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	if s.is.CredentialIssuer(tenant) == "" {
		notFound(w)
		return
	}
	if err := s.limitToken(r); err != nil {
		oauth.WriteError(w, err)
		return
	}
	res, err := s.redeem(r, tenant)
	if err != nil {
		s.refuse(w, err)
		return
	}
	if res.TokenType == oauth.SchemeDPoP {
		s.addDPoPNonce(w, r, tenant)
	}
	writeJSON(w, http.StatusOK, res)
}

// limitToken slows down guessing (B01): the limits count in this process alone while the store is away.
func (s *Server) limitToken(r *http.Request) error {
	if ok, retry := s.tokenIP.Allow(r.Context(), s.subscriber(r)); !ok {
		return slowDown(retry)
	}
	if ok, retry := s.tokenAll.Allow(r.Context(), "all"); !ok {
		return slowDown(retry)
	}
	return nil
}

// subscriber is whom a limit by address counts: one has a whole IPv6 /64 to choose from (J14).
func (s *Server) subscriber(r *http.Request) string {
	a := s.public.ClientIP(r)
	if a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a.String()
}

// maxClientID bounds what a wallet calls itself.
const maxClientID = 256

func (s *Server) redeem(r *http.Request, tenant string) (oid4vci.TokenResponse, error) {
	form, err := oauth.ParseForm(r, oauth.FormLimits{})
	if err != nil {
		return oid4vci.TokenResponse{}, err
	}
	req, err := oid4vci.ParseTokenRequest(form, oauth.GrantPreAuthorizedCode)
	if err != nil {
		return oid4vci.TokenResponse{}, err
	}
	client, err := s.client(r, tenant, req.ClientID)
	if err != nil {
		return oid4vci.TokenResponse{}, err
	}
	out := issuer.TokenRequest{Tenant: tenant, Form: req, ClientID: client}
	if len(r.Header.Values("DPoP")) > 0 {
		proof, err := oauth.VerifyDPoP(r.Header, s.expectDPoP(r, tenant, "/token"))
		if err != nil {
			return oid4vci.TokenResponse{}, s.withDPoPNonce(r, tenant, err)
		}
		out.JKT = proof.Key.Thumbprint()
	}
	return s.is.Redeem(r.Context(), out)
}

// client authenticates a wallet attestation when one is sent or demanded (B08, B24 to B28). Without one the wallet is
// what it says: its client_id is only compared with the iss of its own proofs.
func (s *Server) client(r *http.Request, tenant, clientID string) (string, error) {
	t, err := s.is.Tenant(tenant)
	if err != nil {
		return "", err
	}
	if !oauth.HasAttestation(r.Header) {
		if t.Attestation == issuer.AttestationRequired {
			return "", oauth.NewError(oauth.InvalidClient, "a wallet attestation is required")
		}
		if len(clientID) > maxClientID {
			return "", oauth.NewError(oauth.InvalidRequest, "client_id is too long")
		}
		return clientID, nil
	}
	if t.WalletKey == nil {
		return "", oauth.NewError(oauth.InvalidClient, "no wallet provider is trusted here")
	}
	a, err := oauth.VerifyAttestation(r.Header, oauth.AttestationExpect{
		Audience: s.is.CredentialIssuer(tenant), ClientID: clientID, Now: s.cfg.Now(), TrustedKey: t.WalletKey,
		CheckChallenge: func(c string) error { return s.checkEpochNonce(r.Context(), tenant, purposeChallenge, c) },
		FirstUse:       s.firstUse(r.Context(), "wia"),
	})
	if oauth.CodeOf(err) == oauth.UseAttestationChallenge {
		if c, cErr := s.epochNonce(r.Context(), tenant, purposeChallenge); cErr == nil {
			return "", oauth.AsError(err).WithHeader(oauth.HeaderChallenge, c)
		}
	}
	if err != nil {
		return "", err
	}
	return a.ClientID, checkWalletStatus(r.Context(), t, a)
}

// checkWalletStatus fails closed where an attestation is required (B27).
func checkWalletStatus(ctx context.Context, t issuer.Tenant, a oauth.Attestation) error {
	switch {
	case a.Status == nil:
		return nil
	case t.WalletStatus != nil:
		if err := t.WalletStatus(ctx, a.Status); err != nil {
			return oauth.NewError(oauth.InvalidClient, "the wallet's status is not good").WithParent(err)
		}
	case t.Attestation == issuer.AttestationRequired:
		return oauth.NewError(oauth.InvalidClient, "the wallet's status cannot be checked")
	}
	return nil
}

// challenge hands out a challenge for wallet attestations.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request) {
	c, err := s.epochNonce(r.Context(), r.PathValue("tenant"), purposeChallenge)
	if errors.Is(err, issuer.ErrUnknownTenant) {
		notFound(w)
		return
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"attestation_challenge": c})
}

// nonce is the nonce endpoint (OpenID4VCI 7). It costs no write.
func (s *Server) nonce(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	n, err := s.is.CNonce(r.Context(), tenant)
	if errors.Is(err, issuer.ErrUnknownTenant) {
		notFound(w)
		return
	}
	if err != nil {
		s.refuse(w, err)
		return
	}
	writeJSON(w, http.StatusOK, oid4vci.NonceResponse{CNonce: n})
}

// credential is the credential endpoint (OpenID4VCI 8).
func (s *Server) credential(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	if s.is.CredentialIssuer(tenant) == "" {
		notFound(w)
		return
	}
	token, grant, err := s.authorize(r, tenant, "/credential")
	if err != nil {
		s.refuseToken(w, err, wanted(token, grant))
		return
	}
	limits := oid4vci.RequestLimits{BatchSize: s.is.BatchSize(tenant)}
	req, err := oid4vci.ReadCredentialRequest(r, limits)
	if err != nil {
		s.refuse(w, err)
		return
	}
	body, err := s.is.Issue(r.Context(), issuer.CredentialRequest{Tenant: tenant, Grant: grant, Request: req})
	if err != nil {
		s.refuseToken(w, err, wanted(token, grant))
		return
	}
	if grant.JKT != "" {
		s.addDPoPNonce(w, r, tenant)
	}
	writeBody(w, http.StatusOK, body)
	s.is.Answered()
}

// notification is the notification endpoint (OpenID4VCI 11).
func (s *Server) notification(w http.ResponseWriter, r *http.Request) {
	tenant := r.PathValue("tenant")
	if s.is.CredentialIssuer(tenant) == "" {
		notFound(w)
		return
	}
	token, grant, err := s.authorize(r, tenant, "/notification")
	if err != nil {
		s.refuseToken(w, err, wanted(token, grant))
		return
	}
	n, err := oid4vci.ReadNotification(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	if err := s.is.Notify(r.Context(), issuer.NotificationRequest{Tenant: tenant, Grant: grant, Notification: n}); err != nil {
		s.refuseToken(w, err, wanted(token, grant))
		return
	}
	if grant.JKT != "" {
		s.addDPoPNonce(w, r, tenant)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// authorize finds the grant of the request's access token and checks how it was presented at the endpoint of this path.
func (s *Server) authorize(r *http.Request, tenant, path string) (oauth.AccessToken, issuer.Grant, error) {
	token, err := oauth.ParseAccessToken(r)
	if err != nil {
		return token, issuer.Grant{}, err
	}
	grant, err := s.is.Grant(r.Context(), tenant, token.Token)
	if err != nil {
		return token, issuer.Grant{}, err
	}
	expect := s.expectDPoP(r, tenant, path)
	expect.AccessToken = token.Token
	if err := oauth.VerifyAccess(r.Header, token, grant.JKT, expect); err != nil {
		return token, grant, s.withDPoPNonce(r, tenant, err)
	}
	key := base64.RawURLEncoding.EncodeToString(grant.Token[:16])
	if ok, retry := s.perGrant.Allow(r.Context(), key); !ok {
		return token, grant, slowDown(retry)
	}
	return token, grant, nil
}

func wanted(token oauth.AccessToken, g issuer.Grant) oauth.Scheme {
	if g.JKT != "" || token.Scheme == oauth.SchemeDPoP {
		return oauth.SchemeDPoP
	}
	return oauth.SchemeBearer
}

func (s *Server) expectDPoP(r *http.Request, tenant, path string) oauth.DPoPExpect {
	return oauth.DPoPExpect{
		Method: r.Method, URL: s.is.CredentialIssuer(tenant) + path, Now: s.cfg.Now(),
		CheckNonce: func(n string) error { return s.checkEpochNonce(r.Context(), tenant, purposeDPoP, n) },
		FirstUse:   s.firstUse(r.Context(), "dpop"),
	}
}

// firstUse remembers proofs until their window ends. What forgets them (a flushed store) takes the epoch along, and
// with it every nonce that those proofs carry.
func (s *Server) firstUse(ctx context.Context, kind string) func(string, time.Time) (bool, error) {
	return func(id string, until time.Time) (bool, error) {
		sum := sha256.Sum256([]byte(id))
		key := "issuer-" + kind + "-" + base64.RawURLEncoding.EncodeToString(sum[:])
		return s.cfg.KV.SetNX(ctx, key, []byte{1}, max(until.Sub(s.cfg.Now()), time.Second))
	}
}

// epochNonce is a nonce of ours with the store's epoch before it.
func (s *Server) epochNonce(ctx context.Context, tenant, purpose string) (string, error) {
	n, err := s.is.Nonce(ctx, tenant, purpose)
	if err != nil {
		return "", err
	}
	word, err := s.epoch.Current(ctx)
	if err != nil {
		return "", oauth.NewError(oauth.TemporarilyUnavailable, "try again later").WithParent(err)
	}
	return word + "." + n, nil
}

var errEpoch = errors.New("issuer/web: nonce of another epoch")

func (s *Server) checkEpochNonce(ctx context.Context, tenant, purpose, nonce string) error {
	word, rest, ok := strings.Cut(nonce, ".")
	if !ok {
		return errEpoch
	}
	valid, err := s.epoch.Valid(ctx, word)
	if err != nil {
		return err
	}
	if !valid {
		return errEpoch
	}
	_, err = s.is.CheckNonce(ctx, tenant, purpose, rest)
	return err
}

// withDPoPNonce adds a fresh nonce to use_dpop_nonce.
func (s *Server) withDPoPNonce(r *http.Request, tenant string, err error) error {
	if oauth.CodeOf(err) != oauth.UseDPoPNonce {
		return err
	}
	n, nErr := s.epochNonce(r.Context(), tenant, purposeDPoP)
	if nErr != nil {
		return nErr
	}
	return oauth.AsError(err).WithHeader("DPoP-Nonce", n)
}

func (s *Server) addDPoPNonce(w http.ResponseWriter, r *http.Request, tenant string) {
	if n, err := s.epochNonce(r.Context(), tenant, purposeDPoP); err == nil {
		w.Header().Set("DPoP-Nonce", n)
	}
}

// refuse answers with the OAuth error; our own faults are logged.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	s.logged(oauth.WriteError(w, unavailable(err)))
}

// refuseToken is refuse where an access token is needed.
func (s *Server) refuseToken(w http.ResponseWriter, err error, want oauth.Scheme) {
	s.logged(oauth.WriteResourceError(w, unavailable(err), want))
}

func (s *Server) logged(e *oauth.Error) {
	if e.Status() >= http.StatusInternalServerError {
		s.cfg.Log.Error("request failed", "error", e)
	}
}

// unavailable tells a store that cannot write just now from a fault of ours.
func unavailable(err error) error {
	var wire *oauth.Error
	if errors.As(err, &wire) {
		return err
	}
	if storageFails(err) {
		return oauth.NewError(oauth.TemporarilyUnavailable, "try again later").WithParent(err)
	}
	return err
}

func storageFails(err error) bool {
	return sqldb.Retryable(err) || errors.Is(err, audit.ErrUnavailable) || errors.Is(err, ttlkv.ErrUnavailable) || errors.Is(err, ttlkv.ErrFull)
}
