package schemas

import (
	"time"
	"unicode"
)

// HasResidentNumber reports whether text holds what looks like a resident registration number: 6 + 7 digits with a date
// that can exist, joined or separated by up to three blanks, dots or dashes, not part of a longer run of digits.
// Digits of any script count. The check digit is not looked at: numbers given since 2020-10-05 have none.
func HasResidentNumber(text string) bool {
	var last, run []byte // the run of digits before the gap, and the present one
	gap := -1            // separators between them; -1: something else stood there
	for _, r := range text {
		if d, ok := digitValue(r); ok {
			run = append(run, d)
			continue
		}
		if isResidentNumber(last, run, gap) {
			return true
		}
		if len(run) > 0 {
			last, run, gap = run, nil, 0
		}
		switch {
		case gap >= 0 && gap < 3 && isSeparator(r):
			gap++
		default:
			gap = -1
		}
	}
	return isResidentNumber(last, run, gap)
}

func isResidentNumber(last, run []byte, gap int) bool {
	d := run
	if len(last) == 6 && len(run) == 7 && gap > 0 {
		d = append(append(make([]byte, 0, 13), last...), run...)
	}
	if len(d) != 13 {
		return false
	}
	two := func(i int) int { return int(d[i])*10 + int(d[i+1]) }
	// The seventh digit tells the century: 9 and 0 18xx, 1 2 5 6 19xx, 3 4 7 8 20xx.
	century := [10]int{1800, 1900, 1900, 2000, 2000, 1900, 1900, 2000, 2000, 1800}[d[6]]
	month, day := time.Month(two(2)), two(4)
	t := time.Date(century+two(0), month, day, 0, 0, 0, 0, time.UTC)
	return t.Month() == month && t.Day() == day
}

// digitValue reads decimal digits of any script; the ranges of Nd hold whole rows of ten.
func digitValue(r rune) (byte, bool) {
	if r < 0x80 {
		return byte(r - '0'), '0' <= r && r <= '9'
	}
	for _, s := range unicode.Nd.R16 {
		if rune(s.Lo) <= r && r <= rune(s.Hi) {
			return byte((r - rune(s.Lo)) % 10), true
		}
	}
	for _, s := range unicode.Nd.R32 {
		if rune(s.Lo) <= r && r <= rune(s.Hi) {
			return byte((r - rune(s.Lo)) % 10), true
		}
	}
	return 0, false
}

func isSeparator(r rune) bool {
	switch r {
	case ' ', '\t', '.', '_', '/', '~', '·', '−', '．', 'ㅡ', 'ー', '\u00a0', '\u3000', '\u200b', '\u2060':
		return true
	}
	return unicode.Is(unicode.Pd, r)
}
