// Package operator is an issuer's second status operator (DESIGN 4, continuity): at another site, with a key of its own, it goes on
// re-dating the issuer's lists when the issuer cannot, and may make entries worse, never better. What it may do is not up to
// it: the chain, the nodes and every reader hold it to that (registry/README.md, "Second status operator").
//
// New, then Run (or Tick on a schedule of one's own), with Handler serving what it publishes to registry nodes. Worsen is for
// an officer. Nothing is asked of the issuer, and no personal data is here: an entry is a list and a number. The file in which
// the officers' decisions stand names who decided and why, in codes.
//
// Trusted: the configuration, the chain as Config.Chain has checked it, and the files in Dir.
package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// Chain is what the operator reads, checked: registry/light has it.
type Chain interface {
	StatusEpoch(ctx context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error)
	// StatusRecords are the list records of the issuer's newest epoch, in order; their root was compared.
	StatusRecords(ctx context.Context, issuer registry.DID) ([][]byte, error)
	registry.StatusSource
}

// Config of an Operator. What has no default beside it is required.
type Config struct {
	Issuer registry.DID
	Via    registry.AccreditationRef // the issuer's accreditation that names DID
	DID    registry.DID
	KeyID  string // fragment of DID's key with use "status"
	Key    keys.Signer
	X5C    [][]byte // its certificate, leaf first, without the root; may be empty where the accreditation records no roots

	Chain     Chain
	Submitter registry.Submitter
	Network   string
	ChainID   string

	Dir string // what it published, and the officers' decisions
	Now func() time.Time
	Log *slog.Logger

	Every    time.Duration // between two epochs without change: 1 h; next_update is promised three times as far ahead
	Patience time.Duration // after the issuer's next_update before it steps in: 0
	ListLife time.Duration // exp of a list's token: 7 days
}

// Errors of Worsen and Tick.
var (
	ErrNotWorse = errors.New("operator: an entry would not get worse")
	ErrNoEntry  = errors.New("operator: no such entry in the issuer's lists")
	ErrTaken    = errors.New("operator: somebody else publishes for the issuer")
	ErrRefused  = errors.New("operator: the chain refused the epoch")
)

// An Operator publishes for one issuer. Safe for concurrent use.
type Operator struct {
	cfg  Config
	mu   sync.Mutex // one publication at a time
	file *store
}

// New opens Dir and starts nothing.
func New(cfg Config) (*Operator, error) {
	if cfg.Key == nil || cfg.Chain == nil || cfg.Submitter == nil || cfg.Now == nil || cfg.Dir == "" || cfg.KeyID == "" || cfg.DID == cfg.Issuer {
		return nil, errors.New("operator: key, chain, submitter, clock and folder are required, and a DID of its own")
	}
	for _, d := range []registry.DID{cfg.Issuer, cfg.DID} {
		if _, err := registry.ParseDID(string(d)); err != nil {
			return nil, err
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Hour
	}
	if cfg.ListLife <= 0 {
		cfg.ListLife = 7 * 24 * time.Hour
	}
	if cfg.ListLife > statuslist.MaxLife || cfg.Every*3 > 40*24*time.Hour {
		return nil, errors.New("operator: a list lives too long")
	}
	file, err := openStore(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Operator{cfg: cfg, file: file}, nil
}

// Run ticks until ctx ends. What fails is logged and tried again.
func (o *Operator) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(o.cfg.Every/10, time.Second), time.Minute))
	defer tick.Stop()
	for {
		if _, err := o.Tick(ctx); err != nil && ctx.Err() == nil {
			o.cfg.Log.Error("status lists are not re-dated", "issuer", string(o.cfg.Issuer), "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Tick publishes when it is due: the issuer's promise is over, an own epoch is older than Every, or a decision of an officer is not
// in the lists yet. While the issuer publishes itself, nothing happens.
func (o *Operator) Tick(ctx context.Context) (published bool, err error) {
	unlock, err := o.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	epoch, err := o.newest(ctx)
	if err != nil {
		return false, err
	}
	decisions, err := o.file.decisions(baseSequence(epoch))
	if err != nil {
		return false, err
	}
	now := o.cfg.Now()
	due := !now.Before(epoch.NextUpdate.Add(o.cfg.Patience))
	if epoch.Redated() {
		due = !now.Before(epoch.IssuedAt.Add(o.cfg.Every))
	}
	if !due && len(decisions) == 0 {
		return false, nil
	}
	c, err := o.current(ctx, epoch)
	if err != nil {
		return false, err
	}
	changed, err := c.apply(decisions)
	if err != nil || !changed && !due {
		return false, err
	}
	return true, o.publish(ctx, c)
}

// lock is for one publication at a time, in this process and on the folder.
func (o *Operator) lock() (unlock func(), err error) {
	o.mu.Lock()
	release, err := o.file.lock()
	if err != nil {
		o.mu.Unlock()
		return nil, err
	}
	return func() { release(); o.mu.Unlock() }, nil
}

// newest is the epoch to go on from. One of another operator is not, whoever is right.
func (o *Operator) newest(ctx context.Context) (registry.StatusEpoch, error) {
	epoch, _, err := o.cfg.Chain.StatusEpoch(ctx, o.cfg.Issuer)
	if err != nil {
		return epoch, fmt.Errorf("newest status epoch: %w", err)
	}
	did, _, err := registry.ParseDIDURL(epoch.Signer)
	if err != nil || did != o.cfg.DID && did != o.cfg.Issuer {
		return epoch, ErrTaken
	}
	return epoch, o.file.settle(epoch.Root)
}

// A Decision is an officer's. Reason is a code; neither names a citizen.
type Decision struct {
	Officer string
	Reason  string
	To      statuslist.Status // Suspended or Revoked
	Entries []statuslist.Reference
}

// Worsen records a decision and publishes it at once; when publishing fails, the next Tick does it: the decision stands. An
// entry that is as bad already is left. Errors: ErrNotWorse, ErrNoEntry: nothing was recorded.
func (o *Operator) Worsen(ctx context.Context, d Decision) error {
	if d.To != statuslist.Suspended && d.To != statuslist.Revoked {
		return ErrNotWorse
	}
	if !plain(d.Officer) || !plain(d.Reason) || len(d.Entries) == 0 || len(d.Entries) > 10_000 {
		return errors.New("operator: a decision has an officer, a reason and entries")
	}
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	epoch, err := o.newest(ctx)
	if err != nil {
		return err
	}
	c, err := o.current(ctx, epoch)
	if err != nil {
		return err
	}
	for _, e := range d.Entries {
		now, err := c.status(e)
		if err != nil {
			return err
		}
		if !d.To.Worse(now) {
			return fmt.Errorf("%w: it is %v", ErrNotWorse, now)
		}
	}
	if err := o.file.decide(decision{At: o.cfg.Now().UTC().Truncate(time.Second), Base: baseSequence(epoch), Decision: d}); err != nil {
		return fmt.Errorf("record the decision: %w", err)
	}
	decisions, err := o.file.decisions(baseSequence(epoch))
	if err != nil {
		return err
	}
	if changed, err := c.apply(decisions); err != nil || !changed {
		return err
	}
	return o.publish(ctx, c)
}

// plain: 1 to 64 printable characters of a code or a name at the office.
func plain(s string) bool {
	return s != "" && len(s) <= 64 && !slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' || r == 0x7f })
}

// baseSequence is the number of the issuer's own newest epoch.
func baseSequence(e registry.StatusEpoch) uint64 {
	if e.Redated() {
		return e.Base.Sequence
	}
	return e.Sequence
}

// A copyOf the issuer's lists: what the newest epoch says, and what it is to be compared with.
type copyOf struct {
	epoch registry.StatusEpoch
	lists []*list
}

type list struct {
	uri    string
	values *statuslist.Publisher
	base   held // the issuer's own
}

// current reads the newest lists from the nodes.
func (o *Operator) current(ctx context.Context, epoch registry.StatusEpoch) (*copyOf, error) {
	records, err := o.cfg.Chain.StatusRecords(ctx, o.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("list records: %w", err)
	}
	if statuslist.EpochRoot(records) != epoch.Root {
		return nil, errors.New("operator: the lists moved on meanwhile")
	}
	c := &copyOf{epoch: epoch}
	for _, raw := range records {
		record, err := statuslist.ParseRecord(raw)
		if err != nil {
			return nil, err
		}
		got, err := o.cfg.Chain.StatusList(ctx, record.URI, statuslist.MediaTypeJWT)
		if err != nil {
			return nil, fmt.Errorf("fetch a status list: %w", err)
		}
		values, err := record.Read(statuslist.MediaTypeJWT, got.Token)
		if err != nil {
			return nil, fmt.Errorf("read a status list: %w", err)
		}
		l := &list{uri: record.URI, base: held{Record: raw, JWT: got.Token}}
		if l.values, err = statuslist.NewPublisher(values); err != nil {
			return nil, err
		}
		if epoch.Redated() {
			if got.Base == nil {
				return nil, errors.New("operator: a node gave no base")
			}
			l.base = held{Record: got.Base.Record, JWT: got.Base.Token}
		}
		if l.base.CWT, err = o.baseCWT(ctx, epoch, record); err != nil {
			return nil, err
		}
		c.lists = append(c.lists, l)
	}
	return c, nil
}

// baseCWT is the issuer's CWT, for nodes that join later; only the issuer's own epoch still has it at the nodes.
func (o *Operator) baseCWT(ctx context.Context, epoch registry.StatusEpoch, record statuslist.Record) ([]byte, error) {
	if epoch.Redated() || record.Tokens.CWT == [32]byte{} {
		return nil, nil
	}
	got, err := o.cfg.Chain.StatusList(ctx, record.URI, statuslist.MediaTypeCWT)
	if err != nil {
		return nil, fmt.Errorf("fetch a status list: %w", err)
	}
	return got.Token, nil
}

func (c *copyOf) find(uri string) *list {
	for _, l := range c.lists {
		if l.uri == uri {
			return l
		}
	}
	return nil
}

func (c *copyOf) status(e statuslist.Reference) (statuslist.Status, error) {
	l := c.find(e.URI)
	if l == nil {
		return 0, ErrNoEntry
	}
	s, err := l.values.Get(e.Index)
	if err != nil {
		return 0, ErrNoEntry
	}
	return s, nil
}

// apply makes entries as bad as was decided.
func (c *copyOf) apply(decisions []decision) (changed bool, err error) {
	for _, d := range decisions {
		for _, e := range d.Entries {
			now, err := c.status(e)
			if err != nil {
				return changed, err
			}
			if d.To == now || !d.To.Worse(now) {
				continue
			}
			if err := c.find(e.URI).values.Set(e.Index, d.To); err != nil {
				return changed, err
			}
			changed = true
		}
	}
	return changed, nil
}

// publish signs the lists, serves them, and anchors the next epoch.
func (o *Operator) publish(ctx context.Context, c *copyOf) error {
	issued := o.cfg.Now().UTC().Truncate(time.Second)
	if next := c.epoch.IssuedAt.Add(time.Second); issued.Before(next) {
		issued = next // K09: iat never goes back
	}
	next := issuedLists{Base: baseSequence(c.epoch)}
	var records [][]byte
	for _, l := range c.lists {
		h, err := o.sign(l, issued)
		if err != nil {
			return err
		}
		records = append(records, h.Record)
		next.Lists, next.Bases = append(next.Lists, h), append(next.Bases, l.base)
	}
	if err := o.file.put(next); err != nil {
		return fmt.Errorf("store the lists: %w", err)
	}
	op := registry.Operation{Network: o.cfg.Network, ChainID: o.cfg.ChainID, DID: o.cfg.Issuer, Seq: c.epoch.Sequence + 1, Body: &registry.EpochBody{
		IssuedAt: issued.Unix(), NextUpdate: issued.Add(3 * o.cfg.Every).Unix(), Root: statuslist.EpochRoot(records), Via: &o.cfg.Via,
	}}
	public, err := registry.NewPublicKey(o.cfg.Key.Public().Crypto())
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	signed, err := op.Sign(registry.SigningKey{Role: o.cfg.DID.URL(o.cfg.KeyID), Public: public, Signer: o.cfg.Key})
	if err != nil {
		return fmt.Errorf("sign epoch: %w", err)
	}
	outcomes, err := o.cfg.Submitter.Submit(ctx, signed)
	if err != nil {
		return fmt.Errorf("submit epoch: %w", err)
	}
	if len(outcomes) != 1 || outcomes[0].Code != string(registry.CodeOK) {
		return fmt.Errorf("%w: %v", ErrRefused, outcomes)
	}
	return o.file.serve()
}

func (o *Operator) sign(l *list, issued time.Time) (held, error) {
	s, err := l.values.Snapshot()
	if err != nil {
		return held{}, fmt.Errorf("compress list: %w", err)
	}
	header := keys.Header{Typ: keys.TypStatusList, Kid: o.cfg.DID.URL(o.cfg.KeyID), X5C: o.cfg.X5C}
	claims := statuslist.Claims{URI: l.uri, IssuedAt: issued, ExpiresAt: issued.Add(o.cfg.ListLife),
		TTL: min(max(o.cfg.Every, statuslist.MinTTL), statuslist.MaxTTL), Bits: s.Bits, Compressed: s.Compressed}
	var h held
	if h.JWT, err = statuslist.SignJWT(o.cfg.Key, header, claims); err == nil {
		h.CWT, err = statuslist.SignCWT(o.cfg.Key, header, claims)
	}
	if err != nil {
		return held{}, fmt.Errorf("sign list: %w", err)
	}
	h.Record, err = statuslist.Record{URI: l.uri, Bits: s.Bits, Length: s.Length, Root: s.Root,
		Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(h.JWT), CWT: sha256.Sum256(h.CWT)}}.Marshal()
	return h, err
}
