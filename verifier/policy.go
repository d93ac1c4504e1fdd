package verifier

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"gopkg.in/yaml.v3"

	"github.com/dojang-id/dojang/internal/oid4vp"
)

// A Policy is one question that a company may ask, as data: strict YAML (unknown keys refused) with CEL rules.
//
//	name, version, title{ko,en}   what it is called
//	purpose                       of the tenant's registration that must cover it
//	holder_binding                true unless said otherwise
//	cross_device, evidence        whether a request may be shown on another device; whether Evidence is asked for
//	registry_max_age              of key and accreditation facts
//	assurance, age{rule,date}     words that screens and receipts name
//	params                        values that rules read; a deployment may override those named here
//	credentials[]                 id, types, claims (paths), status{required, max_age, accept}
//	same_holder{by: key}          or {by: claims, claims: […]}: required with more than one credential (THREATS D28)
//	criteria[]                    name and CEL rule over claims.<id>.<claim>, params, today; the name goes into POLICY_FAILED
//
// Read-only after ParsePolicy.
type Policy struct {
	spec     policySpec
	text     []byte
	digest   [32]byte
	query    oid4vp.Query
	programs []cel.Program
}

type policySpec struct {
	Name           string            `yaml:"name"`
	Version        int               `yaml:"version"`
	Title          Text              `yaml:"title"`
	Purpose        string            `yaml:"purpose"`
	HolderBinding  *bool             `yaml:"holder_binding"`
	CrossDevice    bool              `yaml:"cross_device"`
	Evidence       bool              `yaml:"evidence"`
	RegistryMaxAge time.Duration     `yaml:"registry_max_age"`
	Assurance      []string          `yaml:"assurance"`
	Age            ageSpec           `yaml:"age"`
	Params         map[string]string `yaml:"params"`
	Credentials    []credentialSpec  `yaml:"credentials"`
	SameHolder     *sameHolderSpec   `yaml:"same_holder"`
	Criteria       []criterionSpec   `yaml:"criteria"`
}

type ageSpec struct {
	Rule string `yaml:"rule"`
	Date string `yaml:"date"`
}

type credentialSpec struct {
	ID     string     `yaml:"id"`
	Types  []string   `yaml:"types"`
	Claims [][]any    `yaml:"claims"`
	Status statusSpec `yaml:"status"`
}

type statusSpec struct {
	Required bool          `yaml:"required"`
	MaxAge   time.Duration `yaml:"max_age"`
	Accept   []string      `yaml:"accept"`
}

type sameHolderSpec struct {
	By     string   `yaml:"by"`
	Claims []string `yaml:"claims"`
}

type criterionSpec struct {
	Name string `yaml:"name"`
	Rule string `yaml:"rule"`
}

// Limits of a policy (THREATS D37).
const (
	maxPolicyBytes  = 64 << 10
	maxPolicyClaims = 64
	maxRuleBytes    = 1024
	maxRuleCost     = 10_000 // CEL cost units at run time
	maxAge          = 366 * 24 * time.Hour
)

//go:embed policies/*.yaml
var builtin embed.FS

// BuiltinPolicies are the embedded ones, by name, with params overridden by policy name (e.g. the round).
func BuiltinPolicies(params map[string]map[string]string) ([]*Policy, error) {
	files, err := fs.Glob(builtin, "policies/*.yaml")
	if err != nil {
		return nil, err
	}
	var out []*Policy
	for _, name := range files {
		text, err := builtin.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		stem := strings.TrimSuffix(strings.TrimPrefix(name, "policies/"), ".yaml")
		p, err := ParsePolicy(text, params[stem])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// ParsePolicy reads one policy strictly. params may only override what the text declares.
func ParsePolicy(text []byte, params map[string]string) (*Policy, error) {
	if len(text) > maxPolicyBytes {
		return nil, errors.New("verifier: policy is too large")
	}
	p := &Policy{text: text}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&p.spec); err != nil {
		return nil, fmt.Errorf("verifier: read policy: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("verifier: policy has more than one document")
	}
	if err := p.spec.check(); err != nil {
		return nil, fmt.Errorf("verifier: policy: %w", err)
	}
	if err := p.override(params); err != nil {
		return nil, err
	}
	if err := p.buildQuery(); err != nil {
		return nil, err
	}
	if err := p.compile(); err != nil {
		return nil, err
	}
	return p, nil
}

var (
	policyName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
	criterionName = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,31}$`)
	queryName     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

func (s *policySpec) check() error {
	switch {
	case !policyName.MatchString(s.Name):
		return errors.New("name is not [a-z][a-z0-9-]*")
	case s.Version < 1 || s.Title.Ko == "" || s.Title.En == "" || !criterionName.MatchString(s.Purpose):
		return errors.New("version, title (ko, en) and purpose are required")
	case s.RegistryMaxAge <= 0 || s.RegistryMaxAge > maxAge:
		return errors.New("registry_max_age is required")
	case len(s.Credentials) == 0 || len(s.Credentials) > 8:
		return errors.New("one to eight credentials are required")
	case s.Age.Rule != "" && s.Age.Rule != "BIRTHDAY" && s.Age.Rule != "DAY_BEFORE":
		return errors.New("age rule is not BIRTHDAY or DAY_BEFORE")
	}
	for i := range s.Credentials {
		if err := s.Credentials[i].check(); err != nil {
			return err
		}
		for j := range i {
			if s.Credentials[j].ID == s.Credentials[i].ID {
				return errors.New("credential id twice")
			}
		}
	}
	for _, c := range s.Criteria {
		if !criterionName.MatchString(c.Name) || c.Rule == "" || len(c.Rule) > maxRuleBytes {
			return errors.New("a criterion needs a name and a rule")
		}
	}
	return s.checkSameHolder()
}

func (c *credentialSpec) check() error {
	switch {
	case !queryName.MatchString(c.ID):
		return errors.New("credential id is not [a-z][a-z0-9_]*")
	case len(c.Types) == 0 || len(c.Types) > 16:
		return errors.New("accepted types are required")
	case len(c.Claims) == 0 || len(c.Claims) > maxPolicyClaims:
		return fmt.Errorf("one to %d claims are required", maxPolicyClaims)
	case c.Status.MaxAge <= 0 || c.Status.MaxAge > maxAge:
		return errors.New("status max_age is required")
	case len(c.Status.Accept) == 0:
		return errors.New("accepted status values are required")
	}
	for _, a := range c.Status.Accept {
		// Only these two can ever be accepted: revoked is final, suspended means stop (DOMAIN 4.5).
		if a != "VALID" && a != "NEEDS_RENEWAL" {
			return errors.New("status accept knows VALID and NEEDS_RENEWAL")
		}
	}
	return nil
}

func (s *policySpec) checkSameHolder() error {
	h := s.SameHolder
	switch {
	case len(s.Credentials) > 1 && h == nil:
		return errors.New("same_holder is required with more than one credential")
	case h == nil:
		return nil
	case h.By == "key" && len(h.Claims) == 0:
		return nil
	case h.By != "claims" || len(h.Claims) == 0:
		return errors.New("same_holder is {by: key} or {by: claims, claims: […]}")
	}
	for _, name := range h.Claims {
		for i := range s.Credentials {
			asked := slices.ContainsFunc(s.Credentials[i].Claims, func(p []any) bool { return len(p) == 1 && p[0] == name })
			if !asked {
				return errors.New("same_holder names a claim that is not asked of every credential")
			}
		}
	}
	return nil
}

// override replaces declared params and lets the digest cover the result.
func (p *Policy) override(params map[string]string) error {
	sum := sha256.New()
	sum.Write(p.text)
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if _, declared := p.spec.Params[name]; !declared {
			return fmt.Errorf("verifier: policy %s declares no param %q", p.spec.Name, name)
		}
		p.spec.Params[name] = params[name]
		fmt.Fprintf(sum, "\x00%s\x00%s", name, params[name])
	}
	p.digest = [32]byte(sum.Sum(nil))
	return nil
}

func (p *Policy) buildQuery() error {
	for _, c := range p.spec.Credentials {
		q := oid4vp.CredentialQuery{ID: c.ID, Format: "dc+sd-jwt", Meta: oid4vp.Meta{VCTValues: c.Types}}
		if !p.HolderBinding() {
			q.RequireHolderBinding = new(bool)
		}
		for _, path := range c.Claims {
			steps, err := pathOf(path)
			if err != nil {
				return fmt.Errorf("verifier: policy %s: %w", p.spec.Name, err)
			}
			q.Claims = append(q.Claims, oid4vp.ClaimsQuery{Path: steps})
		}
		p.query.Credentials = append(p.query.Credentials, q)
	}
	if err := p.query.Validate(); err != nil {
		return fmt.Errorf("verifier: policy %s: %w", p.spec.Name, err)
	}
	return nil
}

func pathOf(path []any) (oid4vp.Path, error) {
	var out oid4vp.Path
	for _, step := range path {
		switch s := step.(type) {
		case string:
			out = append(out, oid4vp.Name(s))
		case int:
			out = append(out, oid4vp.Index(s))
		case nil:
			out = append(out, oid4vp.All())
		default:
			return nil, errors.New("a claim path holds names, indices and nulls")
		}
	}
	if len(out) == 0 || len(out) > 16 {
		return nil, errors.New("a claim path has 1 to 16 steps")
	}
	return out, nil
}

// Name of the policy.
func (p *Policy) Name() string { return p.spec.Name }

// Version of its text.
func (p *Policy) Version() int { return p.spec.Version }

// Title for screens.
func (p *Policy) Title() Text { return p.spec.Title }

// Purpose of the registration that covers it.
func (p *Policy) Purpose() string { return p.spec.Purpose }

// Digest is SHA-256 of the text and of overridden params: what receipts name.
func (p *Policy) Digest() [32]byte { return p.digest }

// Source is the policy's YAML. The caller must not change it.
func (p *Policy) Source() []byte { return p.text }

// HolderBinding reports whether every presentation must prove its holder.
func (p *Policy) HolderBinding() bool { return p.spec.HolderBinding == nil || *p.spec.HolderBinding }

// Evidence reports whether a request asks the wallet to staple.
func (p *Policy) Evidence() bool { return p.spec.Evidence }

// CrossDevice reports whether a request may be shown on another device.
func (p *Policy) CrossDevice() bool { return p.spec.CrossDevice }

// RegistryMaxAge bounds the age of key and accreditation facts.
func (p *Policy) RegistryMaxAge() time.Duration { return p.spec.RegistryMaxAge }

// Types are the accepted credential types by query id.
func (p *Policy) Types() map[string][]string {
	out := make(map[string][]string, len(p.spec.Credentials))
	for _, c := range p.spec.Credentials {
		out[c.ID] = c.Types
	}
	return out
}

func (p *Policy) credential(id string) (*credentialSpec, bool) {
	for i := range p.spec.Credentials {
		if p.spec.Credentials[i].ID == id {
			return &p.spec.Credentials[i], true
		}
	}
	return nil, false
}
