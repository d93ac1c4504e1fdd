package schemas

import (
	"errors"
	"time"
)

// KST is Korean standard time: a fixed offset, no daylight saving since 1988, so no zone database is needed.
var KST = time.FixedZone("KST", 9*60*60)

// A Date is a Korean civil day. The zero Date is no day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

var errDate = errors.New("schemas: not a date YYYY-MM-DD")

// ParseDate reads exactly `YYYY-MM-DD`, years 1800 to 9999, a day that exists.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || len(s) != len(time.DateOnly) || t.Year() < 1800 {
		return Date{}, errDate
	}
	return Date{t.Year(), t.Month(), t.Day()}, nil
}

// DateOf is the civil day at that instant.
func DateOf(t time.Time) Date {
	y, m, d := t.In(KST).Date()
	return Date{y, m, d}
}

// String is `YYYY-MM-DD`; "" for the zero Date.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.utc().Format(time.DateOnly)
}

// IsZero reports no day.
func (d Date) IsZero() bool { return d == Date{} }

// Before compares civil days.
func (d Date) Before(e Date) bool { return d.utc().Before(e.utc()) }

// AddDays moves by civil days.
func (d Date) AddDays(n int) Date { return fromUTC(d.utc().AddDate(0, 0, n)) }

// AddYears moves by years; 29 February becomes 1 March in a common year (civil-law reading, DOMAIN 5 no. 26: unconfirmed).
func (d Date) AddYears(n int) Date { return fromUTC(d.utc().AddDate(n, 0, 0)) }

// Start is the day's first instant, 00:00:00 KST.
func (d Date) Start() time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, KST).UTC()
}

// End is the last second of a last valid day, 23:59:59 KST = 14:59:59Z. A document is valid while now is before the
// next day's Start, so the whole second counts.
func (d Date) End() time.Time { return d.AddDays(1).Start().Add(-time.Second) }

// LastValid reports whether a document whose last valid day is d still holds at now.
func (d Date) LastValid(now time.Time) bool { return now.Before(d.AddDays(1).Start()) }

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

func fromUTC(t time.Time) Date { return Date{t.Year(), t.Month(), t.Day()} }
