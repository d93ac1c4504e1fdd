package schemas

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// A specimen is a file of specimens/: a valid one holds claims, an invalid one changes a valid one and declares what is wrong.
type specimen struct {
	Person string         `json:"person"`
	Claims map[string]any `json:"claims"`
	Base   string         `json:"base"`
	Why    string         `json:"why"`
	Set    map[string]any `json:"set"`
	Unset  []string       `json:"unset"`
	Expect *struct {
		Claim string `json:"claim"`
		Rule  string `json:"rule"`
	} `json:"expect"`
}

func readSpecimen(t *testing.T, folder, name string) specimen {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "specimens", name))
	if err != nil {
		t.Fatal(err)
	}
	var s specimen
	if err := json.Unmarshal(data, &s, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if s.Base != "" {
		s.Claims = merge(readSpecimen(t, folder, s.Base+".json").Claims, s.Set)
		for _, name := range s.Unset {
			delete(s.Claims, name)
		}
	}
	return s
}

// merge lays objects over objects; everything else replaces.
func merge(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	for name, v := range over {
		inner, ok1 := v.(map[string]any)
		below, ok2 := out[name].(map[string]any)
		if ok1 && ok2 {
			v = merge(below, inner)
		}
		out[name] = v
	}
	return out
}

func TestSpecimens(t *testing.T) {
	for _, typ := range All() {
		files, err := filepath.Glob(filepath.Join(typ.Name, "specimens", "*.json"))
		if err != nil || len(files) < 10 {
			t.Fatalf("%s: %d specimens, %v", typ.Name, len(files), err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			t.Run(typ.Name+"/"+strings.TrimSuffix(name, ".json"), func(t *testing.T) {
				s := readSpecimen(t, typ.Name, name)
				found := typ.Validate(s.Claims)
				if valid := strings.HasPrefix(name, "valid-"); valid != (s.Expect == nil) {
					t.Fatal("name and declaration differ")
				}
				if s.Expect == nil {
					if len(found) != 0 {
						t.Fatalf("violations %+v", found)
					}
					// What can be computed is computed to the same value.
					if again := typ.Validate(typ.Complete(s.Claims)); len(again) != 0 {
						t.Fatalf("after Complete: %+v", again)
					}
					return
				}
				if len(found) != 1 || found[0].Claim != s.Expect.Claim || found[0].Rule != s.Expect.Rule {
					t.Fatalf("violations %+v, want exactly %+v", found, *s.Expect)
				}
				if found[0].Text.Ko == "" || found[0].Text.En == "" || strings.ContainsAny(found[0].Text.Ko+found[0].Text.En, "{}") {
					t.Errorf("text %+v", found[0].Text)
				}
			})
		}
	}
}

func TestComplete(t *testing.T) {
	typ, _ := Lookup("resident-id")
	full := readSpecimen(t, "resident-id", "valid-han-gaon.json").Claims
	record := maps.Clone(full)
	for _, derived := range []string{"name", "schema_version", "age_over_14", "age_over_18", "age_over_19", "age_over_65", "age_as_of", "age_rule", "resident_sido_code", "resident_sigungu_code"} {
		delete(record, derived)
	}
	got := typ.Complete(record)
	for name, want := range full {
		if !equal(got[name], want) && name != "nationalities" {
			t.Errorf("%s differs from the specimen", name)
		}
	}
	if _, touched := record["name"]; touched {
		t.Error("Complete changed its argument")
	}
	if found := typ.Validate(got); len(found) != 0 {
		t.Errorf("violations %+v", found)
	}
}
