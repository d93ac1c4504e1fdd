package issuertest

import (
	"strings"
	"testing"
)

func BenchmarkIssue(b *testing.B) {
	for _, c := range BenchCases() {
		b.Run(strings.TrimPrefix(c.Name, "oid4vci/"), func(b *testing.B) { c.Run(b) })
	}
}
