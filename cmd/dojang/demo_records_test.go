package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/issuer/records"
)

// TestDemoOnAnyDay: what the demo's agencies know covers the day on which it is run, and the shop asks for the round of that day.
func TestDemoOnAnyDay(t *testing.T) {
	day := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, tt := range []struct{ now, round, last, customs string }{
		{"2026-11-22T00:00:00Z", "2026-2", "2026-12-31", "2027-03-02"},
		{"2026-12-31T14:59:59Z", "2026-2", "2026-12-31", "2027-03-02"}, // the last second in Korea
		{"2026-12-31T15:00:00Z", "2027-1", "2027-06-30", "2027-03-02"},
		{"2027-03-01T00:00:00Z", "2027-1", "2027-06-30", "2027-03-02"},
		{"2027-03-02T15:00:00Z", "2027-1", "2027-06-30", "2028-03-02"},
		{"2031-07-01T00:00:00Z", "2031-2", "2031-12-31", "2032-03-02"},
	} {
		now := day(tt.now)
		round, _, _ := demoRound(now)
		seoul, err := demoRecords("seoul.csv", now)
		customs, cerr := demoRecords("customs.csv", now)
		if err := errors.Join(err, cerr); err != nil {
			t.Fatal(err)
		}
		if round != tt.round || bytes.Count(seoul, []byte(","+tt.last+",SEOUL-YA,"+tt.round+",")) != 3 {
			t.Errorf("%s: round %s\n%s", tt.now, round, seoul)
		}
		if line := strings.Split(string(customs), "\n")[1]; !strings.Contains(line, tt.customs) {
			t.Errorf("%s: %s", tt.now, line)
		}
		for typ, file := range map[string][]byte{"youth-eligibility": seoul, "customs-identity": customs} {
			if rows, _, err := records.ParseCSV(file, typ); err != nil || len(rows) != 3 {
				t.Errorf("%s %s: %d rows, %v", tt.now, typ, len(rows), err)
			}
		}
	}
	for _, name := range []string{"seoul.csv", "customs.csv", "gaon.csv"} { // until they are over, the files are as they are
		raw, err := demoRecords(name, day("2026-11-22T00:00:00Z"))
		file, rerr := issuertest.Data.ReadFile("data/" + name)
		if err != nil || rerr != nil || !bytes.Equal(raw, file) {
			t.Errorf("%s is changed: %v", name, errors.Join(err, rerr))
		}
	}
}
