package schemas

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const maxDocument = 64 << 10 // bytes of one JSON document of a type

// metadataJSON is the part of the type metadata that we rely on; display.rendering is the wallets' business.
type metadataJSON struct {
	VCT         string         `json:"vct"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Display     jsontext.Value `json:"display"`
	Claims      []struct {
		Path    []any `json:"path"`
		Display []struct {
			Locale string `json:"locale"`
			Label  string `json:"label"`
		} `json:"display"`
		Mandatory bool  `json:"mandatory"`
		SD        SD    `json:"sd"`
		Class     Class `json:"dojang_class"` // our extension; other readers ignore it
	} `json:"claims"`
}

// claimJSON is what dojang.json and envelope.json add to a claim.
type claimJSON struct {
	Path      string   `json:"path"`
	Class     Class    `json:"class"`
	Label     Text     `json:"label,omitzero"` // class X, which the metadata does not show
	Reserved  bool     `json:"reserved,omitzero"`
	Legal     []string `json:"legal,omitzero"`
	Mdoc      string   `json:"mdoc,omitzero"`
	Sensitive bool     `json:"sensitive,omitzero"`
}

type envelopeJSON struct {
	Claims   []claimJSON `json:"claims"`
	Reserved []string    `json:"reserved"` // further names that only the signing step may use
	Never    []claimJSON `json:"never"`
	Rules    []Rule      `json:"rules"`
}

type typeJSON struct {
	Name       string             `json:"name"`
	Major      int                `json:"major"`
	Version    string             `json:"version"`
	DocType    string             `json:"doctype"`
	Label      Text               `json:"label"`
	Claims     []claimJSON        `json:"claims"`
	Validity   Validity           `json:"validity"`
	Renewal    Renewal            `json:"renewal"`
	Batch      int                `json:"batch"`
	Assurance  Assurance          `json:"assurance"`
	LegalBases []LegalBasis       `json:"legal_bases"`
	Bands      map[string]AgeBand `json:"bands,omitzero"`
	Rules      []Rule             `json:"rules"`
}

// Load reads envelope.json and every type folder of fsys, strictly. Errors name the file and what is wrong with it.
func Load(fsys fs.FS) ([]*Type, error) {
	var env envelopeJSON
	if _, err := readJSON(fsys, "envelope.json", &env); err != nil {
		return nil, err
	}
	names, err := fs.Glob(fsys, "*/dojang.json")
	if err != nil {
		return nil, fmt.Errorf("schemas: list types: %w", err)
	}
	var types []*Type
	for _, name := range names {
		t, err := loadType(fsys, path.Dir(name), env)
		if err != nil {
			return nil, fmt.Errorf("schemas: %s: %w", path.Dir(name), err)
		}
		types = append(types, t)
	}
	slices.SortFunc(types, func(a, b *Type) int { return strings.Compare(a.VCT, b.VCT) })
	return types, nil
}

func loadType(fsys fs.FS, dir string, env envelopeJSON) (*Type, error) {
	var d typeJSON
	if _, err := readJSON(fsys, dir+"/dojang.json", &d); err != nil {
		return nil, err
	}
	var m metadataJSON
	metadata, err := readJSON(fsys, dir+"/type-metadata.json", &m)
	if err != nil {
		return nil, err
	}
	t := &Type{
		Name: d.Name, Major: d.Major, Version: d.Version, VCT: m.VCT, DocType: d.DocType, Namespace: d.DocType,
		Label: d.Label, Validity: d.Validity, Renewal: d.Renewal, Batch: d.Batch, Assurance: d.Assurance,
		LegalBases: d.LegalBases, Bands: d.Bands,
		source: &source{metadata: metadata, digest: sha256.Sum256(metadata), reserved: make(map[string]bool), order: make(map[string]int)},
	}
	if err := t.checkNames(dir); err != nil {
		return nil, err
	}
	if err := t.addClaims(m, d, env); err != nil {
		return nil, err
	}
	t.rules = append(slices.Clone(env.Rules), d.Rules...)
	for _, r := range t.rules {
		if err := r.check(t); err != nil {
			return nil, err
		}
	}
	if t.schema, err = fs.ReadFile(fsys, dir+"/schema.json"); err != nil {
		return nil, fmt.Errorf("read schema.json: %w", err)
	}
	if t.compiled, err = compileSchema(t.schema); err != nil {
		return nil, fmt.Errorf("schema.json: %w", err)
	}
	return t, nil
}

// checkNames: the folder, the vct and the docType say the same name, and what must be said is said.
func (t *Type) checkNames(dir string) error {
	name, major, err := ParseVCT(t.VCT)
	switch {
	case err != nil || name != t.Name || name != dir || major != t.Major:
		return errors.New("vct, name, major and folder differ")
	case t.DocType != DocType(t.Name, t.Major):
		return errors.New("doctype is not the one of the naming function")
	case t.Label.Ko == "" || t.Label.En == "" || t.Renewal.Code == "" || t.Renewal.Text.Ko == "" || t.Renewal.Text.En == "":
		return errors.New("label or renewal text is missing")
	case t.Batch < 1 || t.Batch > 100 || t.Validity.MinExpDays < 45:
		return errors.New("batch or min_exp_days is out of range")
	case !t.Validity.FromRecord && t.Validity.Years == 0 && t.Validity.Days == 0:
		return errors.New("no rule for the last valid day")
	}
	return nil
}

// addClaims joins the metadata with the classes of the type and of the envelope; both must agree on every path.
func (t *Type) addClaims(m metadataJSON, d typeJSON, env envelopeJSON) error {
	ours := make(map[string]claimJSON)
	for _, c := range slices.Concat(env.Claims, env.Never, d.Claims) {
		ours[c.Path] = c // a type may restate what the envelope says
	}
	for _, c := range m.Claims {
		p := FormatPath(c.Path)
		o, known := ours[p]
		if p == "" || !known || t.has(p) {
			return fmt.Errorf("type-metadata.json: path %q has no class, or stands twice", p)
		}
		claim := Claim{
			Path: p, Class: c.Class, SD: c.SD, Required: c.Mandatory, Reserved: o.Reserved,
			Legal: o.Legal, Mdoc: o.Mdoc, Sensitive: o.Sensitive,
		}
		for _, l := range c.Display {
			switch l.Locale {
			case "ko-KR":
				claim.Label.Ko = l.Label
			case "en-US":
				claim.Label.En = l.Label
			}
		}
		if claim.Mdoc == "" && !strings.ContainsAny(p, ".[") && !o.Reserved {
			claim.Mdoc = p
		}
		if err := t.checkClaim(claim, o); err != nil {
			return fmt.Errorf("claim %q: %w", p, err)
		}
		t.add(claim)
	}
	for _, c := range slices.Concat(d.Claims, env.Never) {
		if c.Class == Never && !t.has(c.Path) {
			t.add(Claim{Path: c.Path, Label: c.Label, Class: Never})
		}
	}
	for p, c := range ours {
		if !t.has(p) || c.Class == Never && (c.Label.Ko == "" || c.Label.En == "") {
			return fmt.Errorf("claim %q: not in the type metadata, or class X without a label", p)
		}
	}
	for _, name := range env.Reserved {
		t.reserved[name] = true
	}
	return nil
}

// checkClaim: M stands in clear, every other class is disclosable by itself or inside of a disclosable parent.
func (t *Type) checkClaim(c Claim, ours claimJSON) error {
	switch {
	case c.Class != ours.Class || c.Class == Never:
		return errors.New("dojang_class and class differ, or class X in the type metadata")
	case c.Label.Ko == "" || c.Label.En == "":
		return errors.New("label in ko-KR or en-US is missing")
	case (c.Class == Legal) != (len(c.Legal) > 0):
		return errors.New("class L and legal-basis codes belong together")
	case c.Class == Mandatory && c.SD != SDNever, c.SD != SDNever && c.SD != SDAlways:
		return errors.New("sd does not fit the class")
	case c.Class != Mandatory && c.SD == SDNever && !t.hasDisclosableParent(c.Path):
		return errors.New("sd never outside of a disclosable parent")
	}
	for _, code := range c.Legal {
		if !slices.ContainsFunc(t.LegalBases, func(l LegalBasis) bool { return l.Code == code }) {
			return errors.New("legal-basis code is not among legal_bases")
		}
	}
	return nil
}

func (t *Type) hasDisclosableParent(p string) bool {
	return slices.ContainsFunc(t.Claims, func(c Claim) bool { return c.SD == SDAlways && below(p, c.Path) })
}

// below reports whether p lies strictly under parent: "a.b" and "a[]" under "a".
func below(p, parent string) bool {
	return len(p) > len(parent) && p[:len(parent)] == parent && (p[len(parent)] == '.' || p[len(parent)] == '[')
}

func (t *Type) has(p string) bool {
	_, ok := t.order[p]
	return ok
}

func (t *Type) add(c Claim) {
	t.order[c.Path] = len(t.Claims)
	t.Claims = append(t.Claims, c)
	if c.Reserved {
		t.reserved[c.Path] = true
	}
}

// readJSON decodes one document: unknown members, duplicates and trailing data are errors.
func readJSON(fsys fs.FS, name string, v any) ([]byte, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Base(name), err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("%s: larger than %d bytes", path.Base(name), maxDocument)
	}
	if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path.Base(name), err)
	}
	return data, nil
}
