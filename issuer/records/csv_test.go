package records

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/korean"
)

const residents = "관리번호,성,이름,로마자성명,생년월일,성별,국적,주소,우편번호\r\nhan-gaon,한,가온,HAN GAON,1998-07-04,여,KR,\"서울특별시 가온구 새빛로 12, 301호\",00012\r\n"

func TestParseCSV(t *testing.T) {
	want := []Row{{Person: "han-gaon", Record: Record{
		Claims: map[string]any{
			"family_name": "한", "given_name": "가온", "name_latin": "HAN GAON", "birthdate": "1998-07-04", "sex": 2.0, "nationalities": []any{"KR"},
			"address": map[string]any{"formatted": "서울특별시 가온구 새빛로 12, 301호", "postal_code": "00012"},
		},
		Inputs: map[string]string{},
	}}}
	cp949, err := korean.EUCKR.NewEncoder().String(residents)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"UTF-8": residents, "UTF-8 with byte order mark": "\ufeff" + residents, "CP949": cp949} {
		t.Run(name, func(t *testing.T) {
			rows, problems, err := ParseCSV([]byte(file), "resident-id")
			if err != nil || len(problems) != 0 {
				t.Fatal(problems, err)
			}
			if diff := cmp.Diff(want, rows); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("decomposed Hangul is composed", func(t *testing.T) {
		rows, _, err := ParseCSV([]byte("관리번호,성\na,\u1112\u1161\u11ab\n"), "resident-id")
		if err != nil || rows[0].Record.Claims["family_name"] != "한" {
			t.Error(rows, err)
		}
	})
}

func TestProblems(t *testing.T) {
	for _, tc := range []struct {
		name, typ, file string
		want            []Problem
	}{
		{"codes", "resident-id", "관리번호,성별\na,여자\n", []Problem{{1, "sex", "code"}}},
		{"numbers", "youth-eligibility", "관리번호,가구원수\na,01\nb,1.5\nc,일\n", []Problem{{1, "household_size", "number"}, {2, "household_size", "number"}, {3, "household_size", "number"}}},
		{"booleans", "customs-identity", "관리번호,사용정지\na,true\n", []Problem{{1, "self_suspended", "bool"}}},
		{"phones", "customs-identity", "관리번호,휴대전화\na,02-0000-1234\n", []Problem{{1, "phone_number", "phone"}}},
		{"people", "resident-id", "관리번호,성\n,한\na b,한\na,한\na,한\n", []Problem{{1, "", "person"}, {2, "", "person"}, {4, "", "duplicate"}}},
		{"J21 resident numbers", "resident-id", "관리번호,성\na,980704" + "2345678\n", []Problem{{1, "family_name", "resident_number"}}},
		{"J20 control characters", "resident-id", "관리번호,성\na,\"한\t\x1b[31m\"\n", []Problem{{1, "family_name", "control"}}},
		{"long cells", "resident-id", "관리번호,성\na," + strings.Repeat("한", 2000) + "\n", []Problem{{1, "family_name", "too_long"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rows, problems, err := ParseCSV([]byte(tc.file), tc.typ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, problems); diff != "" {
				t.Error(diff)
			}
			for _, p := range problems {
				if rows[p.Row-1].Person != "" {
					t.Errorf("row %d has a problem and a person", p.Row)
				}
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	for name, file := range map[string]string{
		"empty":            "",
		"header only":      "관리번호,성\n",
		"unknown column":   "관리번호,비고\na,b\n",
		"column twice":     "관리번호,성,성\na,b,c\n",
		"no person column": "성\n한\n",
		"UTF-16":           "\xfe\xff\x00a",
		"NUL":              "관리번호,성\na,\x00\n",
		"no encoding":      "관리번호,성\na,\xff\xff\xff\n",
		"ragged":           "관리번호,성\na\n",
		"bare quote":       "관리번호,성\na,b\"c\n",
		"too large":        "관리번호,성\n" + strings.Repeat("a,b\n", 3<<20),
		"columns":          strings.Repeat("성,", 70) + "관리번호\n",
	} {
		t.Run(name, func(t *testing.T) {
			if rows, _, err := ParseCSV([]byte(file), "resident-id"); !errors.Is(err, ErrFile) || rows != nil {
				t.Errorf("%d rows, %v", len(rows), err)
			}
		})
	}
	if _, _, err := ParseCSV([]byte(residents), "other"); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
}

func TestMapping(t *testing.T) {
	for name, text := range map[string]string{
		"unknown member": `{"person":"a","columns":[{"header":"b","claim":"c"}],"x":1}`,
		"both":           `{"person":"a","columns":[{"header":"b","claim":"c","input":"d"}]}`,
		"neither":        `{"person":"a","columns":[{"header":"b"}]}`,
		"no person":      `{"columns":[{"header":"b","claim":"c"}]}`,
		"no columns":     `{"person":"a","columns":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ParseMapping([]byte(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func FuzzParseCSV(f *testing.F) {
	f.Add([]byte(residents))
	f.Add([]byte("\ufeff관리번호,성\na,\"b\nc\"\n"))
	f.Add([]byte{0xb0, 0xfc, 0xb8, 0xae, '\n'})
	f.Fuzz(func(t *testing.T, file []byte) {
		rows, problems, err := ParseCSV(file, "resident-id")
		if err != nil && (rows != nil || problems != nil) {
			t.Error("rows beside an error")
		}
		bad := map[int]bool{}
		for _, p := range problems {
			if p.Row < 1 || p.Row > len(rows) || p.Rule == "" {
				t.Errorf("problem %+v of %d rows", p, len(rows))
			}
			bad[p.Row] = true
		}
		seen := map[string]bool{}
		for i, r := range rows {
			if bad[i+1] != (r.Person == "") {
				t.Error("a person in a bad row, or none in a good one")
			}
			if r.Person != "" && (!ValidPerson(r.Person) || seen[r.Person]) {
				t.Error("bad or doubled person")
			}
			seen[r.Person] = true
		}
	})
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte(`{"person":"a","columns":[{"header":"b","claim":"c"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := ParseMapping(text); err == nil && (m.Person == "" || len(m.Columns) == 0) {
			t.Error("a mapping without person or columns")
		}
	})
}
