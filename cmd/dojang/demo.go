package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
)

// demoCmd runs the ecosystem, or speaks to the one that runs on a data directory.
type demoCmd struct {
	Data string `help:"Data directory." default:"dojang-data" type:"path" placeholder:"DIR"`

	Run     demoRun     `cmd:"" default:"withargs" help:"Start registry, issuer, verifier and wallet-api, tell a short story, keep running."`
	Offer   demoOffer   `cmd:"" help:"Make a credential offer for a person."`
	Request demoRequest `cmd:"" help:"Make a presentation request."`
	Result  demoResult  `cmd:"" help:"Tell what became of a presentation request."`
	Revoke  demoRevoke  `cmd:"" help:"Revoke a credential, for good."`
	Suspend demoSuspend `cmd:"" help:"Suspend a credential."`
	Renewal demoRenewal `cmd:"" help:"Mark a credential as needing renewal."`
	Lift    demoLift    `cmd:"" help:"Lift a suspension or a need of renewal."`
	Down    demoDown    `cmd:"" help:"Stop a part: its ports refuse connections."`
	Up      demoUp      `cmd:"" help:"Start a stopped part again."`
	Clock   demoClock   `cmd:"" help:"Move the clock of the parties: what would they say in 40h? 0s puts it right again."`
}

// AfterApply hands the data directory to the subcommands.
func (c *demoCmd) AfterApply() error {
	for _, d := range []*string{&c.Run.data, &c.Offer.data, &c.Request.data, &c.Result.data, &c.Revoke.data,
		&c.Suspend.data, &c.Renewal.data, &c.Lift.data, &c.Down.data, &c.Up.data, &c.Clock.data} {
		*d = c.Data
	}
	return nil
}

// inDemo is what every command that speaks to a running demo has.
type inDemo struct {
	data string
	JSON bool `help:"Print JSON lines only (these commands print nothing else anyway)."`
}

// tenants of the demo's issuer, by credential type.
var tenantOf = map[string]string{
	"resident-id":       "gaon",
	"youth-eligibility": "seoul",
	"customs-identity":  "customs",
}

type demoOffer struct {
	inDemo `embed:""`
	Type   string `help:"Credential type: resident-id, youth-eligibility or customs-identity." required:"" enum:"resident-id,youth-eligibility,customs-identity"`
	Person string `help:"Person id, one of demo.json's people." required:""`
	Format string `help:"Credential format." default:"dc+sd-jwt"`
	TxCode bool   `help:"Ask for a transaction code, sent by a second channel."`
}

// offerJSON is what an offer prints; id names the logical credential.
type offerJSON struct {
	CredentialOfferURI string `json:"credential_offer_uri"`
	TxCode             string `json:"tx_code,omitempty"`
	ID                 string `json:"id"`
}

func (c *demoOffer) Run(e *env) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	o, err := makeOffer(e, d, c.Type, c.Person, c.Format, c.TxCode)
	if err != nil {
		return err
	}
	return e.print(o)
}

func makeOffer(e *env, d *demoJSON, typ, person, format string, txCode bool) (offerJSON, error) {
	var o offerJSON
	err := call(e.ctx, d.Issuer, http.MethodPost, "/v1/tenants/"+tenantOf[typ]+"/offers", map[string]any{
		"type": typ, "person": person, "format": format, "tx_code": txCode,
	}, &o)
	o.ID = credentialID(tenantOf[typ], o.ID)
	return o, err
}

type demoRequest struct {
	inDemo         `embed:""`
	Policy         string `help:"Policy: adult-check or youth-support." required:""`
	ClientIDPrefix string `help:"Client identifier prefix." default:"x509_hash" enum:"x509_hash,x509_san_dns,decentralized_identifier"`
}

type requestJSON struct {
	RequestURI string `json:"request_uri"`
	ID         string `json:"id"`
}

func (c *demoRequest) Run(e *env) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	r, err := makeRequest(e, d, c.Policy, c.ClientIDPrefix)
	if err != nil {
		return err
	}
	return e.print(r)
}

func makeRequest(e *env, d *demoJSON, policy, prefix string) (requestJSON, error) {
	var r requestJSON
	err := call(e.ctx, d.Verifier, http.MethodPost, "/v1/requests", map[string]any{"policy": policy, "client_id_prefix": prefix}, &r)
	return r, err
}

type demoResult struct {
	inDemo `embed:""`
	ID     string `help:"The request's id." required:""`
}

// resultJSON is what became of a request. Decision and Code are null before judgement.
type resultJSON struct {
	State      string                    `json:"state"`
	Decision   *string                   `json:"decision"`
	Code       *string                   `json:"code"`
	Claims     map[string]map[string]any `json:"claims"`
	StatusAsOf *string                   `json:"status_as_of"`
	Receipt    *string                   `json:"receipt"`
}

func (r resultJSON) code() string {
	if r.Code == nil {
		return ""
	}
	return *r.Code
}

func (r resultJSON) decision() string {
	if r.Decision == nil {
		return ""
	}
	return *r.Decision
}

func (c *demoResult) Run(e *env) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	r, err := fetchResult(e, d, c.ID)
	if err != nil {
		return err
	}
	return e.print(r)
}

func fetchResult(e *env, d *demoJSON, id string) (resultJSON, error) {
	var r resultJSON
	err := call(e.ctx, d.Verifier, http.MethodGet, "/v1/requests/"+url.PathEscape(id), nil, &r)
	return r, err
}

// statusCmd is the common part of revoke, suspend, renewal and lift.
type statusCmd struct {
	inDemo `embed:""`
	ID     string `help:"The offer's id." required:""`
}

func (c *statusCmd) set(e *env, status string) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	published, err := setStatus(e, d, c.ID, status)
	if err != nil {
		return err
	}
	return e.print(published)
}

// setStatus returns when the list that carries the bit is published and anchored.
func setStatus(e *env, d *demoJSON, id, status string) (map[string]any, error) {
	tenant, credential, err := splitCredentialID(id)
	if err != nil {
		return nil, err
	}
	var epoch struct {
		Sequence uint64 `json:"sequence"`
		Height   uint64 `json:"height"`
	}
	err = call(e.ctx, d.Issuer, http.MethodPost, "/v1/tenants/"+tenant+"/credentials/"+credential+"/status",
		map[string]any{"status": status, "reason": "demo"}, &epoch)
	if err != nil {
		return nil, err
	}
	published := map[string]any{"id": id, "status": status, "sequence": epoch.Sequence, "height": epoch.Height}
	_, err = control(e.ctx, d.Control, fmt.Sprintf("/settle/%s/%d", tenant, epoch.Sequence))
	return published, err
}

type (
	demoRevoke  struct{ statusCmd }
	demoSuspend struct{ statusCmd }
	demoRenewal struct{ statusCmd }
	demoLift    struct{ statusCmd }
)

func (c *demoRevoke) Run(e *env) error  { return c.set(e, "revoked") }
func (c *demoSuspend) Run(e *env) error { return c.set(e, "suspended") }
func (c *demoRenewal) Run(e *env) error { return c.set(e, "needs_renewal") }
func (c *demoLift) Run(e *env) error    { return c.set(e, "valid") }

type switchCmd struct {
	inDemo `embed:""`
	Part   string `arg:"" help:"issuer, registry or status." enum:"issuer,registry,status"`
}

func (c *switchCmd) throw(e *env, act string) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	if err := throw(e.ctx, d.Control, act, c.Part); err != nil {
		return err
	}
	return e.print(map[string]string{"part": c.Part, "state": act})
}

type (
	demoDown struct{ switchCmd }
	demoUp   struct{ switchCmd }
)

func (c *demoDown) Run(e *env) error { return c.throw(e, "down") }
func (c *demoUp) Run(e *env) error   { return c.throw(e, "up") }

type demoClock struct {
	inDemo `embed:""`
	Ahead  string `arg:"" help:"How far ahead of the machine's clock, e.g. 40h."`
}

func (c *demoClock) Run(e *env) error {
	d, err := readDemo(c.data)
	if err != nil {
		return err
	}
	if _, err := control(e.ctx, d.Control, "/clock/"+url.PathEscape(c.Ahead)); err != nil {
		return err
	}
	return e.print(map[string]string{"clock": c.Ahead})
}

// credentialID makes a logical credential's id unique over the tenants of the demo: `tenant.id`.
func credentialID(tenant, id string) string { return tenant + "." + id }

func splitCredentialID(id string) (tenant, credential string, err error) {
	for i := range len(id) {
		if id[i] == '.' {
			return id[:i], url.PathEscape(id[i+1:]), nil
		}
	}
	return "", "", errors.New("an id looks like gaon.XXXX, as `demo offer` printed it")
}

// absolute is the path that demo.json shows.
func absolute(elem ...string) (string, error) {
	p, err := filepath.Abs(filepath.Join(elem...))
	if err != nil {
		return "", fmt.Errorf("name %s: %w", filepath.Join(elem...), err)
	}
	return p, nil
}
