package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/schemas"
)

// The agencies' files are of November 2026. The demo is run on any day: rounds that are over are followed by the present one, and
// customs codes that have run out are those of this year. Until then the files are as they are.

// demoRound is the youth programme's round of a day: two a year.
func demoRound(now time.Time) (round, begin, last string) {
	year, month, _ := now.In(schemas.KST).Date()
	if month <= time.June {
		return fmt.Sprintf("%d-1", year), fmt.Sprintf("%d-01-01", year), fmt.Sprintf("%d-06-30", year)
	}
	return fmt.Sprintf("%d-2", year), fmt.Sprintf("%d-07-01", year), fmt.Sprintf("%d-12-31", year)
}

// demoRecords is an agency's own file, as of a day.
func demoRecords(name string, now time.Time) ([]byte, error) {
	raw, err := issuertest.Data.ReadFile("data/" + name)
	if err != nil {
		return nil, err
	}
	switch name {
	case "seoul.csv":
		if round, begin, last := demoRound(now); last > "2026-12-31" {
			raw = bytes.ReplaceAll(raw, []byte(",2026-12-31,SEOUL-YA,2026-2,2026-11-20,"), fmt.Appendf(nil, ",%s,SEOUL-YA,%s,%s,", last, round, begin))
		}
	case "customs.csv":
		today := schemas.DateOf(now).String()
		raw = customsYears.ReplaceAllFunc(raw, func(m []byte) []byte {
			d := customsYears.FindSubmatch(m)
			issued, _ := strconv.Atoi(string(d[1])) //nolint:errcheck // four digits
			ends, _ := strconv.Atoi(string(d[3]))   //nolint:errcheck // four digits
			for ; fmt.Sprintf("%d%s", ends, d[4]) < today; ends++ {
				issued++
			}
			return fmt.Appendf(nil, ",%d%s,%d%s,", issued, d[2], ends, d[4])
		})
	}
	return raw, nil
}

var customsYears = regexp.MustCompile(`,(\d{4})(-\d\d-\d\d),(\d{4})(-\d\d-\d\d),`)
