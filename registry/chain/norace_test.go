//go:build !race

package chain_test

const probeTxs = 10_000
