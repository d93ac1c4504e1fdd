//go:build race

package chain_test

// Under the race detector everything is ten times slower; the interleavings are there all the same.
const probeTxs = 500
