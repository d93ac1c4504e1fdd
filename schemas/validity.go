package schemas

import (
	"errors"
	"time"
)

// ErrNoLastDay: the record names no last day, the issue day or the birth date that the type's rule needs, or it is over.
var ErrNoLastDay = errors.New("schemas: no last valid day")

// LastDay is the last valid day of a document issued on that day. fromRecord is the day that the record names, birth
// the holder's birth date where the type caps by age (BeforeAge); either may be zero. Errors: ErrNoLastDay.
func (t *Type) LastDay(issued, fromRecord, birth Date) (Date, error) {
	v := t.Validity
	var last Date
	switch {
	case issued.IsZero():
		return Date{}, ErrNoLastDay
	case v.FromRecord && !fromRecord.IsZero():
		last = fromRecord
	case v.Years > 0:
		last = issued.AddYears(v.Years).AddDays(-1)
	case v.Days > 0:
		last = issued.AddDays(v.Days)
	default:
		return Date{}, ErrNoLastDay
	}
	if v.BeforeAge > 0 {
		if birth.IsZero() {
			return Date{}, ErrNoLastDay
		}
		if limit := LastDayBelow(birth, v.BeforeAge); limit.Before(last) {
			last = limit
		}
	}
	if last.Before(issued) {
		return Date{}, ErrNoLastDay
	}
	return last, nil
}

// Technical is nbf and exp of a copy signed now: from the start of today (KST) to MinExpDays ahead, never past the last
// valid day. Both are whole Korean days, so that the copies of a batch do not link by their times.
func (t *Type) Technical(now time.Time, last Date) (nbf, exp time.Time) {
	today := DateOf(now)
	end := today.AddDays(t.Validity.MinExpDays + 1)
	if after := last.AddDays(1); after.Before(end) {
		end = after
	}
	return today.Start(), end.Start()
}
