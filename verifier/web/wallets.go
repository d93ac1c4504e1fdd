package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/verifier"
)

// wallets mounts each tenant's request_uri and response_uri (OpenID4VP 5.10 and 8.2).
func (s *Server) wallets() error {
	prefixes, err := s.prefixes()
	if err != nil {
		return err
	}
	s.public.Handle(httpd.Route{Pattern: "GET /health", Handler: httpd.Health(s.health)})
	refuse := oauth.Refusal(oauth.InvalidRequest)
	for tenant, prefix := range prefixes {
		e := endpoint{Server: s, tenant: tenant}
		s.public.Handle(httpd.Route{Pattern: "GET " + prefix + "/request/{handle}", Handler: http.HandlerFunc(e.get), CORS: true, Refuse: refuse})
		s.public.Handle(httpd.Route{Pattern: "POST " + prefix + "/request/{handle}", Handler: http.HandlerFunc(e.post), CORS: true, Refuse: refuse})
		s.public.Handle(httpd.Route{Pattern: "POST " + prefix + "/response", Handler: http.HandlerFunc(e.response), CORS: true,
			MaxBody: int64(oid4vp.ResponseLimits().Body), Refuse: refuse})
	}
	return nil
}

// endpoint is one tenant's side towards wallets.
type endpoint struct {
	*Server
	tenant string
}

func (e endpoint) get(w http.ResponseWriter, r *http.Request) { e.retrieve(w, r, "") }

// post takes what the wallet says of itself; only its nonce matters here, and it comes back inside the signature.
func (e endpoint) post(w http.ResponseWriter, r *http.Request) {
	form, err := oauth.ParseForm(r, oid4vp.RequestURILimits())
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	in, err := oid4vp.DecodeRequestURIPost(form)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	e.retrieve(w, r, in.WalletNonce)
}

func (e endpoint) retrieve(w http.ResponseWriter, r *http.Request, walletNonce string) {
	object, err := e.cfg.Desk.Retrieve(r.Context(), e.tenant, r.PathValue("handle"), walletNonce)
	if err != nil {
		e.refuse(w, err, retrieveStatus(err))
		return
	}
	w.Header().Set("Content-Type", oid4vp.RequestMediaType)
	_, _ = io.WriteString(w, object)
}

// retrieveStatus: 404 for a stranger's name, 410 once the request is over (THREATS D35).
func retrieveStatus(err error) int {
	switch {
	case errors.Is(err, verifier.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, verifier.ErrFinished), errors.Is(err, verifier.ErrTimedOut):
		return http.StatusGone
	}
	return faultStatus(err)
}

// faultStatus is for what is not the wallet's doing.
func faultStatus(err error) int {
	if storageFails(err) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// response takes the wallet's answer. Every refusal is the same 400: no oracle, and the wallet knows at once.
func (e endpoint) response(w http.ResponseWriter, r *http.Request) {
	body, err := formBody(r)
	if err != nil {
		oauth.WriteError(w, err)
		return
	}
	answer, err := e.cfg.Desk.Submit(r.Context(), e.tenant, body)
	if err != nil {
		e.refuse(w, err, submitStatus(err))
		return
	}
	out, err := json.Marshal(oid4vp.PostAnswer{RedirectURI: answer.RedirectURI})
	if err != nil {
		e.refuse(w, err, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}

func submitStatus(err error) int {
	for _, refused := range []error{verifier.ErrNotFound, verifier.ErrFinished, verifier.ErrTimedOut, verifier.ErrRefused} {
		if errors.Is(err, refused) {
			return http.StatusBadRequest
		}
	}
	return faultStatus(err)
}

// formBody bounds and reads the body after its media type was checked; the desk decodes it.
func formBody(r *http.Request) (string, error) {
	limit := oid4vp.ResponseLimits().Body
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || len(r.Header.Values("Content-Type")) != 1 {
		return "", oauth.NewError(oauth.InvalidRequest, "content type must be application/x-www-form-urlencoded")
	}
	tooLarge := oauth.NewError(oauth.InvalidRequest, "form is too large").WithStatus(http.StatusRequestEntityTooLarge)
	if r.ContentLength > int64(limit) {
		return "", tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	var over *http.MaxBytesError
	if errors.As(err, &over) || len(body) > limit {
		return "", tooLarge
	}
	if err != nil {
		return "", oauth.NewError(oauth.InvalidRequest, "body could not be read").WithParent(err)
	}
	return string(body), nil
}

// refuse answers with the constant body and writes the reason to the log.
func (e endpoint) refuse(w http.ResponseWriter, err error, status int) {
	code := oauth.InvalidRequest
	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		code, level = oauth.ServerError, slog.LevelError
	}
	if status == http.StatusServiceUnavailable {
		code = oauth.TemporarilyUnavailable
	}
	e.cfg.Log.LogAttrs(context.Background(), level, "wallet refused",
		slog.String("tenant", e.tenant), slog.String("request", httpd.RequestID(w)), slog.String("cause", err.Error()))
	oauth.WriteError(w, oauth.NewError(code, "").WithStatus(status))
}
