package issuertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/ttlkv"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/store"
	"github.com/dojang-id/dojang/issuer/web"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// KitConfig of a whole issuer for tests and benchmarks. Only DB is required.
type KitConfig struct {
	DB        string // URL for sqldb
	Redis     string // "": the in-process twin
	Listen    string // of the public listener; "": a free port on loopback
	Secret    []byte // 32 bytes; nil: a fixed one
	Keys      keys.Store
	Step      func(string)
	StoreStep func(string)
	Random    io.Reader
	Limits    web.Limits
	// Signer wraps a tenant's signing key, e.g. to count or to fail.
	Signer func(keys.Signer) keys.Signer
	// Tune changes the issuer's configuration before it is built.
	Tune func(*issuer.Config)
	Log  *slog.Logger
	// NoData leaves the records out.
	NoData bool
	// Chain goes on from another kit's; nil: a new one.
	Chain *Chain
}

// Kit is an issuer with three tenants, its database, its HTTP listeners and a fake chain.
type Kit struct {
	Issuer   *issuer.Issuer
	Store    *store.Store
	DB       *sqldb.DB
	Audit    *audit.Log
	KV       *ttlkv.Store
	Web      *web.Server
	Chain    *Chain
	Clock    *Clock
	Tenants  []issuer.Tenant
	URL      string // public
	Manage   string // management
	Bearer   string // of the management API, all tenants
	BearerOf map[string]string
	Client   *http.Client

	servers []*httpd.Server
}

// Start of the kit's clock: noon in Korea on the acceptance scenarios' day.
var Start = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// Clock runs with the machine's from a settable moment.
type Clock struct{ offset atomic.Int64 }

// NewClock starts at t.
func NewClock(t time.Time) *Clock {
	c := &Clock{}
	c.Set(t)
	return c
}

// Now is the clock's time.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())).UTC() }

// Set moves the clock.
func (c *Clock) Set(t time.Time) { c.offset.Store(int64(time.Until(t))) }

// Advance moves it by d, also back.
func (c *Clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }

// Chain is a fake registry chain: it takes epochs that grow and says at which height.
type Chain struct {
	mu     sync.Mutex // guards the rest
	epochs []registry.StatusEpoch
	fail   error
}

// Anchor implements issuer.Anchor. It refuses what the chain would: a sequence or an iat that does not grow.
func (c *Chain) Anchor(_ context.Context, e registry.StatusEpoch) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return 0, c.fail
	}
	for _, old := range c.epochs {
		if old.Issuer == e.Issuer && (old.Sequence >= e.Sequence || !e.IssuedAt.After(old.IssuedAt)) {
			return 0, errors.New("issuertest: version-conflict")
		}
	}
	c.epochs = append(c.epochs, e)
	return uint64(len(c.epochs)), nil
}

// slowChain takes a second for an epoch, on the kit's clock: the issuer publishes no faster, and tests need not wait.
type slowChain struct {
	*Chain
	clock *Clock
}

// Anchor implements issuer.Anchor.
func (c slowChain) Anchor(ctx context.Context, e registry.StatusEpoch) (uint64, error) {
	height, err := c.Chain.Anchor(ctx, e)
	if err == nil {
		c.clock.Advance(time.Second)
	}
	return height, err
}

// Fail makes the chain unreachable; nil brings it back.
func (c *Chain) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// Put is an epoch that somebody else anchors.
func (c *Chain) Put(e registry.StatusEpoch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epochs = append(c.epochs, e)
}

// Epochs taken so far.
func (c *Chain) Epochs() []registry.StatusEpoch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]registry.StatusEpoch(nil), c.epochs...)
}

// Agencies of the demo: id, names, types. DIDs, keys and certificates are the caller's to add.
func Agencies() []issuer.Tenant {
	return []issuer.Tenant{
		{ID: "gaon", Name: schemas.Text{Ko: "가온구", En: "Gaon-gu"}, Authority: "가온구청장 / Mayor of Gaon-gu", Jurisdiction: "KR-11", Types: []string{"resident-id"}},
		{ID: "seoul", Name: schemas.Text{Ko: "서울특별시", En: "Seoul"}, Authority: "서울특별시장 / Mayor of Seoul", Jurisdiction: "KR-11", Types: []string{"youth-eligibility"}},
		{ID: "customs", Name: schemas.Text{Ko: "관세청", En: "Korea Customs Service"}, Authority: "관세청장 / Commissioner of the Korea Customs Service", Types: []string{"customs-identity"}},
	}
}

// New builds and starts a kit; Close ends it.
func New(ctx context.Context, cfg KitConfig) (*Kit, error) {
	if cfg.Chain == nil {
		cfg.Chain = &Chain{}
	}
	k := &Kit{Chain: cfg.Chain, Clock: NewClock(Start), BearerOf: map[string]string{}}
	if err := k.open(ctx, cfg); err != nil {
		k.Close()
		return nil, err
	}
	if err := k.listen(ctx, cfg); err != nil {
		k.Close()
		return nil, err
	}
	if err := k.Issuer.Recover(ctx); err != nil {
		k.Close()
		return nil, err
	}
	if !cfg.NoData {
		for _, f := range Files() {
			if _, err := k.Issuer.Import(ctx, issuer.ImportRequest{Tenant: f.Tenant, Type: f.Type, File: f.Read(), Actor: "kit"}); err != nil {
				k.Close()
				return nil, fmt.Errorf("import %s: %w", f.Name, err)
			}
		}
	}
	return k, nil
}

func (k *Kit) open(ctx context.Context, cfg KitConfig) (err error) {
	if k.DB, err = sqldb.Open(ctx, cfg.DB); err != nil {
		return err
	}
	if k.Audit, err = audit.New(audit.Config{Now: k.Clock.Now, PseudonymKey: make([]byte, 32)}); err != nil {
		return err
	}
	if k.Store, err = store.New(ctx, store.Config{DB: k.DB, Audit: k.Audit, Step: cfg.StoreStep}); err != nil {
		return err
	}
	k.KV, err = ttlkv.Open(ctx, ttlkv.Config{URL: cfg.Redis})
	return err
}

// listen reserves the ports first: the issuer's own name is part of what it signs and compares.
func (k *Kit) listen(ctx context.Context, cfg KitConfig) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var public, manage atomic.Pointer[http.Handler]
	addresses := []string{cfg.Listen, "127.0.0.1:0"}
	if cfg.Listen == "" {
		addresses[0] = addresses[1]
	}
	for i, late := range []*atomic.Pointer[http.Handler]{&public, &manage} {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*late.Load()).ServeHTTP(w, r) })
		s, err := httpd.Serve(ctx, httpd.ServeConfig{Listen: addresses[i], Handler: h, Log: cfg.Log})
		if err != nil {
			return err
		}
		k.servers = append(k.servers, s)
	}
	k.URL, k.Manage = k.servers[0].URL(), k.servers[1].URL()
	k.Client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	if err := k.build(cfg); err != nil {
		return err
	}
	p, m := k.Web.Public(), k.Web.Management()
	public.Store(&p)
	manage.Store(&m)
	return nil
}

func (k *Kit) build(cfg KitConfig) (err error) {
	if k.Tenants, err = k.tenants(cfg); err != nil {
		return err
	}
	ic := issuer.Config{
		URL: k.URL, StatusHost: "http://localhost:1/status", Tenants: k.Tenants, Store: k.Store, Secret: cfg.Secret,
		Now: k.Clock.Now, Random: cfg.Random, Step: cfg.Step, Log: cfg.Log, PublishEvery: time.Nanosecond,
	}
	if ic.Secret == nil {
		ic.Secret = []byte("dojang issuertest fixed secret 1")
	}
	if cfg.Tune != nil {
		cfg.Tune(&ic)
	}
	if k.Issuer, err = issuer.New(ic); err != nil {
		return err
	}
	k.Bearer = httpd.NewToken()
	list := []httpd.Token{{Name: "kit", Hash: httpd.HashToken(k.Bearer)}}
	for _, t := range k.Tenants {
		k.BearerOf[t.ID] = httpd.NewToken()
		list = append(list, httpd.Token{Name: "kit-" + t.ID, Hash: httpd.HashToken(k.BearerOf[t.ID]), Tenant: t.ID})
	}
	tokens, err := httpd.NewTokens(list...)
	if err != nil {
		return err
	}
	k.Web, err = web.New(web.Config{Issuer: k.Issuer, KV: k.KV, Tokens: tokens, Log: cfg.Log, Now: k.Clock.Now, Limits: cfg.Limits, Ready: k.Store.Ping})
	return err
}

// tenants are the agencies with keys, certificates and DIDs of this kit.
func (k *Kit) tenants(cfg KitConfig) ([]issuer.Tenant, error) {
	list := Agencies()
	for i := range list {
		key, err := signer(cfg.Keys, list[i].ID)
		if err != nil {
			return nil, err
		}
		did := registry.DID("did:dojang:test:" + "zQm" + []string{"Gaon", "Seou", "Kcs"}[i] + "111111111111111111")
		chain, err := certify(key, string(did))
		if err != nil {
			return nil, err
		}
		if cfg.Signer != nil {
			key = cfg.Signer(key)
		}
		list[i].DID, list[i].Key, list[i].KeyID, list[i].X5C, list[i].Anchor = did, key, "key-1", chain, slowChain{k.Chain, k.Clock}
	}
	return list, nil
}

func signer(s keys.Store, name string) (keys.Signer, error) {
	if s == nil {
		return keys.Generate(keys.ES256)
	}
	return keys.OpenOrCreate(s, name, keys.ES256)
}

func certify(key keys.Signer, did string) ([][]byte, error) {
	rootKey, err := keys.Generate(keys.ES256)
	if err != nil {
		return nil, err
	}
	from, until := Start.AddDate(-1, 0, 0), Start.AddDate(9, 0, 0)
	root, err := keys.NewRoot(keys.RootConfig{CommonName: "issuertest root", Organization: "issuertest", PermittedDNS: []string{"localhost"}, NotBefore: from, NotAfter: until, Key: rootKey})
	if err != nil {
		return nil, err
	}
	leaf, err := root.Issue(keys.LeafConfig{CommonName: "issuertest", Organization: "issuertest", URI: did, DNS: []string{"localhost"}, Key: key.Public(), NotBefore: from, NotAfter: until, EKU: nil})
	return [][]byte{leaf}, err
}

// Tenant by id.
func (k *Kit) Tenant(id string) issuer.Tenant {
	for _, t := range k.Tenants {
		if t.ID == id {
			return t
		}
	}
	return issuer.Tenant{}
}

// Close ends listeners, stores and database.
func (k *Kit) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if k.Client != nil {
		k.Client.CloseIdleConnections()
	}
	for _, s := range k.servers {
		_ = s.Stop(ctx)
	}
	if k.KV != nil {
		_ = k.KV.Close()
	}
	if k.DB != nil {
		_ = k.DB.Close()
	}
}
