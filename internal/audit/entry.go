package audit

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

const maxField = 256

// check refuses what must not stand in a log for years: control characters that forge lines (THREATS J20), and
// resident registration numbers (J21).
func (e Entry) check() error {
	if e.Chain == "" || e.Action == "" {
		return fmt.Errorf("%w: chain and action are required", ErrEntry)
	}
	for i, f := range e.fields() {
		if len(f) > maxField || !utf8.ValidString(f) {
			return fmt.Errorf("%w: field %d is too long or not UTF-8", ErrEntry, i+1)
		}
		for _, r := range f {
			if !unicode.IsPrint(r) {
				return fmt.Errorf("%w: field %d has an unprintable character", ErrEntry, i+1)
			}
		}
		if residentNumber(f) {
			return fmt.Errorf("%w: field %d looks like a resident registration number", ErrEntry, i+1)
		}
	}
	return nil
}

// residentNumber finds YYMMDD, an optional hyphen or space, and seven digits of which the first is 1 to 8, standing
// alone: between letters it is part of a hash. The check digit is not asked for: numbers given out since October 2020
// have none.
func residentNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if !digit(s, i) || alnum(s, i-1) {
			continue
		}
		n := i
		for digit(s, n) {
			n++
		}
		switch {
		case !birthDate(s[i:n]):
		case n-i == 13 && sevenDigits(s, i+6):
			return true
		case n-i == 6 && n < len(s) && (s[n] == '-' || s[n] == ' ') && sevenDigits(s, n+1):
			return true
		}
		i = n
	}
	return false
}

func alnum(s string, i int) bool {
	return digit(s, i) || i >= 0 && i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z')
}

func digit(s string, i int) bool { return i >= 0 && i < len(s) && s[i] >= '0' && s[i] <= '9' }

func birthDate(s string) bool {
	if len(s) < 6 {
		return false
	}
	month, day := int(s[2]-'0')*10+int(s[3]-'0'), int(s[4]-'0')*10+int(s[5]-'0')
	return month >= 1 && month <= 12 && day >= 1 && day <= 31
}

func sevenDigits(s string, i int) bool {
	for k := range 7 {
		if !digit(s, i+k) {
			return false
		}
	}
	return s[i] >= '1' && s[i] <= '8' && !alnum(s, i+7)
}
