package issuer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sdjwt"
)

// A CredentialRequest is a credential request under an access token whose presentation was checked.
type CredentialRequest struct {
	Tenant  string
	Grant   Grant
	Request oid4vci.CredentialRequest
}

// request is one credential request on its way through the pipeline.
type request struct {
	tenant  *tenant
	config  *configuration
	grant   Grant
	slot    int
	proofs  []oid4vci.Proof
	hash    [32]byte // of what was asked for and with which proofs
	nonces  []Nonce
	now     time.Time
	window  time.Duration // of redelivery
	id      string        // of the issuance
	attempt int           // above 1: replaces one that was never recorded
}

// Issue answers a credential request: the JSON of the credential response, one copy a proof, or nothing at all.
// Record, then sign (DESIGN 5.1): one transaction consumes the nonce and writes what will be signed; only then is
// anything signed; the response leaves when it is recorded. Errors are *oauth.Error or faults.
func (is *Issuer) Issue(ctx context.Context, c CredentialRequest) ([]byte, error) {
	r, err := is.read(c)
	if err != nil {
		return nil, err
	}
	release, err := is.alone(ctx, r)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := is.verifyProofs(ctx, r, c.Request.Proofs.JWT); err != nil {
		if oauth.CodeOf(err) == oauth.InvalidNonce {
			return is.redeliver(ctx, r, err)
		}
		return nil, err
	}
	is.step("credential.checked")
	body, err := is.produce(ctx, r)
	if errors.Is(err, ErrNonceUsed) {
		return is.redeliver(ctx, r, oauth.NewError(oauth.InvalidNonce, "nonce was used before"))
	}
	return body, err
}

// read decides which configuration and dataset is asked for (B37, B56).
func (is *Issuer) read(c CredentialRequest) (*request, error) {
	t, err := is.tenant(c.Tenant)
	if err != nil || c.Grant.Credential.Tenant != t.ID {
		return nil, oauth.NewError(oauth.InvalidToken, "access token is not valid")
	}
	allowed := t.configs[ConfigurationID(c.Grant.Credential.Type, c.Grant.Credential.Format)]
	if allowed == nil {
		return nil, oauth.NewError(oauth.CredentialRequestDenied, "credential is no longer issued")
	}
	r := &request{tenant: t, config: allowed, grant: c.Grant, now: is.now(), window: is.cfg.Redelivery, hash: requestHash(c.Request)}
	q := c.Request
	switch {
	case q.CredentialIdentifier != "":
		slot, ok := allowed.slotOf(q.CredentialIdentifier)
		if !ok || !c.Grant.Slots {
			return nil, oauth.NewError(oauth.UnknownCredentialIdentifier, "credential identifier is not known")
		}
		r.slot = slot
	case t.configs[q.CredentialConfigurationID] == nil:
		return nil, oauth.NewError(oauth.UnknownCredentialConfiguration, "credential configuration is not known")
	case q.CredentialConfigurationID != allowed.id:
		return nil, oauth.NewError(oauth.InsufficientScope, "access token is for another credential")
	default:
		r.slot = allowed.defaultSlot()
	}
	if q.Proofs.Type() != "jwt" {
		return nil, oauth.NewError(oauth.InvalidProof, "proofs of type jwt are required")
	}
	if q.Proofs.Len() > allowed.batch() {
		return nil, oauth.NewError(oauth.InvalidCredentialRequest, "more proofs than the batch size")
	}
	return r, nil
}

// requestHash identifies an identical request: what is asked for and every proof, in order.
func requestHash(q oid4vci.CredentialRequest) [32]byte {
	h := sha256.New()
	for _, s := range append([]string{"dojang credential request v1", q.CredentialIdentifier, q.CredentialConfigurationID}, q.Proofs.JWT...) {
		h.Write(strconv.AppendInt(nil, int64(len(s)), 10))
		h.Write([]byte{':'})
		h.Write([]byte(s))
	}
	return [32]byte(h.Sum(nil))
}

// verifyProofs checks possession of every key and the nonces; nothing is consumed (B43).
func (is *Issuer) verifyProofs(ctx context.Context, r *request, jwts []string) error {
	proofs, err := oid4vci.VerifyProofs(jwts, oid4vci.Expect{
		Audience: r.tenant.issuerURL, Now: r.now, ClientID: r.grant.ClientID, Algs: []string{keys.ES256},
		// Older proofs can only be an identical request in its window: the nonce bounds new ones closer.
		MaxAge: is.cfg.NonceTTL + is.cfg.Redelivery + time.Minute,
	})
	if err != nil {
		return err
	}
	r.proofs = proofs
	seen := map[string]bool{}
	for _, p := range proofs {
		if seen[p.Nonce] { // one nonce may serve a whole batch (B41)
			continue
		}
		seen[p.Nonce] = true
		n, err := is.checkProofNonce(ctx, r.tenant, p.Nonce)
		if err != nil {
			return err
		}
		r.nonces = append(r.nonces, n)
	}
	return nil
}

// produce is the pipeline proper.
func (is *Issuer) produce(ctx context.Context, r *request) ([]byte, error) {
	b, issuance, err := is.decide(ctx, r)
	if err != nil {
		return nil, err
	}
	is.step("credential.intended")
	texts, err := is.signBatch(b, issuance)
	if err != nil {
		return nil, is.abandon(ctx, r, err)
	}
	body, err := is.ledger(ctx, issuance, texts)
	if err != nil {
		return nil, is.abandon(ctx, r, err)
	}
	return body, nil
}

// recordRetries bounds how often a record may be replaced under our hands.
const recordRetries = 3

// decide fixes what is issued, from the record as it is when that is written down.
func (is *Issuer) decide(ctx context.Context, r *request) (*batch, Issuance, error) {
	for range recordRetries {
		d, err := is.dataset(ctx, datasetRequest{
			tenant: r.tenant, config: r.config, person: r.grant.Credential.Person, slot: r.slot, now: r.now,
			sealedRecord: r.grant.Sealed.Record, sealedPseudonym: r.grant.Sealed.Pseudonym,
		})
		if err != nil {
			return nil, Issuance{}, denied(err)
		}
		b := &batch{request: r, data: d}
		i, err := is.intend(ctx, b)
		if !errors.Is(err, ErrRecordChanged) {
			return b, i, err
		}
		if r.grant, err = is.cfg.Store.Grant(ctx, r.tenant.ID, r.grant.Token); err != nil {
			return nil, Issuance{}, fmt.Errorf("read grant: %w", err)
		}
	}
	return nil, Issuance{}, oauth.NewError(oauth.TemporarilyUnavailable, "try again").WithParent(ErrRecordChanged)
}

// denied: the record cannot be issued as it stands. The wallet learns no more than that.
func denied(err error) error {
	var claims *ClaimsError
	if errors.Is(err, ErrNoRecord) || errors.As(err, &claims) {
		return oauth.NewError(oauth.CredentialRequestDenied, "the record cannot be issued").WithParent(err)
	}
	return err
}

// A batch is the copies of one request.
type batch struct {
	*request
	data     dataset
	list     uint64
	indices  []uint64
	prepared []*sdjwt.Prepared
}

// indexRetries bounds how often another process may have taken the drawn entries.
const indexRetries = 8

// intend fixes the bytes of every copy and records them before anything is signed.
func (is *Issuer) intend(ctx context.Context, b *batch) (Issuance, error) {
	if b.id == "" {
		id, err := orderedID(is.cfg.Random, b.now)
		if err != nil {
			return Issuance{}, err
		}
		b.id, b.attempt = id, 1
	}
	for range indexRetries {
		if err := is.prepare(ctx, b); err != nil {
			return Issuance{}, err
		}
		is.step("credential.prepared")
		i := b.issuance()
		entry := audit.Entry{Chain: b.tenant.ID, Actor: "holder", Action: "credential.issue", Object: b.grant.Credential.ID, Detail: "copies=" + strconv.Itoa(len(b.prepared))}
		err := is.cfg.Store.Intend(ctx, i, entry)
		switch {
		case errors.Is(err, ErrIndexTaken):
			is.indices.forget(b.tenant.ID)
			continue
		case errors.Is(err, ErrAllowance) || errors.Is(err, ErrRefused):
			return Issuance{}, oauth.NewError(oauth.CredentialRequestDenied, "no more copies are issued under this offer").WithParent(err)
		case err != nil:
			return Issuance{}, fmt.Errorf("record intents: %w", err)
		}
		return i, nil
	}
	return Issuance{}, oauth.NewError(oauth.TemporarilyUnavailable, "try again").WithParent(ErrIndexTaken)
}

// prepare draws indices and salts and fixes the bytes.
func (is *Issuer) prepare(ctx context.Context, b *batch) (err error) {
	if b.list, b.indices, err = is.indices.draw(ctx, b.tenant.ID, len(b.proofs), b.now); err != nil {
		return err
	}
	b.prepared = b.prepared[:0]
	for n := range b.proofs {
		p, err := sdjwt.Prepare(sdjwt.Credential{
			Head: b.tenant.head, Issuer: string(b.tenant.DID), VCT: b.config.typ.VCT,
			IssuedAt: b.issued(), NotBefore: b.issued(), Expires: b.expires(is.cfg.ExpDays),
			Holder: b.proofs[n].Key, Status: &sdjwt.StatusRef{URI: b.tenant.listURI(b.list), Index: b.indices[n]},
			Claims: b.data.claims,
		}, is.cfg.Random)
		if err != nil {
			return fmt.Errorf("prepare copy: %w", err)
		}
		b.prepared = append(b.prepared, p)
	}
	return lintBatch(b.prepared)
}

// issued is the start of the Korean civil day: copies of one day do not tell hours.
func (b *batch) issued() time.Time { return b.data.today.Start() }

// lastSecond is the first instant after the administrative expiry.
func (b *batch) lastSecond() time.Time { return b.data.lastDay.AddDays(1).Start() }

func (b *batch) expires(days int) time.Time {
	exp := b.data.today.AddDays(days).Start()
	if last := b.lastSecond(); last.Before(exp) {
		return last
	}
	return exp
}

func (b *batch) issuance() Issuance {
	i := Issuance{
		ID: b.id, Tenant: b.tenant.ID, Credential: b.grant.Credential.ID, Grant: b.grant.Token, Proofs: b.hash,
		Slot: b.slot, KeyID: b.tenant.keyURL, MadeAt: b.now, Until: b.now.Add(b.window), Attempt: b.attempt, Nonces: b.nonces, Record: b.data.sealed,
	}
	for n, p := range b.prepared {
		i.Intents = append(i.Intents, Intent{List: b.list, Index: b.indices[n], Thumbprint: b.proofs[n].Thumbprint, TBS: p.Digest(), Expires: b.data.lastDay.AddDays(1).Start()})
	}
	return i
}

// signBatch lints, signs and verifies every copy.
func (is *Issuer) signBatch(b *batch, i Issuance) ([]string, error) {
	for n, p := range b.prepared {
		err := b.config.lint.lint(p, decided{
			issuer: string(b.tenant.DID), uri: b.tenant.listURI(b.list), index: b.indices[n], holder: b.proofs[n].Key,
			now: b.now, issued: b.issued(), expires: b.expires(is.cfg.ExpDays), lastSecond: b.lastSecond(),
		})
		if err != nil {
			return nil, err
		}
	}
	is.step("credential.linted")
	texts := make([]string, len(b.prepared))
	for n, g := range granted(i) {
		text, err := b.tenant.press.sign(g, b.prepared[n])
		if err != nil {
			return nil, fmt.Errorf("sign copy: %w", err)
		}
		texts[n] = text
		is.step("credential.signed")
	}
	for n, text := range texts {
		if err := verifySigned(text, b.tenant.Key.Public(), b.proofs[n].Key, b.now); err != nil {
			return nil, fmt.Errorf("verify copy: %w", err)
		}
	}
	is.step("credential.verified")
	return texts, nil
}

// verifySigned reads the finished text as a verifier would: a fault in an HSM or in memory must not leave the house.
func verifySigned(text string, key, holder *keys.PublicKey, now time.Time) error {
	u, err := sdjwt.Parse(text)
	if err != nil {
		return err
	}
	v, err := u.Verify(key, sdjwt.Options{Now: now})
	if err != nil {
		return err
	}
	if h := v.Holder(); h == nil || !h.Equal(holder) {
		return errors.New("issuer: signed copy names another holder key")
	}
	return nil
}

// responseBody is an oid4vci.CredentialResponse. SD-JWTs are base64url, dots and tildes: nothing of them needs an escape,
// and walking ten of them to find that out again is the longest encoding of the whole flow. So is the id of the issuance,
// by which the wallet speaks of it later.
func responseBody(texts []string, issuance string) []byte {
	size := 96
	for _, text := range texts {
		size += len(text) + 20
	}
	b := append(make([]byte, 0, size), `{"credentials":[`...)
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `{"credential":"`...), text...), `"}`...)
	}
	return append(append(append(b, `],"notification_id":"`...), issuance...), `"}`...)
}

// ledger records the copies and the sealed response; only what it returns may be answered.
func (is *Issuer) ledger(ctx context.Context, i Issuance, texts []string) ([]byte, error) {
	rec := Recorded{Tenant: i.Tenant, Issuance: i.ID, Attempt: i.Attempt, Credential: i.Credential, At: is.now()}
	for _, text := range texts {
		rec.Hashes = append(rec.Hashes, sha256.Sum256([]byte(text)))
	}
	body := responseBody(texts, i.ID)
	var err error
	if rec.Response, err = is.secrets.seal(body, responsePlace(i.ID)); err != nil {
		return nil, err
	}
	rec.ResponseHash, rec.Until = sha256.Sum256(body), rec.At.Add(is.cfg.Redelivery)
	if err := is.cfg.Store.Record(ctx, rec); err != nil {
		return nil, fmt.Errorf("record copies: %w", err)
	}
	is.step("credential.recorded")
	return body, nil
}

// abandon burns an issuance after a failure and gives the wallet an error that says whether to try again.
func (is *Issuer) abandon(ctx context.Context, r *request, cause error) error {
	ctx = context.WithoutCancel(ctx)
	entry := audit.Entry{Chain: r.tenant.ID, Actor: "issuer", Action: "credential.abandon", Object: r.grant.Credential.ID}
	if err := is.cfg.Store.Abandon(ctx, r.id, r.attempt, entry); err != nil && !errors.Is(err, ErrBurned) {
		// Left intended: nothing of it was returned, and Recover or an identical request burns it.
		cause = errors.Join(cause, fmt.Errorf("abandon: %w", err))
	}
	switch {
	case errors.Is(cause, ErrRefused):
		return oauth.NewError(oauth.CredentialRequestDenied, "the credential was withdrawn").WithParent(cause)
	case errors.Is(cause, errLint):
		return oauth.NewError(oauth.ServerError, "internal error").WithParent(cause)
	}
	return oauth.NewError(oauth.TemporarilyUnavailable, "try the same request again").WithParent(cause)
}
