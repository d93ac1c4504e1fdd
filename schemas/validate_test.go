package schemas

import (
	"encoding/json"
	"errors"
	"maps"
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

func han(t *testing.T) (*Type, map[string]any) {
	typ, _ := Lookup("resident-id")
	return typ, maps.Clone(readSpecimen(t, "resident-id", "valid-han-gaon.json").Claims)
}

// refused asserts exactly one violation, and that no text holds the value.
func refused(t *testing.T, found []Violation, claim, rule string) {
	t.Helper()
	if len(found) != 1 || found[0].Claim != claim || found[0].Rule != rule {
		t.Fatalf("violations %+v, want %s of %q", found, rule, claim)
	}
}

func TestValidateHostile(t *testing.T) {
	deep := any("x")
	for range 50 {
		deep = []any{deep}
	}
	wide := make([]any, 5000)
	for i := range wide {
		wide[i] = "x"
	}
	tests := []struct {
		name        string
		claim       string
		value       any
		path, broke string
	}{
		{"B69 _sd", "_sd", []any{"x"}, "", "reserved"},
		{"B69 three dots", "...", "x", "", "reserved"},
		{"B69 _sd_alg", "_sd_alg", "sha-256", "_sd_alg", "reserved"},
		{"B69 cnf", "cnf", map[string]any{}, "cnf", "reserved"},
		{"B69 status", "status", map[string]any{}, "status", "reserved"},
		{"B69 iss", "iss", "did:example:x", "iss", "reserved"},
		{"B69 vct", "vct", "x", "vct", "reserved"},
		{"B69 exp", "exp", 1, "exp", "reserved"},
		{"B70 surprise claim", "favourite_colour", "blue", "favourite_colour", "unknown"},
		{"B70 surprise claim whose name is data", "971013-9019902", "x", "", "unknown"},
		{"B70 surprise nested claim", "address", map[string]any{"formatted": "x", "door": "3"}, "address.door", "unknown"},
		{"B70 surprise nested claim whose name is data", "address", map[string]any{"formatted": "x", "한가온": "3"}, "", "unknown"},
		{"B70 dotted name", "address.region", "x", "", "unknown"},
		{"B70 null", "sex", nil, "sex", "null"},
		{"B70 null inside of an object", "address", map[string]any{"formatted": nil}, "address.formatted", "null"},
		{"B70 null inside of an array", "nationalities", []any{nil}, "nationalities", "null"},
		{"B70 null under a name that is data", "address", map[string]any{"971013-9019902": nil}, "address", "null"},
		{"B70 wrong type", "name_latin", 5, "name_latin", "type"},
		{"B70 object for text", "name_latin", map[string]any{"a": "b"}, "name_latin", "type"},
		{"B70 nested arrays", "nationalities", []any{[]any{"KR"}}, "nationalities", "enum"},
		{"B70 a Go type that JSON does not have", "sex", struct{ X int }{1}, "sex", "type"},
		{"B70 NaN", "sex", math.NaN(), "sex", "type"},
		{"B70 number beyond float64", "sex", json.Number("1e400"), "sex", "type"},
		{"B70 number of a billion digits", "sex", json.Number("1e" + strings.Repeat("9", 40)), "sex", "type"},
		{"F16 deep instance", "nationalities", deep, "nationalities", "size"},
		{"F16 wide instance", "nationalities", wide, "nationalities", "size"},
		{"F16 long text", "name_latin", strings.Repeat("A", 1<<20), "name_latin", "size"},
		{"J21 resident number in a text", "issuing_authority", "가온구 971013-9019902", "issuing_authority", "resident_number"},
		{"J21 resident number in an array", "nationalities", []any{"9710139019902"}, "nationalities", "resident_number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ, claims := han(t)
			claims[tt.claim] = tt.value
			found := typ.Validate(claims)
			want := tt.path
			if want == "" && tt.broke == "reserved" {
				want = found[0].Claim // "_sd" and "..." are no paths of the type; only the rule counts
			}
			if want == "nationalities" && len(found) > 0 {
				found[0].Claim = strings.TrimRight(found[0].Claim, "[]")
			}
			refused(t, found, want, tt.broke)
			for _, secret := range []string{"971013", "9019902", "blue", "did:example", "door3"} {
				if strings.Contains(found[0].Text.Ko+found[0].Text.En+found[0].Claim, secret) {
					t.Errorf("the violation repeats the value")
				}
			}
		})
	}
	t.Run("no claims at all", func(t *testing.T) {
		typ, _ := han(t)
		if found := typ.Validate(nil); len(found) != 9 {
			t.Errorf("%d violations: %+v", len(found), found)
		}
	})
}

func TestResidentNumber(t *testing.T) {
	tests := []struct {
		name, text string
		want       bool
	}{
		{"J21 hyphen", "971013-9019902", true},
		{"J21 joined", "9710139019902", true},
		{"J21 in a sentence", "번호는 971013-9019902입니다", true},
		{"J21 no check digit enforced", "971013-9019903", true},
		{"J21 spaces around the hyphen", "971013 - 9019902", true},
		{"J21 other dashes", "971013–9019902", true},
		{"J21 full-width digits", "９７１０１３－９０１９９０２", true},
		{"J21 zero-width space", "971013\u200b9019902", true},
		{"J21 after another number", "301호 971013-9019902", true},
		{"J21 joined to a word", "RRN9710139019902x", true},
		{"J21 century digit 0", "000229-0123456", false}, // 1800 was not a leap year
		{"J21 29 February 2000", "000229-" + "3123456", true},
		{"J21 month 13", "971313-9019902", false},
		{"J21 day 32", "971032-9019902", false},
		{"J21 twelve digits", "97101390199", false},
		{"J21 fourteen digits", "97101390199021", false},
		{"J21 verification number of 16 digits", "0000-1111-2222-3333", false},
		{"J21 telephone", "+821000001234", false},
		{"J21 PCCC", "P990000000123", false},
		{"J21 legal-dong code", "1199010100", false},
		{"J21 a date and a time stamp", "2026-11-21T10:00:00", false},
		{"J21 four separators", "971013----9019902", false},
		{"J21 letter between", "971013x9019902", false},
		{"J21 nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := HasResidentNumber(tt.text); got != tt.want {
				t.Errorf("HasResidentNumber = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCheckRequestable(t *testing.T) {
	tests := []struct {
		name, typ  string
		paths      []string
		basis      []string
		code, path string
	}{
		{"derived and optional", "resident-id", []string{"age_over_19", "address.region"}, nil, "", ""},
		{"envelope", "resident-id", []string{"vct", "issuing_authority"}, nil, "", ""},
		{"class X of every type", "resident-id", []string{"name", "rrn_full"}, nil, CodeOverask, "rrn_full"},
		{"below class X", "resident-id", []string{"rrn.back"}, nil, CodeOverask, "rrn"},
		{"an element of class X", "resident-id", []string{"ci[]"}, nil, CodeOverask, "ci"},
		{"class X of this type", "youth-eligibility", []string{"birthdate"}, []string{"KR-SEOUL-YA-ONCE"}, CodeOverask, "birthdate"},
		{"unknown", "resident-id", []string{"age_over_21"}, nil, CodeOverask, ""},
		{"empty path", "resident-id", []string{""}, nil, CodeOverask, ""},
		{"class L without a basis", "youth-eligibility", []string{"eligible", "program_nullifier"}, nil, CodeLegalBasis, "program_nullifier"},
		{"class L with another basis", "youth-eligibility", []string{"program_nullifier"}, []string{"KR-FAY-3"}, CodeLegalBasis, "program_nullifier"},
		{"class L with the basis", "youth-eligibility", []string{"program_nullifier"}, []string{"KR-SEOUL-YA-ONCE"}, "", ""},
		{"class X before class L", "youth-eligibility", []string{"program_nullifier", "name"}, nil, CodeOverask, "name"},
		{"array elements", "customs-identity", []string{"delivery_postal_codes[]"}, nil, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			typ, _ := Lookup(tt.typ)
			err := typ.CheckRequestable(tt.paths, tt.basis)
			if tt.code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var r *Refusal
			if !errors.As(err, &r) || *r != (Refusal{tt.code, tt.path}) {
				t.Fatalf("%+v, want %s %s", err, tt.code, tt.path)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	registered := []string{"address", "name", "criteria[]"}
	for path, want := range map[string]bool{
		"address": true, "address.region": true, "name": true, "name_latin": false, "addresses": false,
		"criteria[]": true, "criteria[].result": true, "criteria": false, "": false,
	} {
		if got := Covers(registered, []string{path}); got != want {
			t.Errorf("Covers(%q) = %v", path, got)
		}
	}
	if !Covers(nil, nil) || Covers([]string{""}, []string{"name"}) {
		t.Error("nothing covers nothing, and only that")
	}
}

// A whole type in memory: the loader refuses what would otherwise fail while a citizen waits.
func typeFS(t *testing.T, change map[string][2]string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, name := range []string{"envelope.json", "youth-eligibility/dojang.json", "youth-eligibility/schema.json", "youth-eligibility/type-metadata.json"} {
		data, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if c, ok := change[name]; ok {
			if !strings.Contains(text, c[0]) {
				t.Fatalf("%s: the text to change is not there", name)
			}
			text = strings.Replace(text, c[0], c[1], 1)
		}
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestLoadRefuses(t *testing.T) {
	const y = "youth-eligibility/"
	tests := []struct {
		name, file, old, new, want string
	}{
		{"F16 remote reference", y + "schema.json", `{"type": "string", "format": "date"}`, `{"$ref": "https://example.com/x.json"}`, "reference"},
		{"F16 file reference", y + "schema.json", `{"type": "string", "format": "date"}`, `{"$ref": "file:///etc/passwd"}`, "reference"},
		{"F16 recursive reference", y + "schema.json", `{"type": "string", "format": "date"}`, `{"$ref": "#"}`, "reference"},
		{"F16 chain of definitions", y + "schema.json", `"type": "object",`, `"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]}, "b": {}}, "type": "object",`, "reference"},
		{"F16 dynamic reference", y + "schema.json", `{"type": "string", "format": "date"}`, `{"$dynamicRef": "#a"}`, "dynamic"},
		{"F16 nested document", y + "schema.json", `{"type": "string", "format": "date"}`, `{"$id": "https://example.com/x"}`, "nested"},
		{"F16 deep schema", y + "schema.json", `{"type": "string", "format": "date"}`, strings.Repeat(`{"not":`, 40) + "{}" + strings.Repeat("}", 40), "deep"},
		{"F16 pattern with a back reference", y + "schema.json", `^[A-Z0-9-]{1,32}$`, `^(a)\\1$`, "compile"},
		{"F16 pattern that repeats too often", y + "schema.json", `^[A-Z0-9-]{1,32}$`, `^(a{1000}){1000}$`, "compile"},
		{"F16 another draft", y + "schema.json", `draft/2020-12/schema`, `draft/2019-09/schema`, "2020-12"},
		{"class differs from the metadata", y + "dojang.json", `{"path": "criteria", "class": "O"}`, `{"path": "criteria", "class": "D"}`, "differ"},
		{"class X in the metadata", y + "type-metadata.json", `"path": ["employment_state"]`, `"path": ["rrn"]`, "class X"},
		{"claim without a class", y + "type-metadata.json", `"path": ["employment_state"]`, `"path": ["mood"]`, "no class"},
		{"claim twice", y + "type-metadata.json", `"path": ["employment_state"]`, `"path": ["weekly_hours_band"]`, "twice"},
		{"no Korean label", y + "type-metadata.json", `{"locale": "ko-KR", "label": "취업상태"}`, `{"locale": "ja-JP", "label": "x"}`, "label"},
		{"class L without a basis", y + "dojang.json", `"legal": ["KR-SEOUL-YA-ONCE"], `, ``, "class L"},
		{"unknown legal basis", y + "dojang.json", `"legal": ["KR-SEOUL-YA-ONCE"]`, `"legal": ["KR-X"]`, "legal_bases"},
		{"vct of another type", y + "type-metadata.json", "urn:dojang:kr:youth-eligibility:1", "urn:dojang:kr:resident-id:1", "differ"},
		{"another docType", y + "dojang.json", "kr.dojang.youtheligibility.1", "kr.dojang.youth.1", "naming function"},
		{"exp below 45 days", y + "dojang.json", `"min_exp_days": 45`, `"min_exp_days": 44`, "min_exp_days"},
		{"unknown member", y + "dojang.json", `"batch": 10`, `"batch": 10, "bach": 1`, "decode"},
		{"duplicate member", y + "dojang.json", `"batch": 10`, `"batch": 10, "batch": 10`, "decode"},
		{"unknown rule", y + "dojang.json", `"rule": "only_if"`, `"rule": "never_if"`, "does not exist"},
		{"rule over an unknown claim", y + "dojang.json", `"from": ["age_band_youth"]`, `"from": ["age_band"]`, "unknown claim"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			types, err := Load(typeFS(t, map[string][2]string{tt.file: {tt.old, tt.new}}))
			if err == nil || types != nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Load = %d types, %v, want an error about %q", len(types), err, tt.want)
			}
		})
	}
	if types, err := Load(typeFS(t, nil)); err != nil || len(types) != 1 {
		t.Fatalf("unchanged: %d types, %v", len(types), err)
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(`{"name":"한가온","address":{"formatted":"x"},"criteria":[{"criterion":"AGE"}]}`))
	f.Add([]byte(`{"delivery_postal_codes":["00012",null],"renewal_window":[],"eligible":1e999}`))
	f.Add([]byte(`{"valid_until":"2027-02-30","issued_on":{},"evidence":[[[]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var claims map[string]any
		if json.Unmarshal(data, &claims) != nil {
			return
		}
		for _, typ := range All() {
			for _, v := range typ.Validate(typ.Complete(claims)) {
				if v.Rule == "" || v.Text.Ko == "" || v.Text.En == "" || HasResidentNumber(v.Claim+" "+v.Text.En) {
					t.Fatalf("violation %+v", v)
				}
			}
		}
	})
}

func FuzzResidentNumber(f *testing.F) {
	f.Add("971013-9019902")
	f.Add("９７１０１３ 9019902")
	f.Fuzz(func(t *testing.T, s string) {
		if !HasResidentNumber(s + " 971013-9019902 " + s) {
			t.Fatal("a number was hidden by what stands around it")
		}
	})
}
