package schemas

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromText(t *testing.T) {
	resident, _ := Lookup("resident-id")
	claims, found := resident.FromText(map[string]string{
		"issuing_authority": "가온구청장 / Mayor of Gaon-gu", "issuing_country": "KR", "date_of_issuance": "2026-11-21", "date_of_expiry": "2029-11-20",
		"family_name": "한", "given_name": "가온", "birthdate": "1998-07-04", "sex": "2", "nationalities": "KR", "picture": "",
		"address.formatted": "서울특별시 가온구 새빛로 12, 301호", "address.legal_dong_code": "1199010100", "age_over_19": "true",
	})
	if len(found) != 0 {
		t.Fatalf("violations %+v", found)
	}
	if diff := cmp.Diff(map[string]any{"formatted": "서울특별시 가온구 새빛로 12, 301호", "legal_dong_code": "1199010100"}, claims["address"]); diff != "" {
		t.Error(diff)
	}
	if claims["sex"] != int64(2) || claims["age_over_19"] != true || claims["picture"] != nil {
		t.Errorf("sex %v, age_over_19 %v", claims["sex"], claims["age_over_19"])
	}
	if found := resident.Validate(resident.Complete(claims)); len(found) != 0 {
		t.Errorf("violations %+v", found)
	}

	customs, _ := Lookup("customs-identity")
	claims, found = customs.FromText(map[string]string{"delivery_postal_codes": "00012; 00041", "reissue_count_year": "1", "self_suspended": "false"})
	if diff := cmp.Diff([]any{"00012", "00041"}, claims["delivery_postal_codes"]); diff != "" || len(found) != 0 {
		t.Error(diff, found)
	}

	tests := []struct {
		name, path, text, claim, rule string
	}{
		{"unknown column", "shoe_size", "250", "shoe_size", "unknown"},
		{"unknown column whose name is data", "한가온", "250", "", "unknown"},
		{"class X", "rrn", "971013-9019902", "rrn", "forbidden"},
		{"reserved", "exp", "1", "exp", "reserved"},
		{"below a text", "name.x", "1", "", "unknown"},
		{"boolean", "age_over_19", "TRUE", "age_over_19", "type"},
		{"number", "sex", "02", "sex", "type"},
		{"number with a sign", "sex", "+2", "sex", "type"},
		{"object as text", "address", "somewhere", "address", "type"},
		{"array of objects", "evidence", "x", "evidence", "type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, found := resident.FromText(map[string]string{tt.path: tt.text})
			if len(claims) != 0 {
				t.Error("a claim was made of it")
			}
			refused(t, found, tt.claim, tt.rule)
		})
	}
}
