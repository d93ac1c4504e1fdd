package web_test

import (
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/registry/web"
)

// fetchVia fetches over plain HTTP, and knows where a name of the test really leads.
func fetchVia(name, really string) node.Fetch {
	return func(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
		if rest, ok := strings.CutPrefix(url, name); ok {
			url = really + rest
		}
		return registrytest.Fetch(ctx, url, accept, limit)
	}
}

// TestListsFromPeers: a node that was away when an epoch came gets the lists from its peers, with the issuer off.
func TestListsFromPeers(t *testing.T) {
	statusHost := httptest.NewUnstartedServer(nil)
	statusURL := "http://" + statusHost.Listener.Addr().String()
	defer statusHost.Close()
	fronts := make([]*httptest.Server, 4)
	var urls []string
	for i := range fronts {
		fronts[i] = httptest.NewUnstartedServer(nil)
		urls = append(urls, "http://"+fronts[i].Listener.Addr().String())
	}
	p := newPublisher(t)
	metrics := make([]*httpd.Metrics, 4)
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: t.TempDir(), Validators: 4, Heartbeat: 300 * time.Millisecond, Fetch: fetchVia("https://issuer.example", p.URL), // of a network of four no service is plain http
		Genesis: func(g *chain.Genesis) {
			g.Governance = &chain.GenesisGovernance{Direct: true, Voting: 3600}
		},
		Each: func(i int, cfg *node.Config) {
			metrics[i] = httpd.NewMetrics()
			cfg.Metrics = metrics[i].Registry()
			for k, u := range urls {
				if k != i {
					cfg.Faces = append(cfg.Faces, u)
				}
			}
		}})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	must(t, l.Start(ctx))
	defer func() { _ = l.Stop(context.Background()) }()
	management := make([]*httptest.Server, 4)
	for i, n := range l.Nodes {
		s, err := web.New(web.Config{Node: n, StatusURL: statusURL, Metrics: metrics[i]})
		must(t, err)
		fronts[i].Config.Handler = s.Public()
		fronts[i].Start()
		defer fronts[i].Close()
		management[i] = httptest.NewServer(s.Management())
		defer management[i].Close()
	}
	key := registrytest.NewKey(t, "")
	op, next, recovery := registrytest.NewKey(t, registry.RoleOp), registrytest.NewKey(t, ""), registrytest.NewKey(t, "")
	o := registry.Operation{Network: "local", ChainID: l.Nodes[0].ChainID(), Body: &registry.CreateBody{Op: op.Public, Next: next.Public.Hash(),
		Recovery: recovery.Public.Hash(), Keys: []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}},
		Services: []registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: "https://issuer.example/lists"}}}}
	did, err := o.CreatedDID()
	must(t, err)
	submit := func(n *node.Node, o registry.Operation, k ...registry.SigningKey) {
		t.Helper()
		raw, err := o.Sign(k...)
		must(t, err)
		out, err := n.Submit(ctx, raw)
		must(t, err)
		if out[0].Code != string(registry.CodeOK) {
			t.Fatalf("%+v", out)
		}
	}
	submit(l.Nodes[0], o, op)
	var members []registry.SigningKey
	for id, private := range l.Governance {
		public, err := registry.NewPublicKey(private.Public())
		must(t, err)
		members = append(members, registry.SigningKey{Role: registry.RoleMember(id), Public: public, Signer: edSigner(private)})
	}
	submit(l.Nodes[0], registry.Operation{Network: "local", ChainID: l.Nodes[0].ChainID(), DID: did,
		Body: &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"law"}, From: 1}}, members...)
	must(t, l.Nodes[3].Stop(ctx)) // away
	uri := statusURL + "/" + did.ID() + "/3"
	root := p.publish(t, uri, "token")
	key.Role = did.URL("issue-1")
	now := time.Now()
	submit(l.Nodes[0], registry.Operation{Network: "local", ChainID: l.Nodes[0].ChainID(), DID: did, Seq: 1,
		Body: &registry.EpochBody{IssuedAt: now.Unix(), NextUpdate: now.Add(time.Hour).Unix(), Root: root}}, key)
	for i := range 3 {
		eventually(t, "the nodes that are there fetch", func() bool { _, ok := l.Nodes[i].Statuses().Epoch(did); return ok })
	}
	p.Close() // the issuer is off, for good
	must(t, l.Nodes[3].Start(ctx))
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, ok := l.Nodes[3].Statuses().Epoch(did); ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the node that was away never got the list")
		}
	}
	for _, media := range []string{node.StatusJWT, node.StatusCWT} {
		list, err := l.Nodes[3].Statuses().List(uri, media)
		if err != nil || string(list.Token) != p.token(t, uri, media, "token") {
			t.Errorf("%s: %v", media, err)
		}
	}
	t.Run("two contents under one sequence are refused and raised", func(t *testing.T) {
		bad := p.publish(t, uri, "another")
		store := l.Nodes[3].Statuses()
		if err := store.Put(ctx, registry.StatusEpoch{Issuer: did, Sequence: 1, IssuedAt: now, NextUpdate: now.Add(time.Hour), Root: bad}, nothingBut(p.records)); err == nil {
			t.Fatal("taken")
		}
		if list, err := store.List(uri, node.StatusJWT); err != nil || string(list.Token) != p.token(t, uri, node.StatusJWT, "token") {
			t.Fatalf("the list has changed: %v", err)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		res, err := http.Get(management[0].URL + "/metrics")
		must(t, err)
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		must(t, err)
		for _, want := range []string{"dojang_registry_height ", `dojang_registry_state{state="ok"} 1`, "dojang_registry_peers ", "dojang_registry_validators 4",
			`dojang_registry_operations_total{code="ok"} 3`, "dojang_registry_status_conflicts_total 0", "dojang_registry_mempool_transactions 0",
			"dojang_registry_archive_missing_epochs 0", "dojang_registry_archive_bytes "} {
			if !strings.Contains(string(raw), want) {
				t.Errorf("no %q", want)
			}
		}
		if res, err := http.Get(fronts[0].URL + "/metrics"); err != nil || res.StatusCode != http.StatusNotFound {
			t.Errorf("metrics on the public listener: %v", err)
		}
	})
}

type edSigner ed25519.PrivateKey

func (s edSigner) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(s), message), nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
