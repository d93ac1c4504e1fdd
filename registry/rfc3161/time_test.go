package rfc3161

import "testing"

func TestParseTime(t *testing.T) {
	for _, tc := range []struct {
		text string
		ok   bool
	}{
		{"20261120000000Z", true}, {"20261120000000.5Z", true}, {"20261120000000.123456Z", true},
		{"20261120000000", false}, {"20261120000000.Z", false}, {"20261120000000.50Z", false}, {"20261120000000.5h3Z", false}, {"20261120000000.-5Z", false}, {"20261320000000Z", false},
	} {
		if _, ok := parseTime(tc.text); ok != tc.ok {
			t.Errorf("%s: %v", tc.text, ok)
		}
	}
}
