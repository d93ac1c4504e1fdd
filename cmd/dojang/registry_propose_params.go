package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// proposeParams names parameters as genesis does; what is not given stays.
type proposeParams struct {
	proposeFlags
	TimeLock        *time.Duration `help:"Between the approval of a proposal and its execution; what is open keeps the one that it was opened under." placeholder:"72h"`
	Voting          *time.Duration `help:"How long a proposal may be voted on; what is open keeps its end." placeholder:"336h"`
	Emergency       *uint64        `help:"Members that may suspend a key or an accreditation at once; 0, with --emergency-hold 0s: nobody." placeholder:"K"`
	EmergencyHold   *time.Duration `help:"How long such a suspension holds unless it is confirmed." placeholder:"168h"`
	QuotaOperations *uint64        `help:"Operations of a sponsor in a window of blocks." placeholder:"N"`
	QuotaBlocks     *uint64        `help:"Length of the window." placeholder:"N"`
	EpochInterval   *time.Duration `help:"Shortest time between two status epochs of an issuer." placeholder:"1m"`
	Heartbeat       *time.Duration `help:"Longest time between two headers." placeholder:"10s"`
}

func (c *proposeParams) Run(e *env) error {
	b := &registry.ParamsBody{QuotaOps: c.QuotaOperations, QuotaBlocks: c.QuotaBlocks, Emergency: c.Emergency}
	for _, d := range []struct {
		flag string
		is   *time.Duration
		unit time.Duration
		to   **uint64
	}{
		{"time-lock", c.TimeLock, time.Second, &b.TimeLock}, {"voting", c.Voting, time.Second, &b.Voting},
		{"emergency-hold", c.EmergencyHold, time.Second, &b.EmergencyHold}, {"epoch-interval", c.EpochInterval, time.Second, &b.EpochInterval},
		{"heartbeat", c.Heartbeat, time.Millisecond, &b.Heartbeat},
	} {
		if d.is == nil {
			continue
		}
		if *d.is < 0 || *d.is%d.unit != 0 {
			return fmt.Errorf("--%s: a multiple of %s, not below zero", d.flag, d.unit)
		}
		*d.to = new(uint64(*d.is / d.unit))
	}
	if *b == (registry.ParamsBody{}) {
		return errors.New("say what shall change: --time-lock, --voting, --emergency, --emergency-hold, --quota-operations, --quota-blocks, --epoch-interval, --heartbeat")
	}
	return c.propose(e, func(*council) (registry.Operation, error) { return registry.Operation{Body: b}, nil })
}
