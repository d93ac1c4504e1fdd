package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/wallet-api/holder"
)

// A story walks through the demo as its users would. Every step's ok comes from the other party's answer.
type story struct {
	e   *env
	eco *ecosystem
	d   *demoJSON
	// tell is called after every step.
	tell func(stepJSON) error

	valid, revoked string // offer ids
	request        string
	failed         bool
}

// stepJSON is one line of `demo --once --json`.
type stepJSON struct {
	Step   string         `json:"step"`
	OK     bool           `json:"ok"`
	MS     int64          `json:"ms"`
	Detail map[string]any `json:"detail"`
}

// A step answers whether it held, with what the other party said.
type step struct {
	name string
	run  func(ctx context.Context) (map[string]any, bool, error)
}

// people of the story.
const (
	hero  = "han-gaon"  // keeps a valid credential
	other = "lee-seori" // has hers revoked
)

// peaceful steps leave everything running; the others stop parts and start them again.
func (s *story) peaceful() []step {
	return []step{
		{"registry", s.registry}, {"import", s.imported}, {"issue", s.issue}, {"present", s.present},
		{"verify", s.verify}, {"revoke", s.revoke}, {"refused", s.refused},
	}
}

func (s *story) disaster() []step {
	return []step{{"outage", s.outage}, {"stale", s.stale}, {"restore", s.restore}}
}

// run stops at the first step that could not run; a step that ran and did not hold is told and remembered.
func (s *story) run(steps []step) error {
	for _, st := range steps {
		start := time.Now()
		ctx, cancel := context.WithTimeout(s.e.ctx, 30*time.Second)
		detail, ok, err := st.run(ctx)
		cancel()
		if s.e.ctx.Err() != nil {
			return s.e.ctx.Err() // stopped: nothing can be said of the step
		}
		if err != nil {
			detail, ok = map[string]any{"error": err.Error()}, false
		}
		s.failed = s.failed || !ok
		if err := s.tell(stepJSON{st.name, ok, time.Since(start).Milliseconds(), detail}); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w: step %s: %w", errCheck, st.name, err)
		}
	}
	if s.failed {
		return fmt.Errorf("%w: a step of the story does not hold", errCheck)
	}
	return nil
}

// registry: who is on the chain, by Evidence that was checked here.
func (s *story) registry(ctx context.Context) (map[string]any, bool, error) {
	agencies := 0
	var height uint64
	for _, a := range s.eco.agencies {
		for _, t := range a.types {
			accredited, known, err := s.eco.light.Accreditation(ctx, a.did, t.VCT, time.Time{})
			if err != nil {
				return nil, false, err
			}
			if accredited.InForce(s.eco.clock.Now()) {
				agencies++
			}
			height = max(height, known.Height)
		}
	}
	return map[string]any{"height": height, "accreditations": agencies, "network": demoNetwork.chainID}, agencies == 3, nil
}

// imported: every agency's records, from its own file, in its own encoding.
func (s *story) imported(ctx context.Context) (map[string]any, bool, error) {
	counts := map[string]any{}
	all := true
	for _, a := range s.eco.agencies {
		n, err := s.eco.importRecords(ctx, s.d.Issuer, a)
		if err != nil {
			return nil, false, err
		}
		counts[a.organisation.name] = n
		all = all && n > 0
	}
	return map[string]any{"records": counts}, all, nil
}

// issue: two people receive their mobile resident ID, ten copies each.
func (s *story) issue(ctx context.Context) (map[string]any, bool, error) {
	copies := 0
	for person, id := range map[string]*string{hero: &s.valid, other: &s.revoked} {
		o, err := makeOffer(s.e, s.d, "resident-id", person, "dc+sd-jwt", true)
		if err != nil {
			return nil, false, err
		}
		*id = o.ID
		w, err := s.eco.wallet(ctx, person)
		if err != nil {
			return nil, false, err
		}
		offer, err := w.Offer(ctx, o.CredentialOfferURI)
		if err != nil {
			return nil, false, err
		}
		received, err := w.Receive(ctx, offer, o.TxCode)
		if err != nil {
			return nil, false, err
		}
		for _, r := range received {
			copies += r.Copies
		}
	}
	return map[string]any{"id": s.valid, "type": "resident-id", "people": 2, "copies": copies}, copies == 20, nil
}

// present: what the shop asks is shown, then sent; ok is the verifier's answer to the wallet.
func (s *story) present(ctx context.Context) (map[string]any, bool, error) {
	consent, err := s.show(ctx, hero)
	if err != nil {
		return nil, false, err
	}
	var shown []string
	for _, item := range consent.Items {
		shown = append(shown, item.Path)
	}
	return map[string]any{"id": s.request, "verifier": consent.Name, "purpose": consent.PurposeText, "shown": shown}, true, nil
}

func (s *story) verify(context.Context) (map[string]any, bool, error) {
	return s.expect("confirmed", "VALID")
}

func (s *story) revoke(context.Context) (map[string]any, bool, error) {
	published, err := setStatus(s.e, s.d, s.revoked, "revoked")
	return published, err == nil, err
}

func (s *story) refused(ctx context.Context) (map[string]any, bool, error) {
	return s.submitAndExpect(ctx, other, "not confirmed", "REVOKED")
}

// outage: issuer, status host and registry nodes are off; their ports refuse. The judgement goes on, from what the verifier
// has checked before, and opens no connection to any of them.
func (s *story) outage(ctx context.Context) (map[string]any, bool, error) {
	for _, p := range []string{"issuer", "status", "registry"} {
		if err := throw(ctx, s.d.Control, "down", p); err != nil {
			return nil, false, err
		}
	}
	for _, port := range s.eco.stoppable() {
		if err := refuses(ctx, port); err != nil {
			return nil, false, err
		}
	}
	before := s.eco.dials.count()
	detail, ok, err := s.submitAndExpect(ctx, hero, "confirmed", "VALID")
	if err != nil {
		return nil, false, err
	}
	connections := s.eco.dials.count() - before
	refusal, stillRefused, err := s.submitAndExpect(ctx, other, "not confirmed", "REVOKED")
	if err != nil {
		return nil, false, err
	}
	detail["connections"] = connections
	detail["revoked"] = refusal["code"]
	return detail, ok && stillRefused && connections == 0 && detail["status_as_of"] != nil, nil
}

// stale: the clock moves beyond the policy's age, the policy stays. On hold, never accepted; revoked stays refused.
func (s *story) stale(ctx context.Context) (map[string]any, bool, error) {
	s.eco.clock.Set(73 * time.Hour)
	detail, ok, err := s.submitAndExpect(ctx, hero, "on hold", "STATUS_STALE")
	if err != nil {
		return nil, false, err
	}
	refusal, stillRefused, err := s.submitAndExpect(ctx, other, "not confirmed", "REVOKED")
	if err != nil {
		return nil, false, err
	}
	detail["clock"], detail["revoked"] = "+73h", refusal["code"]
	return detail, ok && stillRefused, nil
}

// restore: everything comes back on the same ports and data.
func (s *story) restore(ctx context.Context) (map[string]any, bool, error) {
	s.eco.clock.Set(0)
	for _, p := range []string{"registry", "status", "issuer"} {
		if err := throw(ctx, s.d.Control, "up", p); err != nil {
			return nil, false, err
		}
	}
	if err := s.eco.healthy(ctx); err != nil {
		return nil, false, err
	}
	back := s.eco.clock.Now()
	// The verifier notices a reachable node by itself; the status as of must move past the outage.
	for {
		detail, ok, err := s.submitAndExpect(ctx, hero, "confirmed", "VALID")
		if err != nil {
			return nil, false, err
		}
		asOf, perr := time.Parse(time.RFC3339, fmt.Sprint(detail["status_as_of"]))
		if !ok || perr == nil && asOf.After(back.Add(-time.Second)) {
			return detail, ok, nil
		}
		select {
		case <-ctx.Done():
			return detail, false, errors.New("the status as of does not move although the registry is back")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// show opens a request of the adult check for a person and sends the answer.
func (s *story) show(ctx context.Context, person string) (*holder.Consent, error) {
	r, err := makeRequest(s.e, s.d, "adult-check", "x509_hash")
	if err != nil {
		return nil, err
	}
	s.request = r.ID
	w, err := s.eco.wallet(ctx, person)
	if err != nil {
		return nil, err
	}
	consent, err := w.Consent(ctx, r.RequestURI)
	if err != nil {
		return nil, err
	}
	_, err = w.Present(ctx, consent)
	if errors.Is(err, holder.ErrRefused) {
		err = nil // the wallet hears only that it was refused; why, the verifier tells below
	}
	return consent, err
}

func (s *story) submitAndExpect(ctx context.Context, person, decision, code string) (map[string]any, bool, error) {
	if _, err := s.show(ctx, person); err != nil {
		return nil, false, err
	}
	return s.expect(decision, code)
}

// expect asks the verifier what became of the last request.
func (s *story) expect(decision, code string) (map[string]any, bool, error) {
	r, err := fetchResult(s.e, s.d, s.request)
	if err != nil {
		return nil, false, err
	}
	detail := map[string]any{"id": s.request, "decision": r.decision(), "code": r.code(), "claims": r.Claims}
	if r.StatusAsOf != nil {
		detail["status_as_of"] = *r.StatusAsOf
	}
	detail["receipt"] = r.Receipt != nil
	return detail, r.decision() == decision && r.code() == code, nil
}

// refuses: a TCP connect to a port of ours is refused on both families.
func refuses(ctx context.Context, port int) error {
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			c.Close()
			return fmt.Errorf("port %d still accepts connections", port)
		}
	}
	return nil
}
