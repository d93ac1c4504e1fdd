package verifier

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
)

// A PostAnswer is what the wallet gets for an answer that was taken.
type PostAnswer struct {
	RedirectURI string // "": the wallet stays where it is
}

// Submit takes a wallet's direct_post (url-encoded body), judges it and ends the transaction: verdict, receipt, outbox
// and audit in one SQL transaction, by compare-and-set. Of many answers at once one is taken (THREATS D02, D03).
// Whatever names a pending transaction ends it; what names none changes nothing.
//
// Errors: ErrNotFound (no transaction is named), ErrFinished, ErrTimedOut, ErrRefused (judged and not accepted). The
// edge answers all four alike. An answer on hold is taken: the company decides.
func (d *Desk) Submit(ctx context.Context, tenant, body string) (PostAnswer, error) {
	c, err := d.client(tenant)
	if err != nil {
		return PostAnswer{}, err
	}
	form, err := oauth.DecodeForm(body, oid4vp.ResponseLimits())
	if err != nil {
		return PostAnswer{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	t, err := d.named(ctx, tenant, form)
	if err != nil {
		return PostAnswer{}, err
	}
	p, err := d.pending(t)
	switch {
	case errors.Is(err, ErrTimedOut):
		return PostAnswer{}, errors.Join(err, d.timeOut(ctx, t))
	case errors.Is(err, ErrFinished):
		return PostAnswer{}, errors.Join(err, d.replayed(ctx, t))
	case err != nil:
		return PostAnswer{}, err
	}
	d.cfg.Step("submit.found")
	j, err := d.judge(ctx, p, t, form)
	if err != nil {
		return PostAnswer{}, err
	}
	d.cfg.Step("submit.judged")
	answer, err := d.end(ctx, c, p, t, j)
	if errors.Is(err, ErrFinished) { // another answer was faster
		err = errors.Join(err, d.replayed(ctx, t))
	}
	return answer, err
}

// named finds the transaction that an answer speaks of: by its state, or by the key that it is encrypted to.
func (d *Desk) named(ctx context.Context, tenant string, form oauth.Form) (Transaction, error) {
	state, kid := oid4vp.StateOf(form)
	look := Lookup{Tenant: tenant, By: ByState, Hash: nameKey(state)}
	if kid != "" {
		raw, err := base64.RawURLEncoding.DecodeString(kid)
		if err != nil || len(raw) != len(look.Hash) {
			return Transaction{}, ErrNotFound
		}
		look.Hash = [32]byte(raw)
	} else if state == "" {
		return Transaction{}, ErrNotFound
	}
	if o, ok := d.under.get(tenant, look.Hash); ok {
		return o.t, nil // as it was when it was made; whether it is still open, Finish decides
	}
	return d.cfg.Store.Find(ctx, look)
}

// judge decrypts, decodes and judges. An answer that decrypts but speaks of another transaction changes nothing.
func (d *Desk) judge(ctx context.Context, p *Policy, t Transaction, form oauth.Form) (Judgement, error) {
	o, err := d.open(t)
	if err != nil {
		return Judgement{}, fmt.Errorf("open transaction: %w", err)
	}
	s := o.s
	expect := oid4vp.ResponseExpect{Mode: t.ResponseMode, Encs: []string{keys.A128GCM, keys.A256GCM}, Query: p.query, Key: o.key}
	response, err := oid4vp.DecodeResponse(form, expect)
	if err != nil {
		return refusal(found(ReasonMalformed, err)), nil
	}
	if subtle.ConstantTimeCompare([]byte(response.State), []byte(s.State)) != 1 {
		return Judgement{}, fmt.Errorf("%w: answer carries another state", ErrNotFound)
	}
	if response.Error != nil {
		return refusal(walletRefusal(response.Error)), nil
	}
	submission := Submission{Presentations: make(map[string][]string, len(response.VPToken)), Evidence: response.Evidence}
	for id, values := range response.VPToken {
		for _, value := range values {
			text, ok := oid4vp.PresentationString(value)
			if !ok {
				return refusal(found(ReasonMalformed, errors.New("presentation is not a string"))), nil
			}
			submission.Presentations[id] = append(submission.Presentations[id], text)
		}
	}
	j, err := d.cfg.Verifier.Judge(ctx, submission, p, Expect{Audience: t.ClientID, Nonce: s.Nonce, Now: d.cfg.Now()})
	if err != nil || j.Decision != NotConfirmed {
		return j, err
	}
	again, err := d.seenBefore(ctx, t, submission)
	if err != nil || !again {
		return j, err
	}
	replay := refusal(found(ReasonReplayed, errors.New("presentation was made for a transaction that has ended")))
	replay.Basis.Presentation = j.Basis.Presentation
	return replay, nil
}

// walletRefusal is what an error response says (OpenID4VP 8.5). The description counts only where it is one of the two codes of
// DOMAIN 4.5 that wallets give; they follow from the request alone, so they tell nothing about what the wallet holds.
func walletRefusal(e *oauth.Error) *finding {
	if e.Code != oauth.AccessDenied {
		if e.Code == oauth.WalletUnavailable {
			return &finding{reason: ReasonWalletError, detail: "WALLET_UNAVAILABLE"}
		}
		return &finding{reason: ReasonWalletError, detail: "REQUEST_NOT_SUPPORTED"}
	}
	switch e.Description {
	case string(OveraskRefused):
		return found(ReasonOverask, nil)
	case string(LegalBasisRequired):
		return found(ReasonLegalBasis, nil)
	}
	return &finding{reason: ReasonWalletError, detail: "DECLINED"}
}

// refusal is a judgement about an answer that never became a Submission.
func refusal(f *finding) Judgement {
	return Judgement{Decision: f.reason.code().Decision(), Code: f.reason.code(), Reason: f.reason, Detail: f.detail, cause: f}
}

// end signs the receipt and writes the outcome.
func (d *Desk) end(ctx context.Context, c *client, p *Policy, t Transaction, j Judgement) (PostAnswer, error) {
	now := d.cfg.Now()
	receipt, err := c.receipt(t, p, j, now)
	if err != nil {
		return PostAnswer{}, err
	}
	o := Outcome{
		State: StateJudged, Decision: j.Decision, Code: j.Code, Reason: j.Reason, Detail: j.Detail,
		StatusAsOf: j.StatusAsOf, Receipt: receipt, At: now,
	}
	if j.Claims != nil {
		plain, err := json.Marshal(j.Claims, json.Deterministic(true))
		if err != nil {
			return PostAnswer{}, fmt.Errorf("write claims: %w", err)
		}
		if o.Claims, err = d.seal.seal(place{t.Tenant, t.ID, "claims"}, plain); err != nil {
			return PostAnswer{}, fmt.Errorf("keep claims: %w", err)
		}
	}
	answer, err := d.answer(t, j, &o)
	if err != nil {
		return PostAnswer{}, err
	}
	if err := d.finish(ctx, t, o); err != nil {
		return PostAnswer{}, fmt.Errorf("record verdict: %w", err)
	}
	d.cfg.Step("submit.finished")
	if j.Decision == NotConfirmed && !j.Reason.byWallet() {
		return PostAnswer{}, fmt.Errorf("%w: %s: %w", ErrRefused, j.Code, errors.Join(j.cause))
	}
	return answer, nil
}

// answer draws the response code of a same-device transaction (OpenID4VP 8.2).
func (d *Desk) answer(t Transaction, j Judgement, o *Outcome) (PostAnswer, error) {
	if t.RedirectURI == "" || (j.Decision == NotConfirmed && !j.Reason.byWallet()) {
		return PostAnswer{}, nil
	}
	var random [16]byte
	if _, err := io.ReadFull(d.cfg.Random, random[:]); err != nil {
		return PostAnswer{}, fmt.Errorf("draw response code: %w", err)
	}
	code := base64.RawURLEncoding.EncodeToString(random[:])
	o.ResponseCode = sha256.Sum256([]byte(code))
	target, err := oid4vp.ResponseCodeURL(t.RedirectURI, code)
	if err != nil {
		return PostAnswer{}, fmt.Errorf("write redirect: %w", err)
	}
	return PostAnswer{RedirectURI: target}, nil
}

// timeOut ends a transaction whose time is over; that somebody else did so before is no error.
func (d *Desk) timeOut(ctx context.Context, t Transaction) error {
	err := d.finish(ctx, t, expired(d.cfg.Now()))
	if errors.Is(err, ErrFinished) {
		return nil
	}
	return err
}

// finish ends a transaction, or finds that it has ended; in both cases there is nothing left to remember.
func (d *Desk) finish(ctx context.Context, t Transaction, o Outcome) error {
	err := d.cfg.Store.Finish(ctx, t.Tenant, t.ID, o)
	if err == nil || errors.Is(err, ErrFinished) {
		d.under.drop(t)
	}
	return err
}

func expired(at time.Time) Outcome {
	return Outcome{State: StateExpired, Decision: NotConfirmed, Code: RequestExpired, Reason: ReasonRequestExpiry, At: at}
}
