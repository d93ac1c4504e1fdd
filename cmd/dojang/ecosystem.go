package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/schemas"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// An ecosystem is the whole demo in one process: the parties meet over HTTP only, each through its own URL.
type ecosystem struct {
	e     *env
	dir   string
	pass  []byte
	clock *clock
	ports ports

	newborn  bool // the chain has just begun
	agencies []*agency
	company  *organisation
	provider *organisation

	light *light.Client     // of the demo itself, for founding and for the story
	known registry.Resolver // as the verifier sees the chain
	// caughtUp says why the verifier does not have the newest status lists; nil when it has.
	caughtUp func(context.Context) error
	dials    *dialCounter // requests that a judgement sends to parts that can be stopped

	registry, status, issuer, verifier, walletAPI part
	tokens                                        map[string]string // party → management token

	wallets map[string]*holder.Holder
	stores  map[string]*keys.FileStore
	keepers map[string]part // party → what anchors the heads of its audit log
	closers []func()
}

// An agency is a tenant of the demo's issuer.
type agency struct {
	*organisation
	name         schemas.Text
	authority    string
	jurisdiction string
	types        []*schemas.Type
	records      string // file in the demo's data
}

// start founds what is missing, opens what is there and brings every part up.
func start(ctx context.Context, e *env, dir string, p ports) (*ecosystem, error) {
	eco := &ecosystem{e: e, dir: dir, ports: p, clock: &clock{}, tokens: map[string]string{}, wallets: map[string]*holder.Holder{}, stores: map[string]*keys.FileStore{}, keepers: map[string]part{}}
	eco.dials = newDialCounter(eco.stoppable()...)
	var err error
	if eco.pass, err = passphrase(dir); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"registry", eco.startRegistry},
		{"organisations", eco.foundAll},
		{"issuer", eco.startIssuer},
		{"verifier", eco.startVerifier},
		{"wallet-api", eco.startWalletAPI},
		{"health", eco.healthy},
	} {
		begun := time.Now()
		err := step.run(ctx)
		e.log.Info("started", "part", step.name, "ms", time.Since(begun).Milliseconds())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("start %s: %w", step.name, err), eco.stop())
		}
	}
	return eco, nil
}

// stop brings every part down, parties before the registry, and closes the stores.
func (eco *ecosystem) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var err error
	for _, p := range []part{eco.walletAPI, eco.verifier, eco.issuer, eco.status, eco.registry} {
		if p != nil {
			err = errors.Join(err, p.Down(ctx))
		}
	}
	for i := len(eco.closers) - 1; i >= 0; i-- {
		eco.closers[i]()
	}
	return err
}

// onClose runs f when the ecosystem stops.
func (eco *ecosystem) onClose(f func()) { eco.closers = append(eco.closers, f) }

// keys is a party's key store, opened once: opening costs a slow hash.
func (eco *ecosystem) keys(party string) (*keys.FileStore, error) {
	if s := eco.stores[party]; s != nil {
		return s, nil
	}
	s, err := openKeys(eco.sub(party, "keys"), eco.pass)
	if err == nil {
		eco.stores[party] = s
	}
	return s, err
}

// database opens a party's own SQLite file.
func (eco *ecosystem) database(ctx context.Context, party string) (*sqldb.DB, error) {
	path, err := absolute(eco.sub(party, party+".db"))
	if err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, "sqlite://"+path)
	if err == nil {
		eco.onClose(func() { db.Close() })
	}
	return db, err
}

// open gives a party its database, its audit log and the secret that seals what it keeps.
func (eco *ecosystem) open(ctx context.Context, party string) (db *sqldb.DB, log *audit.Log, secret []byte, err error) {
	vault, err := eco.keys(party)
	if err != nil {
		return nil, nil, nil, err
	}
	if secret, err = vault.Secret(party); err != nil {
		return nil, nil, nil, err
	}
	pseudonyms, err := vault.Secret("audit")
	if err != nil {
		return nil, nil, nil, err
	}
	if log, err = audit.New(audit.Config{Now: eco.clock.Now, PseudonymKey: pseudonyms}); err != nil {
		return nil, nil, nil, err
	}
	if db, err = eco.database(ctx, party); err != nil {
		return nil, nil, nil, err
	}
	keeper, err := eco.keepAudit(party, db, log)
	eco.keepers[party] = keeper
	return db, log, secret, err
}

// sub is a folder of the data directory.
func (eco *ecosystem) sub(elem ...string) string {
	return filepath.Join(append([]string{eco.dir}, elem...)...)
}

// origins are the plain-http URLs that parties of this demo may fetch: exact, on loopback.
func (eco *ecosystem) origins() []string {
	p := eco.ports
	return []string{local(p.Registry), local(p.Status), local(p.Issuer), local(p.Verifier), local(p.WalletAPI)}
}

// stoppable are the ports of the parts that `demo down` stops.
func (eco *ecosystem) stoppable() []int {
	p := eco.ports
	return []int{p.Issuer, p.IssuerManagement, p.Status, p.Registry, p.RegistryManagement}
}

// healthy waits until every health endpoint answers 200.
func (eco *ecosystem) healthy(ctx context.Context) error {
	p := eco.ports
	client := &http.Client{Timeout: 2 * time.Second}
	for _, url := range []string{
		local(p.Registry) + "/v1/health", local(p.Status) + "/health", local(p.Issuer) + "/health", local(p.Verifier) + "/health", local(p.WalletAPI) + "/health",
	} {
		for {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err == nil {
				res.Body.Close()
				if res.StatusCode == http.StatusOK {
					break
				}
				err = fmt.Errorf("status %d", res.StatusCode)
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s is not healthy: %w", url, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// describe is demo.json.
func (eco *ecosystem) describe(pid int) (*demoJSON, error) {
	p := eco.ports
	party := func(name string, port, management int) partyJSON {
		return partyJSON{URL: local(port), ManagementURL: local(management), Token: eco.tokens[name]}
	}
	d := &demoJSON{
		Schema: 1, PID: pid,
		Registry:  party("registry", p.Registry, p.RegistryManagement),
		Issuer:    party("issuer", p.Issuer, p.IssuerManagement),
		Verifier:  party("verifier", p.Verifier, p.VerifierManagement),
		WalletAPI: party("wallet_api", p.WalletAPI, p.WalletManagement),
		Status:    urlJSON{local(p.Status)},
		People:    demoPeople,
	}
	var err error
	if d.Control, err = absolute(eco.dir, controlFile); err != nil {
		return nil, err
	}
	for _, name := range []string{"issuer/gaon", "issuer/seoul", "issuer/customs", "verifier/byeolmaru"} {
		anchor, err := absolute(eco.dir, name+"-root.pem")
		if err != nil {
			return nil, err
		}
		d.TrustAnchors = append(d.TrustAnchors, anchor)
	}
	return d, nil
}

// demoPeople are the invented people whose records the agencies hold.
var demoPeople = []person{
	{"han-gaon", "한가온"}, {"lee-seori", "이서리"}, {"park-nuri", "박누리"}, {"no-eulchan", "노을찬"}, {"seo-haru", "서하루"}, {"choi-dasom", "최다솜"},
}

// settle waits until the verifier has heard of a tenant's status epoch and has the lists of it: by its own schedule, within
// two seconds where it reaches a node that is not busy. Scripts may present right after a revocation then.
func (eco *ecosystem) settle(ctx context.Context, tenant string, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	i := slices.IndexFunc(eco.agencies, func(a *agency) bool { return a.organisation.name == tenant })
	if i < 0 {
		return fmt.Errorf("no tenant %s", tenant)
	}
	for {
		epoch, _, err := eco.known.StatusEpoch(ctx, eco.agencies[i].did)
		if err == nil && epoch.Sequence >= sequence {
			if err = eco.caughtUp(ctx); err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the verifier does not have epoch %d: %w", sequence, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// wallet opens a person's wallet of the story.
func (eco *ecosystem) wallet(ctx context.Context, person string) (*holder.Holder, error) {
	if w := eco.wallets[person]; w != nil {
		return w, nil
	}
	w, done, err := openWallet(ctx, walletConfig{
		dir: eco.sub("wallets", person), light: eco.light, origins: eco.origins(), lang: "ko", now: eco.clock.Now, provider: local(eco.ports.WalletAPI),
	})
	if err != nil {
		return nil, err
	}
	eco.onClose(done)
	eco.wallets[person] = w
	return w, nil
}

// importRecords hands an agency's file to the issuer and returns how many records it holds now.
func (eco *ecosystem) importRecords(ctx context.Context, p partyJSON, a *agency) (int, error) {
	file, err := demoRecords(a.records, eco.clock.Now())
	if err != nil {
		return 0, err
	}
	var answer struct {
		People int `json:"people"`
	}
	err = call(ctx, p, http.MethodPost, "/v1/tenants/"+a.organisation.name+"/records?type="+a.types[0].Name, file, &answer)
	return answer.People, err
}
