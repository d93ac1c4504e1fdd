package schemas

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

func TestEmbedded(t *testing.T) {
	var names []string
	for _, typ := range All() {
		names = append(names, typ.Name)
		if got, ok := Lookup(typ.VCT); !ok || got != typ {
			t.Errorf("Lookup(%q) = %v, %v", typ.VCT, got, ok)
		}
		if got, ok := Lookup(typ.DocType); !ok || got != typ {
			t.Errorf("Lookup(%q) = %v, %v", typ.DocType, got, ok)
		}
		if got, ok := Lookup(typ.Name); !ok || got != typ {
			t.Errorf("Lookup(%q) = %v, %v", typ.Name, got, ok)
		}
		if typ.Digest() != sha256.Sum256(typ.TypeMetadata()) {
			t.Errorf("%s: digest is not that of the bytes served", typ.Name)
		}
		if got, ok := ByDigest(typ.Digest()); !ok || got != typ {
			t.Errorf("ByDigest(%s) = %v, %v", typ.Name, got, ok)
		}
	}
	if want := []string{"customs-identity", "resident-id", "youth-eligibility"}; !slices.Equal(names, want) {
		t.Errorf("types %v, want %v", names, want)
	}
	for _, unknown := range []string{"", "resident", "urn:dojang:kr:resident-id:2", "kr.dojang.residentid", "Resident-ID"} {
		if got, ok := Lookup(unknown); ok {
			t.Errorf("Lookup(%q) = %v", unknown, got.Name)
		}
	}
}

func TestNames(t *testing.T) {
	tests := []struct{ name, vct, docType string }{
		{"resident-id", "urn:dojang:kr:resident-id:1", "kr.dojang.residentid.1"},
		{"youth-eligibility", "urn:dojang:kr:youth-eligibility:1", "kr.dojang.youtheligibility.1"},
		{"customs-identity", "urn:dojang:kr:customs-identity:1", "kr.dojang.customsidentity.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := VCT(tt.name, 1); got != tt.vct {
				t.Errorf("VCT = %q, want %q", got, tt.vct)
			}
			if got := DocType(tt.name, 1); got != tt.docType {
				t.Errorf("DocType = %q, want %q", got, tt.docType)
			}
			name, major, err := ParseVCT(tt.vct)
			if err != nil || name != tt.name || major != 1 {
				t.Errorf("ParseVCT = %q, %d, %v", name, major, err)
			}
			typ, _ := Lookup(tt.name)
			if typ.Namespace != tt.docType {
				t.Errorf("namespace %q", typ.Namespace)
			}
		})
	}
	for _, bad := range []string{
		"", "urn:dojang:kr:resident-id", "urn:dojang:kr:resident-id:", "urn:dojang:kr:resident-id:0", "urn:dojang:kr:resident-id:01",
		"urn:dojang:kr:resident-id:+1", "urn:dojang:kr:-id:1", "urn:dojang:kr:a--b:1", "urn:dojang:kr:Resident:1",
		"urn:dojang:us:resident-id:1", "urn:dojang:kr:resident-id:1:2", "urn:dojang:kr:resident-id:1000", "urn:dojang:kr::1",
	} {
		if _, _, err := ParseVCT(bad); err == nil {
			t.Errorf("ParseVCT(%q) accepted", bad)
		}
	}
}

// What DOMAIN 3.0-3.4 says about each claim; the data is compared with it so that an edit of the data is seen.
func TestClasses(t *testing.T) {
	envelope := "vct iss issuing_authority issuing_country date_of_issuance date_of_expiry nbf exp cnf status schema_version"
	want := map[string]map[Class]string{
		"resident-id": {
			Mandatory: envelope,
			Optional: "issuing_jurisdiction document_number evidence family_name given_name name name_latin birthdate sex nationalities address " +
				"address.formatted address.region address.locality address.postal_code address.legal_dong_code address_registered_on picture",
			Derived: "age_over_14 age_over_18 age_over_19 age_over_65 age_as_of age_rule resident_sido_code resident_sigungu_code pairwise_id",
		},
		"youth-eligibility": {
			Mandatory: envelope + " program_id round reference_date eligible",
			Optional: "issuing_jurisdiction document_number evidence criteria criteria[] applied_sigungu_code employment_state weekly_hours_band " +
				"contract_months_band household_size education_final_done",
			Derived: "resident_sido_code age_band_youth income_band income_basis_year premium_le_150 insurance_type",
			Legal:   "program_nullifier",
			Never:   "birthdate name account_number",
		},
		"customs-identity": {
			Mandatory: envelope + " issued_on valid_until self_suspended",
			Optional: "issuing_jurisdiction document_number evidence pccc name name_latin phone_number delivery_postal_codes delivery_postal_codes[] " +
				"nationality_kind reissue_count_year",
			Derived: "delivery_postal_match renewal_window",
		},
	}
	everywhere := strings.Fields("rrn rrn_full rrn_back rrn_hash ci biometric_template remarks")
	for name, classes := range want {
		t.Run(name, func(t *testing.T) {
			typ, _ := Lookup(name)
			got := make(map[Class][]string)
			for _, c := range typ.Claims {
				if c.Class == Mandatory && c.SD != SDNever || c.Class == Never && c.SD != "" {
					t.Errorf("%s: class %s with sd %q", c.Path, c.Class, c.SD)
				}
				if inside := c.SD == SDNever && c.Class != Mandatory; inside {
					continue // a member of a Disclosure
				}
				got[c.Class] = append(got[c.Class], c.Path)
			}
			for _, class := range []Class{Mandatory, Optional, Derived, Legal} {
				if diff := cmp.Diff(sorted(strings.Fields(classes[class])), sorted(got[class])); diff != "" {
					t.Errorf("class %s (-DOMAIN +data):\n%s", class, diff)
				}
			}
			for _, p := range append(strings.Fields(classes[Never]), everywhere...) {
				if c, _ := typ.Claim(p); c.Class != Never || c.Label.Ko == "" || c.Label.En == "" {
					t.Errorf("%s is not class X with a label", p)
				}
			}
		})
	}
}

func sorted(s []string) []string {
	out := append([]string{}, s...)
	slices.Sort(out)
	return out
}

func TestDisclosable(t *testing.T) {
	resident, _ := Lookup("resident-id")
	for path, want := range map[string]bool{
		"name": true, "address": true, "address.region": true, "vct": false, "issuing_authority": false,
		"evidence": true, "evidence[].document": false, "rrn": false, "unknown": false,
	} {
		if got := resident.Disclosable(path); got != want {
			t.Errorf("Disclosable(%q) = %v", path, got)
		}
	}
}

// A foreign wallet reads the served bytes with the draft's shape: vct, display and claims with locale, path, sd.
func TestTypeMetadataShape(t *testing.T) {
	for _, typ := range All() {
		var m struct {
			VCT     string `json:"vct"`
			Display []struct {
				Locale, Name string
			} `json:"display"`
			Claims []struct {
				Path    []any
				Display []struct{ Locale, Label string }
				SD      string `json:"sd"`
			} `json:"claims"`
		}
		if err := json.Unmarshal(typ.TypeMetadata(), &m, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatalf("%s: %v", typ.Name, err)
		}
		if m.VCT != typ.VCT || len(m.Display) != 2 || m.Display[0].Name == "" {
			t.Errorf("%s: vct %q, %d displays", typ.Name, m.VCT, len(m.Display))
		}
		for _, c := range m.Claims {
			path := FormatPath(c.Path)
			if diff := cmp.Diff(c.Path, SplitPath(path)); diff != "" {
				t.Errorf("%s: SplitPath(%q): %s", typ.Name, path, diff)
			}
			if (c.SD != "always" && c.SD != "never") || len(c.Display) != 2 {
				t.Errorf("%s: %s: sd %q", typ.Name, path, c.SD)
			}
		}
	}
}

func TestFormatPath(t *testing.T) {
	tests := []struct {
		name string
		in   []any
		want string
	}{
		{"nested", []any{"address", "region"}, "address.region"},
		{"all elements", []any{"delivery_postal_codes", nil}, "delivery_postal_codes[]"},
		{"one element falls into the same class", []any{"criteria", float64(0), "result"}, "criteria[].result"},
		{"empty", nil, ""},
		{"dot smuggled in", []any{"address.region"}, ""},
		{"bracket smuggled in", []any{"criteria[]"}, ""},
		{"empty member", []any{"address", ""}, ""},
		{"starts with an index", []any{nil, "a"}, ""},
		{"boolean", []any{"a", true}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := FormatPath(tt.in); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
