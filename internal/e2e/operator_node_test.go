package e2e

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/operator"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// TestOperatorOnANode: engine, node, light client and operator as they run, over HTTP. The issuer is off; the node fetches the
// operator's lists by itself, gives on the issuer's beside them, and refuses the one in which an entry is better.
func TestOperatorOnANode(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	key, secondKey := must(keys.Generate(keys.ES256))(t), must(keys.Generate(keys.ES256))(t)
	signing := func(s keys.Signer, role string) registry.SigningKey {
		return registry.SigningKey{Role: role, Public: must(registry.NewPublicKey(s.Public().Crypto()))(t), Signer: s}
	}
	var served atomic.Pointer[http.Handler] // what the operator's address answers
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if h := served.Load(); h != nil {
			(*h).ServeHTTP(w, q)
			return
		}
		http.NotFound(w, q)
	}))
	t.Cleanup(second.Close)

	list := must(statuslist.NewPublisher(must(statuslist.NewValues(2, make([]byte, 3000)))(t)))(t)
	must(0, list.Set(7, statuslist.Revoked))(t)
	var token, record []byte
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasSuffix(q.URL.Path, "/records") {
			_, _ = w.Write(must(registry.Encode([][]byte{record}))(t))
			return
		}
		_, _ = w.Write(token)
	}))
	t.Cleanup(first.Close)
	op := r.CreateDID(t, []registry.NewKey{{ID: "st", Use: registry.UseStatus, Key: signing(secondKey, "").Public}},
		[]registry.Service{{ID: "status", Type: "StatusListPublisher", Endpoint: second.URL}})
	agency := r.CreateDID(t, []registry.NewKey{{ID: "k", Use: registry.UseAssertion, Key: signing(key, "").Public}},
		[]registry.Service{{ID: "status", Type: "StatusListPublisher", Endpoint: first.URL}})
	r.Accredit(t, agency.DID, monthType, registry.AccreditBody{Operator: op.DID})
	uri := r.StatusURL + "/" + agency.DID.ID() + "/1"
	sign := func(s keys.Signer, kid string, at time.Time) (token, record []byte) {
		snap := must(list.Snapshot())(t)
		token = must(statuslist.SignJWT(s, keys.Header{Kid: kid}, statuslist.Claims{URI: uri, IssuedAt: at, ExpiresAt: at.Add(time.Hour), TTL: time.Minute,
			Bits: snap.Bits, Compressed: snap.Compressed}))(t)
		return token, must(statuslist.Record{URI: uri, Bits: snap.Bits, Length: snap.Length, Root: snap.Root, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal())(t)
	}
	at := time.Now().UTC().Truncate(time.Second).Add(-5 * time.Minute)
	token, record = sign(key, agency.DID.URL("k"), at)
	r.Epoch(t, registry.StatusEpoch{Issuer: agency.DID, Sequence: 1, IssuedAt: at, NextUpdate: at.Add(time.Minute), Root: statuslist.EpochRoot([][]byte{record})}, signing(key, agency.DID.URL("k")))
	wait := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("never: " + what)
			}
		}
	}
	stored := func() uint64 { e, _ := r.Node.Statuses().Epoch(agency.DID); return e.Sequence }
	wait("the node has the issuer's list", func() bool { return stored() == 1 })
	first.Close() // for good

	clock := at.Add(2 * time.Minute)
	o := must(operator.New(operator.Config{Issuer: agency.DID, Via: registry.AccreditationRef{Type: monthType, N: 1}, DID: op.DID, KeyID: "st", Key: secondKey,
		Chain: r.Client, Submitter: r.Client, Network: "local", ChainID: r.Node.ChainID(), Dir: t.TempDir(), Now: func() time.Time { return clock }, Every: time.Minute}))(t)
	publisher := o.Handler()
	served.Store(&publisher)
	if published := must(o.Tick(t.Context()))(t); !published {
		t.Fatal("the operator did not step in")
	}
	wait("the node has the operator's lists", func() bool { return stored() == 2 })
	for _, media := range []string{statuslist.MediaTypeJWT, statuslist.MediaTypeCWT} { // re-dated: nothing else is needed to compare
		wait("a reader has the re-dated list as "+media, func() bool {
			l, err := r.Client.StatusList(t.Context(), uri, media)
			return err == nil && l.Base != nil && len(l.Base.Token) == 0
		})
	}
	clock = clock.Add(30 * time.Second)
	must(0, o.Worsen(t.Context(), operator.Decision{Officer: "officer-7", Reason: "LOST", To: statuslist.Revoked, Entries: []statuslist.Reference{{URI: uri, Index: 9}}}))(t)
	wait("the node has the operator's lists", func() bool { return stored() == 3 })
	reads := func(idx uint64) statuslist.Status {
		t.Helper()
		var s statuslist.Status
		wait("a reader has the newest list", func() bool {
			e, _, err := r.Client.StatusEpoch(t.Context(), agency.DID)
			l, lerr := r.Client.StatusList(t.Context(), uri, statuslist.MediaTypeJWT)
			if err != nil || lerr != nil || e.Sequence != 3 || statuslist.EpochRoot([][]byte{l.Record}) != e.Root || l.Base == nil || len(l.Base.Token) == 0 {
				return false
			}
			s = must(must(must(statuslist.ParseRecord(l.Record))(t).Read(statuslist.MediaTypeJWT, l.Token))(t).Status(idx))(t)
			return true
		})
		return s
	}
	if reads(9) != statuslist.Revoked || reads(7) != statuslist.Revoked || reads(8) != statuslist.Valid {
		t.Error("the list is not the one that was decided")
	}
	t.Run("an entry gets better", func(t *testing.T) {
		must(0, list.Set(7, statuslist.Valid))(t)
		bad, badRecord := sign(secondKey, op.DID.URL("st"), clock.Add(time.Second))
		rogue := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			switch {
			case strings.Contains(q.URL.Path, "/base/"):
				http.NotFound(w, q) // the node has it
			case strings.HasSuffix(q.URL.Path, "/records"):
				_, _ = w.Write(must(registry.Encode([][]byte{badRecord}))(t))
			default:
				_, _ = w.Write(bad)
			}
		}))
		served.Store(&rogue)
		body := &registry.EpochBody{IssuedAt: clock.Add(time.Second).Unix(), NextUpdate: clock.Add(time.Hour).Unix(), Root: statuslist.EpochRoot([][]byte{badRecord}),
			Via: &registry.AccreditationRef{Type: monthType, N: 1}}
		raw := must(registry.Operation{Network: "local", ChainID: r.Node.ChainID(), DID: agency.DID, Seq: 4, Body: body}.Sign(signing(secondKey, op.DID.URL("st"))))(t)
		if out := must(r.Client.Submit(t.Context(), raw))(t); out[0].Code != "ok" {
			t.Fatalf("%+v", out)
		}
		wait("a reader says that the list stays behind", func() bool {
			_, _ = r.Client.StatusList(t.Context(), uri, statuslist.MediaTypeJWT)
			return slices.Contains(r.Client.Behind(), statuslist.MediaTypeJWT+" "+uri)
		})
		if l := must(r.Client.StatusList(t.Context(), uri, statuslist.MediaTypeJWT))(t); string(l.Token) == string(bad) || stored() != 3 {
			t.Error("it was taken")
		}
		// A node that lies serves it all the same: the reader compares.
		liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path != "/v1/status" {
				http.Redirect(w, q, r.URL+q.URL.RequestURI(), http.StatusTemporaryRedirect)
				return
			}
			_, _ = w.Write(must(light.EncodeStatusList(registry.StatusList{URI: uri, Token: bad, Record: badRecord, Path: [][]byte{}, Size: 1,
				Base: &registry.StatusList{URI: uri, Token: token, Record: record, Path: [][]byte{}, Size: 1}}))(t))
		}))
		t.Cleanup(liar.Close)
		c := must(light.New(light.Config{Nodes: []string{liar.URL}, Trust: r.Trust, HTTP: http.DefaultClient}))(t)
		if _, err := c.StatusList(t.Context(), uri, statuslist.MediaTypeJWT); !errors.Is(err, statuslist.ErrImproved) {
			t.Errorf("the reader took it: %v", err)
		}
	})
}
