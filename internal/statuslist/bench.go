package statuslist

import "github.com/dojang-id/dojang/internal/bench"

// BenchCases are the rows status/decode, status/lookup and status/publish-one.
func BenchCases() []bench.Case { return nil }
