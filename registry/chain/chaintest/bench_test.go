package chaintest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

func BenchmarkCore(b *testing.B) {
	for _, c := range chaintest.BenchCases() {
		if !c.Full && c.New != nil {
			b.Run(c.Name, func(b *testing.B) { c.Run(b) })
		}
	}
}

// BenchmarkExecute registers identifiers without an engine: 100 operations a transaction, 5 transactions a block.
func BenchmarkExecute(b *testing.B) {
	const perTx, txs = 100, 5
	c := chaintest.New(b, chaintest.Config{})
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		block := make([][]byte, txs)
		for i := range block {
			operations := make([][]byte, perTx)
			for j := range operations {
				k := chaintest.NewKey(fmt.Sprint("bench ", n, " ", i, " ", j))
				next := registry.HashOf([]byte(fmt.Sprint("next ", n, " ", i, " ", j)))
				recovery := registry.HashOf(next[:])
				op := registry.Operation{Body: &registry.CreateBody{Op: k.Public(), Next: next, Recovery: recovery}}
				operations[j] = c.Op(op, k.As(registry.RoleOp))
			}
			block[i] = c.Tx(operations...)
		}
		b.StartTimer()
		for _, r := range c.Block(block...) {
			if r.Code != registry.CodeOK || r.Operations[0].Code != string(registry.CodeOK) {
				b.Fatal(r.Code, r.Detail)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*perTx*txs), "ns/operation")
}

// Three keys out of 100,000 fit into 8 KiB, with 4 validators and the headers that date them.
func TestEvidenceSize(t *testing.T) {
	s, err := chaintest.NewStaples(chaintest.StaplesConfig{Count: 1, Leaves: 100_000, Validators: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(s[0].Evidence))
	if len(s[0].Evidence) > 8<<10 {
		t.Fatalf("%d bytes", len(s[0].Evidence))
	}
}

// A measured operation is a tested one; what it allocates is guarded.
func TestBenchCases(t *testing.T) {
	if testing.Short() {
		t.Skip("builds large states")
	}
	cases := chaintest.BenchCases()
	for i := range cases {
		if strings.HasPrefix(cases[i].Name, "registry/light-header/4") {
			cases[i].Long = false
		}
	}
	bench.Check(t, cases)
}
