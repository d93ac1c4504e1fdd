package schemas

import (
	"testing"
	"time"
)

func day(t *testing.T, s string) Date {
	t.Helper()
	d, err := ParseDate(s)
	if err != nil {
		t.Fatalf("ParseDate(%q): %v", s, err)
	}
	return d
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The age vectors of DOMAIN 4.6.
func TestAge(t *testing.T) {
	tests := []struct {
		name      string
		birth, on string
		rule      AgeRule
		want      int
	}{
		{"the day before the birthday", "1991-11-21", "2026-11-20", Birthday, 34},
		{"the birthday", "1991-11-21", "2026-11-21", Birthday, 35},
		{"day-before rule", "1991-11-21", "2026-11-20", DayBefore, 35},
		{"17 by birthday", "2008-11-22", "2026-11-21", Birthday, 17},
		{"18 by the day before", "2008-11-22", "2026-11-21", DayBefore, 18},
		{"K11 born on 29 February, 28 February", "2008-02-29", "2027-02-28", Birthday, 18},
		{"K11 born on 29 February, 1 March", "2008-02-29", "2027-03-01", Birthday, 19},
		{"K11 born on 29 February, day-before rule", "2008-02-29", "2027-02-28", DayBefore, 19},
		{"K11 born on 29 February, leap year", "2008-02-29", "2028-02-29", Birthday, 20},
		{"K11 the end of the calendar", "1998-07-04", "9999-12-31", Birthday, 8001},
		{"K11 beyond 2038", "1998-07-04", "2038-01-20", Birthday, 39},
		{"the day of birth", "2026-11-21", "2026-11-21", Birthday, 0},
		{"voting on the eve of the 18th birthday", "2003-04-08", "2021-04-07", DayBefore, 18},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Age(day(t, tt.birth), day(t, tt.on), tt.rule)
			if err != nil || got != tt.want {
				t.Errorf("Age = %d, %v, want %d", got, err, tt.want)
			}
		})
	}
	for _, rule := range []AgeRule{"", "birthday", "KOREAN"} {
		if _, err := Age(day(t, "1990-01-01"), day(t, "2026-01-01"), rule); err == nil {
			t.Errorf("rule %q accepted", rule)
		}
	}
	if _, err := Age(day(t, "2026-11-22"), day(t, "2026-11-21"), Birthday); err == nil {
		t.Error("born after the reference date accepted")
	}
	if _, err := Age(Date{}, day(t, "2026-11-21"), Birthday); err == nil {
		t.Error("no birth date accepted")
	}
}

func TestYouthBand(t *testing.T) {
	typ, _ := Lookup("youth-eligibility")
	band := typ.Bands["age_band_youth"]
	for on, want := range map[string]bool{"2010-11-20": false, "2010-11-21": true, "2026-11-20": true, "2026-11-21": false} {
		if got, err := band.Holds(day(t, "1991-11-21"), day(t, on)); err != nil || got != want {
			t.Errorf("%s: %v, %v", on, got, err)
		}
	}
	if got := LastDayBelow(day(t, "1991-11-21"), 35); got != day(t, "2026-11-20") {
		t.Errorf("last day below 35: %v", got)
	}
}

func TestCivilDays(t *testing.T) {
	last := day(t, "2026-12-31")
	tests := []struct {
		name, now string
		want      bool
	}{
		{"K10 00:00 UTC of the last day", "2026-12-31T00:00:00Z", true},
		{"K10 23:59:59 KST", "2026-12-31T14:59:59Z", true},
		{"K10 the last nanosecond of the last second", "2026-12-31T14:59:59.999999999Z", true},
		{"K10 00:00 KST of the next day", "2026-12-31T15:00:00Z", false},
		{"K10 another zone, same instant", "2026-12-31T09:59:59-05:00", true},
		{"K10 midnight UTC is nine hours too late", "2026-12-31T23:59:59Z", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := last.LastValid(instant(t, tt.now)); got != tt.want {
				t.Errorf("valid = %v, want %v", got, tt.want)
			}
		})
	}
	t.Run("K10 the end is stored as a UTC instant", func(t *testing.T) {
		if got := last.End().Format(time.RFC3339); got != "2026-12-31T14:59:59Z" {
			t.Errorf("End = %s", got)
		}
		if got := last.Start().Format(time.RFC3339); got != "2026-12-30T15:00:00Z" {
			t.Errorf("Start = %s", got)
		}
	})
	t.Run("K11 odd dates", func(t *testing.T) {
		if got := day(t, "9999-12-31").End().Format(time.RFC3339); got != "9999-12-31T14:59:59Z" {
			t.Errorf("end of the calendar: %s", got)
		}
		if got := DateOf(instant(t, "2026-11-20T15:30:00Z")); got != day(t, "2026-11-21") {
			t.Errorf("2026-11-20T15:30Z is %v in Korea", got)
		}
		if got := day(t, "2024-02-29").AddYears(3); got != day(t, "2027-03-01") {
			t.Errorf("29 February + 3 years = %v", got)
		}
		for _, bad := range []string{"", "2026-2-1", "2026-02-29", "2026-13-01", "2026-00-10", "2026-11-31", "20261121", "2026-11-21T00:00:00Z", " 2026-11-21", "1799-12-31", "10000-01-01", "2026-06-30 23:59:60", "２０２６-11-21", "-026-11-21"} {
			if d, err := ParseDate(bad); err == nil || !d.IsZero() {
				t.Errorf("ParseDate(%q) = %v, %v", bad, d, err)
			}
		}
	})
}

func TestLastDay(t *testing.T) {
	tests := []struct {
		name, typ             string
		issued, record, birth string
		want                  string // "": ErrNoLastDay
	}{
		{"three years", "resident-id", "2026-11-21", "", "", "2029-11-20"},
		{"three years from 29 February", "resident-id", "2028-02-29", "", "", "2031-02-28"},
		{"a code of the customs", "customs-identity", "2026-03-03", "", "", "2027-03-02"},
		{"a legacy code ends where the record says", "customs-identity", "2026-03-03", "2027-07-04", "", "2027-07-04"},
		{"youth, the window's end", "youth-eligibility", "2026-11-20", "2026-12-31", "1998-07-04", "2026-12-31"},
		{"youth, capped by the 35th birthday", "youth-eligibility", "2026-11-20", "2026-12-31", "1991-11-21", "2026-11-20"},
		{"youth, on the 35th birthday", "youth-eligibility", "2026-11-21", "2026-12-31", "1991-11-21", ""},
		{"youth without a birth date", "youth-eligibility", "2026-11-20", "2026-12-31", "", ""},
		{"youth without a window", "youth-eligibility", "2026-11-20", "", "1998-07-04", ""},
		{"no issue day", "resident-id", "", "", "", ""},
	}
	optional := func(t *testing.T, s string) Date {
		if s == "" {
			return Date{}
		}
		return day(t, s)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ, _ := Lookup(tt.typ)
			got, err := typ.LastDay(optional(t, tt.issued), optional(t, tt.record), optional(t, tt.birth))
			if got.String() != tt.want || (tt.want == "") != (err == ErrNoLastDay) {
				t.Errorf("LastDay = %v, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestTechnical(t *testing.T) {
	typ, _ := Lookup("resident-id")
	nbf, exp := typ.Technical(instant(t, "2026-11-20T15:30:00Z"), day(t, "2029-11-20"))
	if got := nbf.Format(time.RFC3339) + " " + exp.Format(time.RFC3339); got != "2026-11-20T15:00:00Z 2027-01-05T15:00:00Z" {
		t.Errorf("nbf, exp = %s", got)
	}
	if exp.Sub(instant(t, "2026-11-20T15:30:00Z")) < 45*24*time.Hour {
		t.Error("exp is less than 45 days ahead")
	}
	_, exp = typ.Technical(instant(t, "2029-11-20T10:00:00Z"), day(t, "2029-11-20"))
	if got := exp.Format(time.RFC3339); got != "2029-11-20T15:00:00Z" {
		t.Errorf("exp on the last day = %s", got)
	}
}

func TestRegionCodes(t *testing.T) {
	if SidoCode("1199010100") != "11" || SigunguCode("1199010100") != "11990" {
		t.Error("prefixes of a legal-dong code")
	}
	for _, bad := range []string{"", "119901010", "11990101000", "119901010a", "１１99010100"} {
		if SidoCode(bad) != "" || SigunguCode(bad) != "" {
			t.Errorf("%q gives a region", bad)
		}
	}
}
