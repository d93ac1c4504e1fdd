package issuer

import "context"

// A Row is one invariant's result: how many things were looked at, how many contradict it.
type Row struct {
	ID         string `json:"id"`
	Checked    int64  `json:"checked"`
	Violations int64  `json:"violations"`
}

// A Checker counts the invariants of what it stores; package store implements it.
type Checker interface {
	Invariants(ctx context.Context) ([]Row, error)
}

// Fsck checks I1 to I6 (THREATS 4.2) as far as a store can know them, without changing anything. What a store cannot
// know: byte strings that a wallet holds and no ledger row names (the kill test keeps and compares them).
func Fsck(ctx context.Context, s Checker) ([]Row, error) { return s.Invariants(ctx) }
