package drill

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// Seen is what the nodes show after healing. Every fact in it was proven under a signed header; what could not be proven
// stands in Refused.
type Seen struct {
	Began   time.Time // moments of the history count from here, by the clock of the nodes' machine
	Nodes   []SeenNode
	Outages []Outage
}

// SeenNode is one node after healing.
type SeenNode struct {
	Headers  map[uint64]SeenHeader  // every height from 1 to its newest
	Outcomes map[string]SeenOutcome // by operation hash, of everything that was submitted; absent: proven absent
	Versions map[string][]uint64    // sequence numbers of the versions of a DID, in order
	Refused  []string               // answers that did not hold
	Replayed Replayed
}

// SeenHeader is a header of a height.
type SeenHeader struct {
	Hash, AppHash [32]byte
	Time          time.Time
}

// SeenOutcome of an operation.
type SeenOutcome struct {
	Code   string
	Height uint64
}

// An Outage is what was seen around one fault: the heights of the nodes that were left, when they were too few, or how
// long the first block after healing took.
type Outage struct {
	At            float64
	Before, After []uint64
	Healed        time.Duration
}

// Check compares what was promised with what is seen. Each line of the result names the invariant that is broken.
//
//	R1  nothing acknowledged is missing from any node, and every node has the same result
//	R2  the same header and app hash at each height on all nodes, and a replay from genesis ends in the same state
//	R3  every proof and signed header that a node gave holds
//	R4  the history of a DID has no gap and no fork
//	T   no operation has a time before its submission, also after a pause of everybody
//	R5  no commit without more than two thirds; a block soon after they are back
func Check(history []Entry, seen Seen) []string {
	c := &checker{}
	c.outcomes(history, seen)
	c.headers(seen)
	for i, n := range seen.Nodes {
		for _, what := range n.Refused {
			c.broken("R3 node %d: %s", i+1, what)
		}
	}
	c.versions(history, seen)
	c.times(history, seen)
	for _, o := range seen.Outages {
		c.outage(o)
	}
	return c.found
}

type checker struct{ found []string }

func (c *checker) broken(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// outcomes is R1.
func (c *checker) outcomes(history []Entry, seen Seen) {
	for _, e := range history {
		if e.Kind != "op" {
			continue
		}
		for i, n := range seen.Nodes {
			got, ok := n.Outcomes[e.Hash]
			// A refusal without a block is the gateway's own word, nothing the chain remembers.
			if e.Result == Acknowledged && e.Height > 0 && (!ok || got != (SeenOutcome{e.Code, e.Height})) {
				c.broken("R1 node %d: operation %s was acknowledged as %s at %d, and is %s at %d", i+1, e.Hash, e.Code, e.Height, got.Code, got.Height)
			}
			if first, has := seen.Nodes[0].Outcomes[e.Hash]; has != ok || first != got {
				c.broken("R1 node %d: operation %s is %q at %d, on node 1 %q at %d", i+1, e.Hash, got.Code, got.Height, first.Code, first.Height)
			}
			if e.Result == Failed && ok {
				c.broken("R1 node %d: operation %s executed, and the gateway said that nothing was taken", i+1, e.Hash)
			}
		}
	}
}

// headers is R2.
func (c *checker) headers(seen Seen) {
	if len(seen.Nodes) == 0 {
		return
	}
	byHeight := map[uint64]SeenHeader{}
	for i, n := range seen.Nodes {
		for height, h := range n.Headers {
			if first, ok := byHeight[height]; !ok {
				byHeight[height] = h
			} else if first != h {
				c.broken("R2 node %d: another header at height %d", i+1, height)
			}
		}
		for height := uint64(1); height <= uint64(len(n.Headers)); height++ {
			if _, ok := n.Headers[height]; !ok {
				c.broken("R2 node %d: no header at height %d", i+1, height)
			}
		}
	}
	for i, n := range seen.Nodes {
		if n.Replayed.Height == 0 {
			c.broken("R2 node %d: not replayed", i+1)
			continue
		}
		if next, ok := byHeight[n.Replayed.Height+1]; ok && !bytes.Equal(next.AppHash[:], n.Replayed.AppHash) {
			c.broken("R2 node %d: the replay ends in another state at height %d", i+1, n.Replayed.Height)
		}
		for j, other := range seen.Nodes[:i] {
			if other.Replayed.Height == n.Replayed.Height && !bytes.Equal(other.Replayed.AppHash, n.Replayed.AppHash) {
				c.broken("R2 nodes %d and %d: replays end in two states", j+1, i+1)
			}
		}
	}
}

// times is T. An operation of height h has the time of header h+1.
func (c *checker) times(history []Entry, seen Seen) {
	for _, e := range history {
		if e.Kind != "op" || e.Result != Acknowledged || e.Height == 0 {
			continue
		}
		submitted := seen.Began.Add(time.Duration(e.At * float64(time.Second)))
		for i, n := range seen.Nodes {
			if h, ok := n.Headers[e.Height+1]; ok && h.Time.Before(submitted) {
				c.broken("T node %d: operation %s is dated %v before its submission", i+1, e.Hash, submitted.Sub(h.Time))
				break
			}
		}
	}
}

// versions is R4: of every DID the acknowledged operations, none missing; beyond them only those of unknown outcome.
func (c *checker) versions(history []Entry, seen Seen) {
	promised, possible := map[string]uint64{}, map[string]uint64{}
	for _, e := range history {
		if e.Kind != "op" || e.DID == "" {
			continue
		}
		if e.Result == Acknowledged && e.Code == "ok" {
			promised[e.DID] = max(promised[e.DID], e.Seq+1)
		}
		if e.Result == Unknown || e.Result == Acknowledged && e.Code == "ok" {
			possible[e.DID] = max(possible[e.DID], e.Seq+1)
		}
	}
	for i, n := range seen.Nodes {
		for did, want := range promised {
			got := n.Versions[did]
			for at, seq := range got {
				if seq != uint64(at) {
					c.broken("R4 node %d: %s has version %d in place %d", i+1, did, seq, at)
					break
				}
			}
			if have := uint64(len(got)); have < want || have > possible[did] {
				c.broken("R4 node %d: %s has %d versions, acknowledged are %d", i+1, did, have, want)
			}
			if !slices.Equal(got, seen.Nodes[0].Versions[did]) {
				c.broken("R4 node %d: %s has another history than on node 1", i+1, did)
			}
		}
	}
}

// outage is R5.
func (c *checker) outage(o Outage) {
	for i := range o.Before {
		// A height of 0 is a node that was hit, or one that gave no answer.
		if o.Before[i] > 0 && o.After[i] > o.Before[i] {
			c.broken("R5 node %d went from height %d to %d without a quorum", i+1, o.Before[i], o.After[i])
		}
	}
	if o.Healed > healWithin {
		c.broken("R5 no block %v after the network was whole again", o.Healed.Round(time.Second))
	}
}
