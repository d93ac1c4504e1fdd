// Package drill hurts a running network on purpose and looks from the outside whether it keeps what it promised
// (`dojang registry drill`). Run puts load on through the nodes' HTTP face, injects faults on a schedule that a seed decides, heals
// everything, observes every node, and hands what was promised and what is seen to Check, which needs no process.
//
// Trusted is nothing of the nodes: outcomes and headers count only as Evidence and signed headers under the trust point that
// the network began with.
package drill

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Kinds of faults.
const (
	Kill      = "kill"      // SIGKILL, started again after a while
	Pause     = "pause"     // SIGSTOP for Config.Hold, then SIGCONT
	Restart   = "restart"   // SIGTERM, started again at once
	Partition = "partition" // the network falls apart for Config.Hold: at once, every other second, or in one direction
)

// A Way says which direction a partition takes.
type Way int

// Ways of a partition.
const (
	BothWays Way = iota
	Mute         // what those who are away say is lost; they hear the others
	Deaf         // those who are away hear nothing; the others hear them
)

// Cuts reports whether a partition that takes nodes away loses what one node says to another.
func (w Way) Cuts(away []int, from, to int) bool {
	f, t := slices.Contains(away, from), slices.Contains(away, to)
	return f != t && (w == BothWays || f == (w == Mute))
}

// A Network is the processes of the drill. Nodes count from 0. Methods return when the fault is in place.
type Network interface {
	Nodes() int
	URL(i int) string // of the public HTTP face
	Start(ctx context.Context, i int) error
	// Fault applies Kill, Pause or Restart (the ending half of it) to a node; Start or Resume undoes it.
	Fault(kind string, i int) error
	Resume(i int) error
	// Part separates the named nodes from the others; nobody: all are together again.
	Part(away []int, way Way) error
	// Replay executes all blocks of a stopped node on an empty state.
	Replay(i int) (Replayed, error)
}

// Replayed is where a replay from genesis ended; it has compared the app hash of every height on the way.
type Replayed struct {
	Height  uint64
	AppHash []byte
}

// ErrNotPermitted: this system does not let us make network namespaces.
var ErrNotPermitted = errors.New("drill: network namespaces are not permitted here")

// Config of a Run.
type Config struct {
	Network Network
	Trust   evidence.Trust // where the network began, by a way that is not under test
	HTTP    *http.Client   // nil: a plain one
	Kill    int            // how many nodes a fault hits at once
	Load    int            // operations a second
	For     time.Duration  // how long load and faults last
	Hold    time.Duration  // how long a fault lasts; 0: 10 s
	Faults  []string       // kinds to choose from; none: load only
	Seed    uint64
	History *History          // keeps every promise and every fault
	Log     func(fault Fault) // told of each; may be nil
}

// A Fault that was injected.
type Fault struct {
	At   float64 `json:"at_s"`
	Kind string  `json:"kind"`
	Node int     `json:"node"` // from 1
}

// A Report is the last line of the command.
type Report struct {
	Seed         uint64   `json:"seed"`
	Validators   int      `json:"validators"`
	Seconds      float64  `json:"seconds"`
	Faults       []Fault  `json:"faults"`
	Acknowledged int      `json:"acknowledged"`
	Unknown      int      `json:"unknown"`
	Failed       int      `json:"failed"`
	P50          float64  `json:"commit_p50_ms"`
	P95          float64  `json:"commit_p95_ms"`
	Violations   int      `json:"violations"`
	History      string   `json:"history"`
	Details      []string `json:"-"` // of the violations
}

// healWithin bounds the time from the last healed fault to the next block (H22).
const healWithin = 30 * time.Second

// Run drills a network whose nodes all run. It ends with every node stopped. The error says that the drill could not be run;
// broken promises are the report's violations.
func Run(ctx context.Context, cfg Config) (Report, error) {
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 20 * time.Second}
	}
	if cfg.Hold == 0 {
		cfg.Hold = 10 * time.Second
	}
	r := Report{Seed: cfg.Seed, Validators: cfg.Network.Nodes(), Faults: []Fault{}, History: cfg.History.Path()}
	d := &drill{cfg: cfg, began: time.Now(), random: rand.New(rand.NewPCG(cfg.Seed, 1))}
	load, err := newLoad(d)
	if err != nil {
		return r, err
	}
	stop := load.start(ctx)
	err = d.faults(ctx)
	stop()
	r.Seconds = time.Since(d.began).Seconds()
	if err != nil {
		return r, err
	}
	seen, err := d.observe(ctx, load)
	if err != nil {
		return r, err
	}
	history := cfg.History.Entries()
	r.Faults = append(r.Faults, d.injected...)
	r.Details = Check(history, seen)
	r.Violations = len(r.Details)
	r.count(history)
	return r, nil
}

func (r *Report) count(history []Entry) {
	var took []float64
	for _, e := range history {
		switch e.Result {
		case Acknowledged:
			r.Acknowledged++
			took = append(took, e.Took)
		case Unknown:
			r.Unknown++
		case Failed:
			r.Failed++
		}
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		r.P50, r.P95 = took[n/2], took[n*95/100]
	}
}

type drill struct {
	cfg      Config
	began    time.Time
	random   *rand.Rand
	injected []Fault
	outages  []Outage
}

func (d *drill) since() float64 { return time.Since(d.began).Seconds() }

// faults injects until the time is over, and leaves everything healed. Between two faults the network gets a rest.
func (d *drill) faults(ctx context.Context) error {
	rest := min(3*time.Second, d.cfg.For/8)
	end := d.began.Add(d.cfg.For)
	for {
		if !sleep(ctx, rest) {
			return ctx.Err()
		}
		if len(d.cfg.Faults) == 0 || time.Now().Add(d.cfg.Hold+rest).After(end) {
			break
		}
		if err := d.inject(ctx, d.cfg.Faults[d.random.IntN(len(d.cfg.Faults))]); err != nil {
			return err
		}
	}
	if !sleep(ctx, time.Until(end)) {
		return ctx.Err()
	}
	return nil
}

// inject hits Config.Kill nodes with one fault, holds it, and heals.
func (d *drill) inject(ctx context.Context, kind string) error {
	hit := d.random.Perm(d.cfg.Network.Nodes())[:min(d.cfg.Kill, d.cfg.Network.Nodes())]
	slices.Sort(hit)
	note := func() error {
		for _, i := range hit {
			f := Fault{At: d.since(), Kind: kind, Node: i + 1}
			d.injected = append(d.injected, f)
			if d.cfg.Log != nil {
				d.cfg.Log(f)
			}
			if err := d.cfg.History.Add(Entry{Kind: "fault", At: f.At, Fault: kind, Node: f.Node}); err != nil {
				return err
			}
		}
		return nil
	}
	if kind == Partition {
		return errors.Join(note(), d.part(ctx, hit))
	}
	if err := note(); err != nil {
		return err
	}
	for _, i := range hit {
		if err := d.cfg.Network.Fault(kind, i); err != nil {
			return fmt.Errorf("%s node %d: %w", kind, i+1, err)
		}
	}
	hold := d.cfg.Hold
	if kind == Restart {
		hold = 0
	}
	if err := d.hold(ctx, hit, hold); err != nil {
		return err
	}
	for _, i := range hit {
		var err error
		if kind == Pause {
			err = d.cfg.Network.Resume(i)
		} else {
			err = d.cfg.Network.Start(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("heal node %d: %w", i+1, err)
		}
	}
	return d.healed(ctx)
}

// part takes nodes away from the others: for a while, every other second, or in one direction only.
func (d *drill) part(ctx context.Context, away []int) error {
	flaps, way := 1, BothWays
	switch d.random.IntN(6) {
	case 0, 1:
		flaps = max(1, int(d.cfg.Hold/(2*time.Second)))
	case 2:
		way = Mute
	case 3:
		way = Deaf
	}
	for range flaps {
		if err := d.cfg.Network.Part(away, way); err != nil {
			return err
		}
		if flaps == 1 {
			if err := d.hold(ctx, away, d.cfg.Hold); err != nil {
				return err
			}
		} else if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
		if err := d.cfg.Network.Part(nil, BothWays); err != nil {
			return err
		}
		if flaps > 1 && !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return d.healed(ctx)
}

// hold keeps a fault in place, and watches the nodes that are left when they are too few to go on.
func (d *drill) hold(ctx context.Context, hit []int, hold time.Duration) error {
	n := d.cfg.Network.Nodes()
	if 3*(n-len(hit)) > 2*n || hold < 4*time.Second {
		if !sleep(ctx, hold) {
			return ctx.Err()
		}
		return nil
	}
	const settle = 2 * time.Second // blocks on their way
	if !sleep(ctx, settle) {
		return ctx.Err()
	}
	before := d.heights(ctx, hit)
	if !sleep(ctx, hold-settle) {
		return ctx.Err()
	}
	o := Outage{At: d.since(), Before: before, After: d.heights(ctx, hit)}
	d.outages = append(d.outages, o)
	return nil
}

// heights of the nodes that are not hit, 0 for one that does not answer.
func (d *drill) heights(ctx context.Context, hit []int) []uint64 {
	out := make([]uint64, d.cfg.Network.Nodes())
	for i := range out {
		if !slices.Contains(hit, i) {
			out[i], _ = d.newest(ctx, i)
		}
	}
	return out
}

// healed waits for the first new block after a fault, and notes how long it took.
func (d *drill) healed(ctx context.Context) error {
	began := time.Now()
	start := slices.Max(d.heights(ctx, nil))
	for time.Since(began) < healWithin+5*time.Second {
		if slices.Max(d.heights(ctx, nil)) > start {
			break
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	d.outages = append(d.outages, Outage{At: d.since(), Healed: time.Since(began)})
	return d.cfg.History.Add(Entry{Kind: "healed", At: d.since(), Took: float64(time.Since(began).Milliseconds())})
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// hashText names an operation in the history.
func hashText(h registry.Hash) string { return fmt.Sprintf("%x", h[:]) }
