package did_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
)

// key is a deterministic public key.
func key(name string) registry.PublicKey {
	seed := sha256.Sum256([]byte(name))
	k, err := registry.NewPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
	if err != nil {
		panic(err)
	}
	return k
}

// A world is a State, with signatures that are said, not made.
type world struct {
	dids     map[registry.DID]registry.DIDFact
	keys     map[string]registry.KeyFact
	services map[string]registry.ServiceFact
	height   uint64
}

func newWorld() *world {
	return &world{dids: map[registry.DID]registry.DIDFact{}, keys: map[string]registry.KeyFact{}, services: map[string]registry.ServiceFact{}, height: 1}
}

func (w *world) DID(d registry.DID) (*registry.DIDFact, error) { return found(w.dids, d) }
func (w *world) Key(d registry.DID, id string) (*registry.KeyFact, error) {
	return found(w.keys, d.URL(id))
}
func (w *world) Service(d registry.DID, id string) (*registry.ServiceFact, error) {
	return found(w.services, d.URL(id))
}

func found[K comparable, T any](m map[K]T, k K) (*T, error) {
	v, ok := m[k]
	if !ok {
		return nil, nil
	}
	return &v, nil
}

// signed says which keys signed in which roles, and whether the members did.
type signed struct {
	roles   map[string]string // role -> key's name
	members bool
}

func (s signed) Has(role string) bool { return s.roles[role] != "" }
func (s signed) By(role string, k registry.PublicKey) error {
	if name := s.roles[role]; name == "" || string(key(name)) != string(k) {
		return registry.Refuse(registry.CodeBadSignature, "")
	}
	return nil
}
func (s signed) Threshold() error {
	if !s.members {
		return registry.Refuse(registry.CodeThreshold, "")
	}
	return nil
}

const now = 1_800_000_000

// apply decides and, when it is allowed, writes.
func (w *world) apply(t interface{ Fatal(...any) }, op registry.Operation, s signed) (registry.DID, registry.Hash, registry.Code) {
	payload, err := op.Payload()
	if err != nil {
		t.Fatal(err)
	}
	so := &registry.SignedOperation{Operation: op, Payload: payload, Hash: registry.HashOf(payload)}
	w.height++
	c, err := did.Apply(did.Input{Operation: so, State: w, Signatures: s, Height: w.height, Time: now, Development: true})
	var no *registry.Refusal
	if errors.As(err, &no) {
		return so.ID(), so.Hash, no.Code
	}
	if err != nil {
		t.Fatal(err)
	}
	w.dids[c.ID] = c.DID
	for _, k := range c.Keys {
		w.keys[c.ID.URL(k.ID)] = k.Fact
	}
	for _, s := range c.Services {
		w.services[c.ID.URL(s.ID)] = s.Fact
	}
	return c.ID, so.Hash, registry.CodeOK
}

func createBody() *registry.CreateBody {
	return &registry.CreateBody{
		Op: key("op0"), Next: key("op1").Hash(), Recovery: key("rec0").Hash(),
		Keys:     []registry.NewKey{{ID: "k1", Use: registry.UseAssertion, Key: key("k1")}},
		Services: []registry.Service{{ID: "s1", Type: "StatusListPublisher", Endpoint: "https://a.example/"}},
	}
}

func by(pairs ...string) signed {
	s := signed{roles: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		s.roles[pairs[i]] = pairs[i+1]
	}
	return s
}

func members() signed { return signed{members: true} }

func TestRules(t *testing.T) {
	create := registry.Operation{Network: "n", ChainID: "c", Body: createBody()}
	controller := by("op", "op0")
	long := int64(now - 72*3600 - 1)
	recoverBody := &registry.RecoverBody{Key: key("rec0"), Op: key("new"), Next: key("new1").Hash(), Recovery: key("rec1").Hash()}
	byMembers := &registry.RecoverBody{Op: key("new"), Next: key("new1").Hash(), Recovery: key("rec1").Hash()}
	freeze := &registry.FreezeBody{Key: key("rec0"), Recovery: key("rec1").Hash()}
	for _, tc := range []struct {
		name   string
		before []registry.Body // executed by the controller, or what it takes
		body   registry.Body
		by     signed
		code   registry.Code
	}{
		{"update", nil, &registry.UpdateBody{Remove: []string{"s1"}}, controller, registry.CodeOK},
		{"update by nobody", nil, &registry.UpdateBody{Remove: []string{"s1"}}, members(), registry.CodeBadSignature},
		{"remove what is not there", nil, &registry.UpdateBody{Remove: []string{"s2"}}, controller, registry.CodeNotFound},
		{"key id used twice", nil, &registry.UpdateBody{Keys: []registry.NewKey{{ID: "k1", Use: registry.UseStatus, Key: key("x")}}}, controller, registry.CodeExists},
		{"key id of a retired key", []registry.Body{&registry.RetireBody{ID: "k1"}}, &registry.UpdateBody{Keys: []registry.NewKey{{ID: "k1", Use: registry.UseStatus, Key: key("x")}}}, controller, registry.CodeExists},
		{"removed and set", nil, &registry.UpdateBody{Remove: []string{"s1"}, Services: []registry.Service{{ID: "s1", Type: "T", Endpoint: "https://b.example/"}}}, controller, registry.CodeMalformed},
		{"rotate", nil, &registry.RotateBody{Key: key("op1"), Next: key("op2").Hash()}, by("op", "op0", "next", "op1"), registry.CodeOK},
		{"rotate to another key", nil, &registry.RotateBody{Key: key("x"), Next: key("op2").Hash()}, by("op", "op0", "next", "x"), registry.CodeNotAllowed},
		{"rotate and commit to the same", nil, &registry.RotateBody{Key: key("op1"), Next: key("op1").Hash()}, by("op", "op0", "next", "op1"), registry.CodeNotAllowed},
		{"retire", nil, &registry.RetireBody{ID: "k1"}, controller, registry.CodeOK},
		{"retire by members", nil, &registry.RetireBody{ID: "k1"}, members(), registry.CodeOK},
		{"retire twice", []registry.Body{&registry.RetireBody{ID: "k1"}}, &registry.RetireBody{ID: "k1"}, controller, registry.CodeNotAllowed},
		{"retire what is not there", nil, &registry.RetireBody{ID: "k9"}, controller, registry.CodeNotFound},
		{"compromise", nil, &registry.CompromiseBody{ID: "k1", From: now - 3600}, controller, registry.CodeOK},
		{"compromise 72 h back", nil, &registry.CompromiseBody{ID: "k1", From: now - 72*3600}, controller, registry.CodeOK},
		{"compromise further back, controller alone", nil, &registry.CompromiseBody{ID: "k1", From: long}, controller, registry.CodeThreshold},
		{"compromise further back, members", nil, &registry.CompromiseBody{ID: "k1", From: long}, members(), registry.CodeOK},
		{"compromise further back, both", nil, &registry.CompromiseBody{ID: "k1", From: long}, signed{roles: map[string]string{"op": "op0"}, members: true}, registry.CodeOK},
		{"compromise further back, members and a thief", nil, &registry.CompromiseBody{ID: "k1", From: long}, signed{roles: map[string]string{"op": "thief"}, members: true}, registry.CodeBadSignature},
		{"compromise in the future", nil, &registry.CompromiseBody{ID: "k1", From: now + 1}, controller, registry.CodeBadTime},
		{"compromise declared weaker", []registry.Body{&registry.CompromiseBody{ID: "k1", From: now - 100}}, &registry.CompromiseBody{ID: "k1", From: now - 50}, controller, registry.CodeThreshold},
		{"compromise declared earlier", []registry.Body{&registry.CompromiseBody{ID: "k1", From: now - 50}}, &registry.CompromiseBody{ID: "k1", From: now - 100}, controller, registry.CodeOK},
		{"recover", nil, recoverBody, by("op", "new", "recovery", "rec0"), registry.CodeOK},
		{"recover without the new key", nil, recoverBody, by("recovery", "rec0"), registry.CodeBadSignature},
		{"recover by the operation key", nil, recoverBody, by("op", "new", "recovery", "op0"), registry.CodeBadSignature},
		{"recover with a key not committed to", nil, &registry.RecoverBody{Key: key("x"), Op: key("new"), Next: key("new1").Hash(), Recovery: key("rec1").Hash()}, by("op", "new", "recovery", "x"), registry.CodeNotAllowed},
		{"recover and keep the shown key", nil, &registry.RecoverBody{Key: key("rec0"), Op: key("new"), Next: key("new1").Hash(), Recovery: key("rec0").Hash()}, by("op", "new", "recovery", "rec0"), registry.CodeNotAllowed},
		{"recover and commit to the operation key that is replaced", nil, &registry.RecoverBody{Key: key("rec0"), Op: key("new"), Next: key("op0").Hash(), Recovery: key("rec1").Hash()}, by("op", "new", "recovery", "rec0"), registry.CodeNotAllowed},
		{"recover and commit to the shown key as the next", nil, &registry.RecoverBody{Key: key("rec0"), Op: key("new"), Next: key("rec0").Hash(), Recovery: key("rec1").Hash()}, by("op", "new", "recovery", "rec0"), registry.CodeNotAllowed},
		{"recover by members", nil, byMembers, signed{roles: map[string]string{"op": "new"}, members: true}, registry.CodeOK},
		{"recover by the controller alone", nil, byMembers, by("op", "new"), registry.CodeThreshold},
		{"freeze", nil, freeze, by("recovery", "rec0"), registry.CodeOK},
		{"freeze and commit to the operation key", nil, &registry.FreezeBody{Key: key("rec0"), Recovery: key("op0").Hash()}, by("recovery", "rec0"), registry.CodeNotAllowed},
		{"freeze and commit to the next key", nil, &registry.FreezeBody{Key: key("rec0"), Recovery: key("op1").Hash()}, by("recovery", "rec0"), registry.CodeNotAllowed},
		{"freeze by the controller", nil, freeze, controller, registry.CodeBadSignature},
		{"update while frozen", []registry.Body{freeze}, &registry.UpdateBody{Remove: []string{"s1"}}, controller, registry.CodeFrozen},
		{"deactivate while frozen", []registry.Body{freeze}, &registry.DeactivateBody{}, controller, registry.CodeFrozen},
		{"recover while frozen", []registry.Body{freeze}, &registry.RecoverBody{Key: key("rec1"), Op: key("new"), Next: key("new1").Hash(), Recovery: key("rec2").Hash()}, by("op", "new", "recovery", "rec1"), registry.CodeOK},
		{"deactivate", nil, &registry.DeactivateBody{}, controller, registry.CodeOK},
		{"compromise after deactivation, members", []registry.Body{&registry.DeactivateBody{}}, &registry.CompromiseBody{ID: "k1", From: now - 50}, members(), registry.CodeOK},
		{"compromise after deactivation, controller alone", []registry.Body{&registry.DeactivateBody{}}, &registry.CompromiseBody{ID: "k1", From: now - 50}, controller, registry.CodeThreshold},
		{"after deactivation", []registry.Body{&registry.DeactivateBody{}}, recoverBody, by("op", "new", "recovery", "rec0"), registry.CodeDeactivated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			id, prev, code := w.apply(t, create, controller)
			if code != registry.CodeOK {
				t.Fatal(code)
			}
			next := registry.Operation{Network: "n", ChainID: "c", DID: id, Seq: 1, Prev: prev}
			for _, body := range tc.before {
				who := controller
				if _, ok := body.(*registry.FreezeBody); ok {
					who = by("recovery", "rec0")
				}
				next.Body = body
				if _, prev, code = w.apply(t, next, who); code != registry.CodeOK {
					t.Fatalf("before: %s", code)
				}
				next.Seq, next.Prev = next.Seq+1, prev
			}
			was, keys, services := w.dids[id], len(w.keys), len(w.services)
			next.Body = tc.body
			if _, _, code = w.apply(t, next, tc.by); code != tc.code {
				t.Fatalf("%s, want %s", code, tc.code)
			}
			if got := w.dids[id]; code != registry.CodeOK && (got.Seq != was.Seq || got.Head != was.Head || len(w.keys) != keys || len(w.services) != services) {
				t.Fatal("a refused operation changed something")
			}
		})
	}
}

func TestCreateNeedsDifferentKeys(t *testing.T) {
	for name, change := range map[string]func(*registry.CreateBody){
		"next is the first":     func(b *registry.CreateBody) { b.Next = b.Op.Hash() },
		"recovery is the first": func(b *registry.CreateBody) { b.Recovery = b.Op.Hash() },
		"recovery is the next":  func(b *registry.CreateBody) { b.Recovery = b.Next },
	} {
		b := createBody()
		change(b)
		if _, _, code := newWorld().apply(t, registry.Operation{Network: "n", ChainID: "c", Body: b}, by("op", "op0")); code != registry.CodeNotAllowed {
			t.Errorf("%s: %s", name, code)
		}
	}
}

// A deactivated identifier has no key in force: every one of them is retired in the same operation.
func TestDeactivationRetiresAllKeys(t *testing.T) {
	w := newWorld()
	id, prev, _ := w.apply(t, registry.Operation{Network: "n", ChainID: "c", Body: createBody()}, by("op", "op0"))
	_, _, code := w.apply(t, registry.Operation{Network: "n", ChainID: "c", DID: id, Seq: 1, Prev: prev, Body: &registry.DeactivateBody{}}, by("op", "op0"))
	if k := w.keys[id.URL("k1")]; code != registry.CodeOK || k.Retired != w.height || len(w.dids[id].Keys) != 0 || w.dids[id].Deactivated != w.height {
		t.Fatalf("%s %+v %+v", code, k, w.dids[id])
	}
}

// R4: whatever is tried in whatever order by whomever, the versions of an identifier are a chain without gap or fork, and
// each was signed by a key that the version before it authorised.
func TestHistoryIsAChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		id, prev, code := w.apply(t, registry.Operation{Network: "n", ChainID: "c", Body: createBody()}, by("op", "op0"))
		if code != registry.CodeOK {
			t.Fatal(code)
		}
		names := []string{"op0", "op1", "op2", "op3", "rec0", "rec1", "rec2", "thief"}
		name := rapid.SampledFrom(names)
		heads, seen := []registry.Hash{prev}, map[[32]byte]bool{prev.Digest(): true}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			fact := w.dids[id]
			op := registry.Operation{Network: "n", ChainID: "c", DID: id, Body: drawBody(t, name)}
			at := rapid.IntRange(max(0, len(heads)-3), len(heads)-1).Draw(t, "on top of")
			op.Seq, op.Prev = uint64(at+1), heads[at]
			s := signed{roles: map[string]string{}, members: rapid.IntRange(0, 5).Draw(t, "members") == 0}
			for _, role := range []string{"op", "next", "recovery"} {
				if rapid.Bool().Draw(t, role) {
					s.roles[role] = name.Draw(t, "key of "+role)
				}
			}
			_, hash, code := w.apply(t, op, s)
			now := w.dids[id]
			if code != registry.CodeOK {
				if now.Head != fact.Head || now.Seq != fact.Seq {
					t.Fatal("a refused operation moved the history")
				}
				continue
			}
			if at != len(heads)-1 || now.Seq != fact.Seq+1 || now.Head != hash.Digest() || seen[now.Head] {
				t.Fatalf("a gap or a fork: %+v on %+v", now, fact)
			}
			declared := op.Body.Kind() == registry.KindKeyCompromise && s.members
			if (fact.Deactivated != 0 && !declared) || now.Deactivated < fact.Deactivated || (now.Deactivated != 0 && len(now.Keys) != 0) ||
				(fact.Frozen != 0 && op.Body.Kind() != registry.KindRecover) {
				t.Fatal("the history went on after its end")
			}
			if !authorised(fact, op.Body, s) {
				t.Fatalf("%s by %+v was not authorised by %+v", op.Body.Kind(), s, fact)
			}
			heads, seen[now.Head] = append(heads, hash), true
		}
	})
}

// authorised is the rule in other words than the code's: who may do what, as the version before has it.
func authorised(before registry.DIDFact, body registry.Body, s signed) bool {
	holds := func(role string, is func(registry.PublicKey) bool) bool {
		return s.roles[role] != "" && is(key(s.roles[role]))
	}
	current := func(k registry.PublicKey) bool { return string(k) == string(before.Op) }
	committed := func(k registry.PublicKey) bool { return k.Hash().Digest() == before.Next }
	recovery := func(k registry.PublicKey) bool { return k.Hash().Digest() == before.Recovery }
	switch body.(type) {
	case *registry.RotateBody:
		return holds("op", current) && holds("next", committed)
	case *registry.RecoverBody:
		return s.members || holds("recovery", recovery)
	case *registry.FreezeBody:
		return holds("recovery", recovery)
	case *registry.UpdateBody:
		return holds("op", current)
	}
	return s.members || holds("op", current)
}

func drawBody(t *rapid.T, name *rapid.Generator[string]) registry.Body {
	k := func(what string) registry.PublicKey { return key(name.Draw(t, what)) }
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0, 1:
		return &registry.RotateBody{Key: k("revealed"), Next: k("next").Hash()}
	case 2:
		return &registry.RecoverBody{Key: k("revealed"), Op: k("op"), Next: k("next").Hash(), Recovery: k("recovery").Hash()}
	case 3:
		return &registry.FreezeBody{Key: k("revealed"), Recovery: k("recovery").Hash()}
	case 4:
		return &registry.RetireBody{ID: "k1"}
	case 5:
		return &registry.CompromiseBody{ID: "k1", From: now - int64(rapid.IntRange(0, 400_000).Draw(t, "back"))}
	case 6:
		if rapid.IntRange(0, 9).Draw(t, "end") == 0 {
			return &registry.DeactivateBody{}
		}
	}
	id := fmt.Sprint("x", rapid.IntRange(0, 20).Draw(t, "id"))
	return &registry.UpdateBody{Keys: []registry.NewKey{{ID: id, Use: registry.UseAssertion, Key: key(id)}}}
}

func TestDocument(t *testing.T) {
	w := newWorld()
	b := createBody()
	b.Keys = append(b.Keys, registry.NewKey{ID: "a1", Use: registry.UseAttestation, Key: key("a1")}, registry.NewKey{ID: "v1", Use: registry.UseAuthentication, Key: key("v1")})
	id, _, code := w.apply(t, registry.Operation{Network: "n", ChainID: "c", Body: b}, by("op", "op0"))
	if code != registry.CodeOK {
		t.Fatal(code)
	}
	rec := did.Record{ID: id, DID: w.dids[id], Created: time.Unix(now, 5).UTC(), Updated: time.Unix(now, 5).UTC()}
	for _, k := range rec.DID.Keys {
		rec.Keys = append(rec.Keys, did.Named[registry.KeyFact]{ID: k, Fact: w.keys[id.URL(k)]})
	}
	rec.Services = []did.Named[registry.ServiceFact]{{ID: "s1", Fact: w.services[id.URL("s1")]}, {ID: "gone", Fact: registry.ServiceFact{Type: "T", Endpoint: "https://x.example/"}}}
	doc, err := rec.Document()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"id":"` + string(id) + `"`, `"type":"JsonWebKey2020"`, `"assertionMethod":["` + id.URL("k1") + `"]`,
		`"authentication":["` + id.URL("v1") + `"]`, `"serviceEndpoint":"https://a.example/"`, `"controller":"` + string(id) + `"`,
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("no %s in %s", want, doc)
		}
	}
	if strings.Contains(string(doc), "gone") || strings.Count(string(doc), id.URL("a1")) != 1 {
		t.Errorf("%s", doc)
	}
	meta, err := rec.Metadata()
	if err != nil || string(meta) != `{"created":"2027-01-15T08:00:00Z","updated":"2027-01-15T08:00:00Z","versionId":"0"}` {
		t.Fatalf("%s, %v", meta, err)
	}
}

func TestAllowedURI(t *testing.T) {
	good := []string{"https://a.example", "https://a.example:8443/x?y=1", "https://a.example?y=1", "https://[::1]", "https://a.example/%7Ea/~b"}
	dev := []string{"http://localhost:8080/status", "http://127.0.0.1:1/", "http://[::1]:8080/"}
	bad := []string{
		"", "https://", "javascript:alert(1)", "HTTPS://a.example", "https://u@a.example", "https://a.example/#f", "http://a.example/",
		"https://a.example:", "https://a.example:65536/", "https://a.example:-1/", "https://[::1/", "https://[2001:db8::1]:8443/", "https://::1/", "https://a.example/%zz", "https://a.example/%2", "https://a example/",
		"https://a.example\\@b.example/", "https://한국.example/", "https://a.example/\x00", "https://?x", "https:///x", "ftp://a.example/",
		"http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "//a.example", "https:a.example", "https://a.example/ x", "http://0x7f000001/",
	}
	for _, u := range slices.Concat(good, dev, bad) {
		inGood, inDev := slices.Contains(good, u), slices.Contains(dev, u)
		if did.AllowedURI(u, false) != inGood || did.AllowedURI(u, true) != (inGood || inDev) {
			t.Errorf("%q: %v %v", u, did.AllowedURI(u, false), did.AllowedURI(u, true))
		}
	}
}

func FuzzAllowedURI(f *testing.F) {
	for _, s := range []string{"https://a.example/", "http://localhost:1/", "javascript:x", "http://[::1%25x]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !did.AllowedURI(s, false) {
			return
		}
		u, err := url.Parse(s) // what it takes, every reader takes, and as the same
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
