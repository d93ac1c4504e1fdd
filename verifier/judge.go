package verifier

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/schemas"
)

// Judge gives the verdict on what a wallet sent: type, issuer, signature, digests, one holder, holder binding, times,
// status, policy. It reports the first failing code of DOMAIN 4.5, and none above SIGNATURE_INVALID from a claim that
// nobody signed. An error means that nothing could be judged: misuse, or ctx ended.
func (v *Verifier) Judge(ctx context.Context, s Submission, p *Policy, e Expect) (Judgement, error) {
	if p == nil || e.Audience == "" || e.Nonce == "" || e.Now.IsZero() {
		return Judgement{}, errors.New("verifier: Judge needs a policy, audience, nonce and time")
	}
	j := judging{v: v, policy: p, expect: e, facts: sources{own: v.own}}
	j.basis.Presentation = digestOf(s.Presentations)
	out := j.run(ctx, s)
	if err := ctx.Err(); err != nil {
		return Judgement{}, fmt.Errorf("verifier: judge: %w", err)
	}
	return out, nil
}

// judging is one walk through the stages.
type judging struct {
	v        *Verifier
	policy   *Policy
	expect   Expect
	facts    sources
	warnings []string
	basis    Basis
	asOf     time.Time
	note     string // meaning of an accepted NEEDS_RENEWAL
}

func (j *judging) run(ctx context.Context, s Submission) Judgement {
	parsed, findings, f := j.parse(s)
	if f != nil {
		return j.verdict(f, nil)
	}
	if len(parsed) > 0 { // costly, so not for what nobody can read
		j.openStaple(s.Evidence)
	}
	signed := make([]verified, 0, len(parsed))
	for _, u := range parsed {
		c, f := j.one(ctx, u, first(findings...))
		if f != nil {
			findings = append(findings, f)
			continue
		}
		signed = append(signed, c)
	}
	if f := first(findings...); f != nil {
		return j.verdict(f, nil)
	}
	if f := first(j.sameHolder(signed), j.documentDates(signed)); f != nil {
		return j.verdict(f, nil)
	}
	return j.finish(ctx, signed)
}

// one takes a presentation through issuer and signatures, as far as it could still bring a code below what was found in
// the others: the first failing code is that of the whole answer.
func (j *judging) one(ctx context.Context, u unverified, low *finding) (verified, *finding) {
	below := func(c Code) bool { return low == nil || c.Order() < low.reason.code().Order() }
	if !below(IssuerUntrusted) {
		return verified{}, low
	}
	b, f := j.bind(ctx, u)
	if f != nil {
		return verified{}, f
	}
	if !below(SignatureInvalid) {
		return verified{}, low
	}
	return j.verify(b)
}

// finish: status, freshness of facts, query and criteria, on claims that are all verified.
func (j *judging) finish(ctx context.Context, signed []verified) Judgement {
	var findings []*finding
	claims := make(map[string]map[string]any, len(signed))
	presented := make(map[string][]oid4vp.Credential, len(signed))
	for _, c := range signed {
		spec, _ := j.policy.credential(c.query)
		status := j.v.status(ctx, j.facts, c, statusAsk{spec: spec.Status, now: j.expect.Now, maxAge: j.policy.RegistryMaxAge()})
		j.record(checked{verified: c, status: status})
		findings = append(findings, c.issuer.stale, status.finding)
		tree, ok := c.token.Claims().Any().(map[string]any)
		if !ok {
			return j.verdict(found(ReasonMalformed, nil), nil)
		}
		query, _ := j.policy.query.Find(c.query)
		claims[c.query] = query.Requested(tree)
		presented[c.query] = []oid4vp.Credential{{
			Format: query.Format, Types: []string{c.token.VCT()}, Claims: tree, HolderBound: c.token.HolderProven(),
		}}
	}
	if f := first(findings...); f != nil {
		return j.verdict(f, nil)
	}
	if err := j.policy.query.Satisfied(presented); err != nil {
		return j.verdict(&finding{reason: ReasonQuery, detail: "CLAIMS", cause: err}, nil)
	}
	return j.verdict(j.policy.criteria(claims, j.expect.Now), claims)
}

// parse: every presentation well-formed, none too many, types accepted. One that did not come is a matter of the query,
// asked after what did come was judged. The last result says that the answer as a whole cannot be read.
func (j *judging) parse(s Submission) ([]unverified, []*finding, *finding) {
	for id, texts := range s.Presentations {
		if _, ok := j.policy.credential(id); !ok || len(texts) != 1 {
			return nil, nil, found(ReasonMalformed, errors.New("presentations do not fit the query"))
		}
	}
	var parsed []unverified
	var findings []*finding
	for i := range j.policy.spec.Credentials {
		spec := &j.policy.spec.Credentials[i]
		texts, ok := s.Presentations[spec.ID]
		if !ok {
			continue
		}
		token, err := sdjwt.Parse(texts[0])
		if err != nil {
			findings = append(findings, formatFinding(err))
			continue
		}
		hints := token.Hints()
		switch {
		case hints.VCT == "" || hints.Issuer == "" || hints.IssuedAt.IsZero():
			findings = append(findings, found(ReasonMalformed, errors.New("type, issuer or time of signing is missing")))
		case !slices.Contains(spec.Types, hints.VCT):
			findings = append(findings, found(ReasonType, nil))
		default:
			parsed = append(parsed, unverified{query: spec.ID, token: token, times: spanOf(hints.IssuedAt, j.expect.Now)})
		}
	}
	return parsed, findings, nil
}

func (j *judging) bind(ctx context.Context, u unverified) (bound, *finding) {
	hints := u.token.Hints()
	who, f := j.v.bind(ctx, claim{issuer: hints.Issuer, kid: hints.Kid, vct: hints.VCT, x5c: hints.X5C, signed: u.times},
		binding{facts: j.facts, now: j.expect.Now, maxAge: j.policy.RegistryMaxAge()})
	return bound{unverified: u, issuer: who}, f
}

// verify: the issuer's signature, digests, the holder's signature for this request, technical times.
func (j *judging) verify(b bound) (verified, *finding) {
	token, err := b.token.Verify(b.issuer.key, sdjwt.Options{
		Now: j.expect.Now, Required: []string{"iss", "iat", "exp"}, // in plain sight (RFC 9901 9.7)
		RequireKeyBinding: j.policy.HolderBinding(), Audience: j.expect.Audience, Nonce: j.expect.Nonce,
	})
	if err != nil {
		return verified{}, formatFinding(err)
	}
	// What bind believed as a hint must be what was signed.
	hints := b.token.Hints()
	if token.Issuer() != hints.Issuer || token.VCT() != hints.VCT || !token.IssuedAt().Equal(hints.IssuedAt) {
		return verified{}, found(ReasonMalformed, errors.New("signed envelope differs from its hints"))
	}
	if token.IssuedAt().Sub(j.expect.Now) > clockDrift {
		// Dated into an accreditation or a key interval that has not begun.
		return verified{}, found(ReasonNotYetValid, errors.New("issued in the future"))
	}
	return verified{bound: b, token: token}, nil
}

// sameHolder: several credentials in one answer must be of one person (THREATS D28).
func (j *judging) sameHolder(cs []verified) *finding {
	rule := j.policy.spec.SameHolder
	if rule == nil || len(cs) < 2 {
		return nil
	}
	for _, c := range cs[1:] {
		if rule.By == "key" && !(c.token.HolderProven() && c.token.Holder().Equal(cs[0].token.Holder())) {
			return found(ReasonClaimMix, errors.New("holder keys differ"))
		}
		for _, name := range rule.Claims {
			a, okA := cs[0].token.Claims().Get(name)
			b, okB := c.token.Claims().Get(name)
			if !okA || !okB || string(a.JSON()) != string(b.JSON()) {
				return found(ReasonClaimMix, errors.New("claims that name the holder differ or are missing"))
			}
		}
	}
	return nil
}

// documentDates: beside exp there is the administrative last day, valid to its end in Korea.
func (j *judging) documentDates(cs []verified) *finding {
	for _, c := range cs {
		value, ok := c.token.Claims().Get("date_of_expiry")
		if !ok {
			continue
		}
		day, err := schemas.ParseDate(value.Str())
		if err != nil {
			return found(ReasonMalformed, errors.New("date_of_expiry is not a date"))
		}
		if !day.LastValid(j.expect.Now) {
			return found(ReasonExpired, nil)
		}
	}
	return nil
}

// record keeps what the judgement rests on.
func (j *judging) record(c checked) {
	j.basis.Credentials = append(j.basis.Credentials, CredentialBasis{
		Query: c.query, VCT: c.token.VCT(), Issuer: c.issuer.did, Key: c.issuer.keyID,
		InForce: c.times.last, KnownAt: c.issuer.oldest.KnownAt, Height: c.issuer.oldest.Height,
		Epoch: c.status.epoch, Status: c.status.word, AsOf: c.status.asOf,
	})
	if !c.status.asOf.IsZero() && (j.asOf.IsZero() || c.status.asOf.Before(j.asOf)) {
		j.asOf = c.status.asOf
	}
	if c.status.small {
		j.v.lists.small.Add(1)
		j.warnings = append(j.warnings, "status_list_small")
	}
	if ref, ok := c.token.Status(); ok && j.v.lists.crowds.see(c.issuer.did, ref.URI) {
		j.v.lists.many.Add(1)
		j.warnings = append(j.warnings, "status_lists_many")
	}
	if c.status.note != "" {
		j.note = c.status.note
	}
}

func (j *judging) verdict(f *finding, claims map[string]map[string]any) Judgement {
	out := Judgement{Code: Valid, StatusAsOf: j.asOf, Warnings: j.warnings, Basis: j.basis, Detail: j.note, Claims: claims}
	if f != nil {
		out.Code, out.Reason, out.Detail, out.Claims, out.cause = f.reason.code(), f.reason, f.detail, nil, f
	}
	out.Decision = out.Code.Decision()
	return out
}

// formatFinding takes over the reasons of internal/sdjwt: they are the same words.
func formatFinding(err error) *finding {
	if r, ok := sdjwt.ReasonOf(err); ok {
		return found(Reason(r), err)
	}
	return found(ReasonMalformed, err)
}

// digestOf is SHA-256 over id and text of each presentation, in order of ids.
func digestOf(presentations map[string][]string) [32]byte {
	ids := make([]string, 0, len(presentations))
	for id := range presentations {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	h := sha256.New()
	var b []byte
	for _, id := range ids {
		for _, text := range presentations[id] {
			b = append(append(strconv.AppendInt(b[:0], int64(len(id)), 10), ':'), id...)
			b = append(append(strconv.AppendInt(b, int64(len(text)), 10), ':'), text...)
			h.Write(b)
		}
	}
	return [32]byte(h.Sum(nil))
}
