package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// registryProposalsCmd shows what is put to the vote, and what became of it.
type registryProposalsCmd struct {
	chainFlags
	N    uint64        `arg:"" optional:"" help:"Number of a proposal; none: those that are open, and the newest of the others."`
	All  bool          `help:"Every proposal there ever was."`
	Wait bool          `help:"Wait until the proposal is closed: executed, failed, rejected or expired; exit 1 unless executed."`
	For  time.Duration `help:"How long to wait." default:"60s" name:"timeout"`
}

func (c *registryProposalsCmd) Run(e *env) error {
	if c.Wait && c.N == 0 {
		return errors.New("--wait is for one proposal: give its number")
	}
	v, err := c.open(e)
	if err != nil {
		return err
	}
	if c.N > 0 {
		if c.Wait {
			if err := v.awaitClosed(e.ctx, c.N, time.Now().Add(c.For)); err != nil {
				return err
			}
		}
		p, err := v.proposal(e.ctx, c.N)
		if err == nil {
			err = p.tell(e, c.JSON)
		}
		if err == nil && c.Wait && p.fact.State != registry.ProposalExecuted {
			err = fmt.Errorf("%w: proposal %d: %s", errCheck, c.N, p.state())
		}
		return err
	}
	return c.list(e, v)
}

func (c *registryProposalsCmd) list(e *env, v *council) error {
	_, all, err := v.rules(e.ctx)
	if err != nil {
		return err
	}
	const newest = 10
	first := uint64(1)
	if !c.All && all.Count > newest {
		first = all.Count - newest + 1
	}
	var numbers []uint64
	for _, n := range all.Open {
		if n < first {
			numbers = append(numbers, n)
		}
	}
	for n := first; n <= all.Count; n++ {
		numbers = append(numbers, n)
	}
	for _, n := range numbers {
		p, err := v.proposal(e.ctx, n)
		if err != nil {
			return err
		}
		if err := p.tell(e, c.JSON); err != nil {
			return err
		}
	}
	if len(numbers) == 0 && !c.JSON {
		_, err = fmt.Fprintln(e.stdout, "no proposal yet")
	}
	return err
}

// A proposed is a proposal as the newest header proves it.
type proposed struct {
	n      uint64
	fact   *registry.ProposalFact
	op     *registry.SignedOperation
	need   uint64
	height uint64 // of that header
	known  time.Time
}

var errNoProposal = fmt.Errorf("%w: no such proposal", errCheck)

// proposal n with its content. What is told of it is what its hash names.
func (v *council) proposal(ctx context.Context, n uint64) (*proposed, error) {
	facts, err := v.facts(ctx, registry.ProposalFamily(n).Latest(), registry.ProposalContentKey(n), registry.ParamsFamily().Latest())
	if err != nil {
		return nil, err
	}
	p := &proposed{n: n, height: facts.Head().Height, known: facts.Head().KnownAt}
	if p.fact, _, err = latestOf[registry.ProposalFact](facts, registry.ProposalFamily(n)); err != nil {
		return nil, err
	}
	content, err := plainOf[registry.ProposalContent](facts, registry.ProposalContentKey(n))
	if err != nil {
		return nil, err
	}
	params, _, err := latestOf[registry.ParamsFact](facts, registry.ParamsFamily())
	switch {
	case err != nil:
		return nil, err
	case p.fact == nil || content == nil || params == nil:
		return nil, errNoProposal
	}
	p.need = params.Need(p.fact.Kind)
	p.op, err = content.Proposed()
	return p, err
}

// awaitProposal also gives a block or two to a proposal that another agency has made just now: the next ones to come.
func (v *council) awaitProposal(ctx context.Context, n uint64) (*proposed, error) {
	const next = 3
	for end := time.Now().Add(10 * time.Second); ; {
		p, err := v.proposal(ctx, n)
		if !errors.Is(err, errNoProposal) || time.Now().After(end) {
			return p, err
		}
		if _, all, failed := v.rules(ctx); failed != nil || n > all.Count+next || !sleep(ctx, 300*time.Millisecond) {
			return nil, err
		}
	}
}

func (v *council) awaitClosed(ctx context.Context, n uint64, end time.Time) error {
	for {
		p, err := v.awaitProposal(ctx, n)
		if err != nil || p.closed() || time.Now().After(end) {
			return err
		}
		if !sleep(ctx, 300*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// sleep reports whether the time is over, and not the caller.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (v *council) tellProposal(e *env, n uint64, asJSON bool) error {
	p, err := v.proposal(e.ctx, n)
	if err != nil {
		return err
	}
	return p.tell(e, asJSON)
}

func (p *proposed) closed() bool {
	return p.fact.State != registry.ProposalVoting && p.fact.State != registry.ProposalApproved
}

// state is a word, and why where the chain has refused what was decided.
func (p *proposed) state() string {
	if p.fact.State == registry.ProposalFailed {
		return fmt.Sprintf("failed (%s)", p.fact.Code)
	}
	return string(p.fact.State)
}

// proposalJSON is one proposal. Times are RFC 3339, UTC.
type proposalJSON struct {
	N         uint64    `json:"n"`
	Kind      string    `json:"kind"`
	About     string    `json:"about,omitempty"` // identifier
	Says      string    `json:"says"`
	Proposer  string    `json:"proposer"`
	State     string    `json:"state"`
	Yes       []string  `json:"yes"` // members, in order of their votes
	No        []string  `json:"no"`
	Need      uint64    `json:"need"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires"`
	Executes  time.Time `json:"executes,omitzero"`      // end of the time lock
	Closed    uint64    `json:"closed_block,omitempty"` // height
	Code      string    `json:"code,omitempty"`         // outcome of the execution
	Operation string    `json:"operation"`              // multihash of what was proposed, hexadecimal; its outcome stands under it
	Height    uint64    `json:"known_block"`            // header that proves all this
	KnownAt   time.Time `json:"known_at"`
}

func (p *proposed) tell(e *env, asJSON bool) error {
	f := p.fact
	if asJSON {
		out := proposalJSON{N: p.n, Kind: string(f.Kind), About: string(f.About), Says: operationWords(&p.op.Operation), Proposer: f.Proposer,
			State: string(f.State), Yes: append([]string{}, f.Yes...), No: append([]string{}, f.No...), Need: p.need, Opened: time.Unix(f.Opened, 0).UTC(),
			Expires: time.Unix(f.Expires, 0).UTC(), Closed: f.Closed, Code: string(f.Code), Operation: hex.EncodeToString(p.op.Hash[:]), Height: p.height, KnownAt: p.known}
		if f.Due > 0 {
			out.Executes = time.Unix(f.Due, 0).UTC()
		}
		return e.print(out)
	}
	return p.text(e.stdout)
}

func (p *proposed) text(w io.Writer) error {
	f := p.fact
	against := ""
	if len(f.No) > 0 {
		against = "; against: " + strings.Join(f.No, ", ")
	}
	when := "open until " + stamp(f.Expires)
	switch {
	case f.State == registry.ProposalApproved:
		when = "executes at " + stamp(f.Due)
	case p.closed():
		when = fmt.Sprintf("closed in block %d", f.Closed)
	}
	_, err := fmt.Fprintf(w, "proposal %d: %s\n  %s, %s\n  %d of %d votes for it: %s%s\n", p.n, visible(operationWords(&p.op.Operation)), p.state(), when,
		len(f.Yes), p.need, strings.Join(f.Yes, ", "), against)
	return err
}
