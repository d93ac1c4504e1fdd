package schemas

import "errors"

// An AgeRule says on which day a person turns a year older.
type AgeRule string

// The two rules that coexist in Korean law and notices.
const (
	Birthday  AgeRule = "BIRTHDAY"   // the birthday itself: benefits, adult checks
	DayBefore AgeRule = "DAY_BEFORE" // the day before: voting
)

var errAgeRule = errors.New("schemas: unknown age rule or a birth date after the reference date")

// Age is the full years of somebody born on birth at the civil day on, under a named rule. Somebody born on 29 February
// turns a year older on 1 March of a common year (under Birthday).
func Age(birth, on Date, rule AgeRule) (int, error) {
	switch rule {
	case Birthday:
	case DayBefore:
		on = on.AddDays(1)
	default:
		return 0, errAgeRule
	}
	if birth.IsZero() || on.Before(birth) {
		return 0, errAgeRule
	}
	years := on.Year - birth.Year
	if on.Before(birth.AddYears(years)) {
		years--
	}
	return years, nil
}

// AgeOver reports whether the person is at least n years old on that day.
func AgeOver(birth, on Date, n int, rule AgeRule) (bool, error) {
	age, err := Age(birth, on, rule)
	return err == nil && age >= n, err
}

// LastDayBelow is the last civil day on which somebody is younger than n: the day before the n-th birthday (rule Birthday).
// A static derived claim that says "younger than n" must not outlive it.
func LastDayBelow(birth Date, n int) Date { return birth.AddYears(n).AddDays(-1) }

// An AgeBand is a span of ages in full years, both ends included.
type AgeBand struct {
	From int     `json:"from"`
	To   int     `json:"to"`
	Rule AgeRule `json:"rule"`
}

// Holds reports whether the person is in the band on that day.
func (b AgeBand) Holds(birth, on Date) (bool, error) {
	age, err := Age(birth, on, b.Rule)
	return err == nil && b.From <= age && age <= b.To, err
}

// Region codes are prefixes of the legal-dong code (10 digits): 2 digits province, 5 digits district.

// SidoCode is the province; "" when the code is not a legal-dong code.
func SidoCode(legalDong string) string { return legalDongPrefix(legalDong, 2) }

// SigunguCode is the district; "" when the code is not a legal-dong code.
func SigunguCode(legalDong string) string { return legalDongPrefix(legalDong, 5) }

func legalDongPrefix(code string, n int) string {
	if len(code) != 10 {
		return ""
	}
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return ""
		}
	}
	return code[:n]
}
