package sqldb_test

import (
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
)

func BenchmarkWrite(b *testing.B) {
	for _, c := range sqldb.BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}
