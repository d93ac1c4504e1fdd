// Package registrytest gives tests a real registry: one validator, its HTTP face on loopback, and a member that
// accredits whoever asks. Use Start. Parties' tests may import it; it is ready in well under a second.
package registrytest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/web"
)

// Options of Start; the zero value is good.
type Options struct {
	Heartbeat time.Duration // 0: 200 ms, so that headers, and with them Checked.KnownAt, stay young
	Types     []node.TypeMetadata
	Validate  func(document []byte) error
	Now       func() time.Time // of the light client
}

// A Registry is a running network of one validator.
type Registry struct {
	URL       string // of the public face
	StatusURL string // of the status host
	Trust     evidence.Trust
	Client    *light.Client // tracks the network over HTTP
	Node      *node.Node
	StatusDir string // of the node's published lists

	net    *node.Localnet
	public *httptest.Server
	status *httptest.Server
}

// Start runs a registry until the test ends.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	if o.Heartbeat == 0 {
		o.Heartbeat = 200 * time.Millisecond
	}
	dir := t.TempDir()
	network, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 1, Heartbeat: o.Heartbeat, Types: o.Types, Fetch: Fetch})
	must(t, err)
	must(t, network.Start(t.Context()))
	r := &Registry{net: network, Node: network.Nodes[0], StatusDir: filepath.Join(dir, "node-1", "status")}
	// The status host's URL is part of what it serves: the listener comes first.
	r.status = httptest.NewUnstartedServer(nil)
	r.StatusURL = "http://" + r.status.Listener.Addr().String()
	s, err := web.New(web.Config{Node: r.Node, StatusURL: r.StatusURL, Validate: o.Validate})
	must(t, err)
	r.status.Config.Handler = s.StatusHost()
	r.status.Start()
	r.public = httptest.NewServer(s.Public())
	r.URL = r.public.URL
	t.Cleanup(r.Down)
	r.Trust, err = r.Node.Trust(time.Now().Add(24 * time.Hour))
	must(t, err)
	r.Client, err = light.New(light.Config{Nodes: []string{r.URL}, Trust: r.Trust, Now: o.Now, CacheTTL: 50 * time.Millisecond})
	must(t, err)
	return r
}

// Down stops the node and both listeners: connections are refused from then on. Safe to call twice.
func (r *Registry) Down() {
	r.public.Close()
	r.status.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = r.net.Stop(ctx)
}

// Fetch is a node.Fetch over plain HTTP: no origin is refused.
func Fetch(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("publisher answered %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, limit))
}

// A Controller holds the control keys of a DID that the registry made for a test.
type Controller struct {
	DID  registry.DID
	Op   registry.SigningKey
	seq  uint64
	prev registry.Hash
}

// CreateDID makes a DID with verification keys and services.
func (r *Registry) CreateDID(t testing.TB, keys []registry.NewKey, services []registry.Service) *Controller {
	t.Helper()
	op, next, recovery := NewKey(t, registry.RoleOp), NewKey(t, registry.RoleNext), NewKey(t, registry.RoleRecovery)
	o := r.operation("", &registry.CreateBody{Op: op.Public, Next: next.Public.Hash(), Recovery: recovery.Public.Hash(), Keys: keys, Services: services})
	did, err := o.CreatedDID()
	must(t, err)
	c := &Controller{DID: did, Op: op}
	c.prev = r.Submit(t, sign(t, o, op))[0]
	return c
}

// Update adds keys and services to a DID.
func (r *Registry) Update(t testing.TB, c *Controller, body *registry.UpdateBody) {
	t.Helper()
	r.Change(t, c, body)
}

// Change submits the next operation of a DID's own history, signed by its operation key.
func (r *Registry) Change(t testing.TB, c *Controller, body registry.Body) {
	t.Helper()
	o := r.operation(c.DID, body)
	o.Seq, o.Prev = c.seq+1, c.prev
	c.prev = r.Submit(t, sign(t, o, c.Op))[0]
	c.seq++
}

// Accredit lets an issuer issue a type under this registry's status host, from an hour ago on. Type, N, Basis, Host and From
// of the body are filled in where they are empty.
func (r *Registry) Accredit(t testing.TB, did registry.DID, vct string, body registry.AccreditBody) {
	t.Helper()
	body.Type = vct
	if body.N == 0 {
		body.N = 1
	}
	if len(body.Basis) == 0 {
		body.Basis = []string{"test"}
	}
	if body.Host == "" {
		body.Host = r.StatusURL
	}
	if body.From == 0 {
		body.From = time.Now().Add(-time.Hour).Unix()
	}
	r.Submit(t, sign(t, r.operation(did, &body), r.Member()))
}

// Register lets a verifier ask for claims; From is filled in where it is empty.
func (r *Registry) Register(t testing.TB, did registry.DID, body registry.RegisterBody) {
	t.Helper()
	if body.From == 0 {
		body.From = time.Now().Add(-time.Hour).Unix()
	}
	r.Submit(t, sign(t, r.operation(did, &body), r.Member()))
}

// TypeDigest fixes the metadata of a type for the first time.
func (r *Registry) TypeDigest(t testing.TB, vct string, digest [32]byte) {
	t.Helper()
	r.Submit(t, sign(t, r.operation("", &registry.TypeDigestBody{Type: vct, Digest: digest}), r.Member()))
}

// Epoch anchors a status epoch, signed by an assertion key of the issuer.
func (r *Registry) Epoch(t testing.TB, epoch registry.StatusEpoch, key registry.SigningKey) {
	t.Helper()
	r.Submit(t, r.EpochOperation(t, epoch, key))
}

// EpochOperation is the signed operation of Epoch. key.Role is the DID URL of the key.
func (r *Registry) EpochOperation(t testing.TB, epoch registry.StatusEpoch, key registry.SigningKey) []byte {
	t.Helper()
	o := r.operation(epoch.Issuer, &registry.EpochBody{IssuedAt: epoch.IssuedAt.Unix(), NextUpdate: epoch.NextUpdate.Unix(), Root: epoch.Root})
	o.Seq = epoch.Sequence
	return sign(t, o, key)
}

// Submit hands operations to the node's gateway and fails the test unless all succeed.
func (r *Registry) Submit(t testing.TB, operations ...[]byte) []registry.Hash {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	outcomes, err := r.Node.Submit(ctx, operations...)
	must(t, err)
	hashes := make([]registry.Hash, len(outcomes))
	for i, o := range outcomes {
		if o.Code != string(registry.CodeOK) {
			t.Fatalf("operation %d refused: %s %s", i, o.Code, o.Detail)
		}
		hashes[i], err = registry.ParseHash(o.Hash)
		must(t, err)
	}
	return hashes
}

// Member is the governance key of the one member.
func (r *Registry) Member() registry.SigningKey {
	const id = "member-1"
	key := r.net.Governance[id]
	public, err := registry.NewPublicKey(key.Public())
	if err != nil {
		panic(err) // a key of our own making
	}
	return registry.SigningKey{Role: registry.RoleMember(id), Public: public, Signer: Ed25519(key)}
}

func (r *Registry) operation(did registry.DID, body registry.Body) registry.Operation {
	return registry.Operation{Network: r.Node.Network(), ChainID: r.Node.ChainID(), DID: did, Body: body}
}

// Ed25519 is a registry.Signer of a plain key.
type Ed25519 ed25519.PrivateKey

// Sign implements registry.Signer.
func (k Ed25519) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

// NewKey makes an Ed25519 key that signs in a role.
func NewKey(t testing.TB, role string) registry.SigningKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	key, err := registry.NewPublicKey(public)
	must(t, err)
	return registry.SigningKey{Role: role, Public: key, Signer: Ed25519(private)}
}

func sign(t testing.TB, o registry.Operation, keys ...registry.SigningKey) []byte {
	t.Helper()
	raw, err := o.Sign(keys...)
	must(t, err)
	return raw
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
