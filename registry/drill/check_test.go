package drill

import (
	"strings"
	"testing"
	"time"
)

// whole is a history and what three nodes show of it, without a fault.
func whole() ([]Entry, Seen) {
	history := []Entry{
		{Kind: "op", Hash: "a", DID: "did:x", Seq: 0, Result: Acknowledged, Code: "ok", Height: 2},
		{Kind: "fault", Fault: Kill, Node: 2},
		{Kind: "op", Hash: "b", DID: "did:x", Seq: 1, Result: Acknowledged, Code: "ok", Height: 3},
		{Kind: "op", Hash: "c", DID: "did:x", Seq: 2, Result: Unknown},
		{Kind: "op", Hash: "d", DID: "did:y", Seq: 0, Result: Failed},
		{Kind: "op", Hash: "e", DID: "did:z", Seq: 0, Result: Acknowledged, Code: "bad-signature"}, // refused by the gateway alone
	}
	seen := Seen{Began: time.Unix(1_700_000_000, 0), Outages: []Outage{{Before: []uint64{3, 0, 3}, After: []uint64{3, 0, 3}}, {Healed: time.Second}}}
	for range 3 {
		seen.Nodes = append(seen.Nodes, SeenNode{
			Headers: map[uint64]SeenHeader{1: {Hash: [32]byte{1}, AppHash: [32]byte{10}, Time: time.Unix(1_700_000_001, 0)}, 2: {Hash: [32]byte{2}, AppHash: [32]byte{20}, Time: time.Unix(1_700_000_002, 0)},
				3: {Hash: [32]byte{3}, AppHash: [32]byte{30}, Time: time.Unix(1_700_000_003, 0)}, 4: {Hash: [32]byte{4}, AppHash: [32]byte{40}, Time: time.Unix(1_700_000_004, 0)}},
			Outcomes: map[string]SeenOutcome{"a": {"ok", 2}, "b": {"ok", 3}, "c": {"ok", 3}},
			Versions: map[string][]uint64{"did:x": {0, 1, 2}},
			Replayed: Replayed{Height: 3, AppHash: append([]byte{40}, make([]byte, 31)...)},
		})
	}
	return history, seen
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		hurt func(h []Entry, s *Seen)
		want string // how the one complaint begins; "": none
	}{
		{"nothing is wrong", func([]Entry, *Seen) {}, ""},
		{"an unknown operation executed nowhere", func(_ []Entry, s *Seen) {
			for i := range s.Nodes {
				delete(s.Nodes[i].Outcomes, "c")
				s.Nodes[i].Versions["did:x"] = []uint64{0, 1}
			}
		}, ""},
		{"an acknowledged operation is missing on one node", func(_ []Entry, s *Seen) { delete(s.Nodes[2].Outcomes, "b") }, "R1 node 3"},
		{"an acknowledged operation is missing everywhere", func(_ []Entry, s *Seen) {
			for i := range s.Nodes {
				delete(s.Nodes[i].Outcomes, "a")
			}
		}, "R1 node 1"},
		{"an acknowledged operation has another result", func(_ []Entry, s *Seen) { s.Nodes[1].Outcomes["a"] = SeenOutcome{"version-conflict", 2} }, "R1 node 2"},
		{"an acknowledged operation has another height", func(_ []Entry, s *Seen) { s.Nodes[1].Outcomes["a"] = SeenOutcome{"ok", 3} }, "R1 node 2"},
		{"an unknown operation executed on one node only", func(_ []Entry, s *Seen) { delete(s.Nodes[1].Outcomes, "c") }, "R1 node 2"},
		{"what was refused executed", func(_ []Entry, s *Seen) {
			for i := range s.Nodes {
				s.Nodes[i].Outcomes["d"] = SeenOutcome{"ok", 3}
			}
		}, "R1 node 1"},
		{"two headers at one height", func(_ []Entry, s *Seen) { s.Nodes[1].Headers[2] = SeenHeader{Hash: [32]byte{9}, AppHash: [32]byte{20}} }, "R2 node 2"},
		{"two app hashes at one height", func(_ []Entry, s *Seen) { s.Nodes[1].Headers[2] = SeenHeader{Hash: [32]byte{2}, AppHash: [32]byte{9}} }, "R2 node 2"},
		{"a header is missing", func(_ []Entry, s *Seen) {
			delete(s.Nodes[1].Headers, 2)
		}, "R2 node 2"},
		{"a replay ends elsewhere", func(_ []Entry, s *Seen) { s.Nodes[1].Replayed.AppHash = []byte{1} }, "R2 node 2"},
		{"a node could not be replayed", func(_ []Entry, s *Seen) { s.Nodes[1].Replayed = Replayed{} }, "R2 node 2"},
		{"a proof does not hold", func(_ []Entry, s *Seen) { s.Nodes[0].Refused = []string{"evidence does not hold"} }, "R3 node 1"},
		{"a gap in a history", func(_ []Entry, s *Seen) { s.Nodes[1].Versions["did:x"] = []uint64{0, 2} }, "R4 node 2"},
		{"a history is too short", func(_ []Entry, s *Seen) { s.Nodes[1].Versions["did:x"] = []uint64{0} }, "R4 node 2"},
		{"a history is longer than anything submitted", func(_ []Entry, s *Seen) {
			for i := range s.Nodes {
				s.Nodes[i].Versions["did:x"] = []uint64{0, 1, 2, 3}
			}
		}, "R4 node 1"},
		{"a history forks", func(_ []Entry, s *Seen) { s.Nodes[1].Versions["did:x"] = []uint64{0, 1} }, "R4 node 2"},
		{"dated before its submission", func(_ []Entry, s *Seen) { s.Began = time.Unix(1_700_000_004, 1) }, "T node 1"},
		{"blocks without a quorum", func(_ []Entry, s *Seen) { s.Outages[0].After[2] = 4 }, "R5 node 3"},
		{"no block after healing", func(_ []Entry, s *Seen) { s.Outages[1].Healed = healWithin + time.Second }, "R5 no block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			history, seen := whole()
			c.hurt(history, &seen)
			found := Check(history, seen)
			if c.want == "" {
				if len(found) > 0 {
					t.Fatalf("complaints without a reason: %q", found)
				}
				return
			}
			if len(found) == 0 || !strings.HasPrefix(found[0], c.want) {
				t.Fatalf("found %q", found)
			}
		})
	}
}

func TestReportCounts(t *testing.T) {
	history, _ := whole()
	history[0].Took, history[2].Took, history[5].Took = 10, 30, 20
	var r Report
	r.count(history)
	if r.Acknowledged != 3 || r.Unknown != 1 || r.Failed != 1 || r.P50 != 20 || r.P95 != 30 {
		t.Fatalf("%+v", r)
	}
}
