package chaintest

import (
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

// An Agency is a DID with its keys and the place it has in its histories.
type Agency struct {
	c        *Chain
	Name     string
	DID      registry.DID
	Seq      uint64
	Prev     registry.Hash
	ops      int // generation of the operation key
	recovery int
	epoch    uint64
}

// Keys of an agency. The operation key of generation i+1 is the next key of generation i.
func (a *Agency) Key(use string) Key { return NewKey(a.Name + " " + use) }
func (a *Agency) Op(i int) Key       { return a.Key(fmt.Sprint("op ", i)) }
func (a *Agency) Recovery(i int) Key { return a.Key(fmt.Sprint("recovery ", i)) }

// KeyIDs of the verification keys.
const (
	AssertionID      = "k1"
	AuthenticationID = "auth"
)

// Agency makes a DID with an assertion key, an authentication key and a service.
func (c *Chain) Agency(name string) *Agency {
	c.TB.Helper()
	a := &Agency{c: c, Name: name}
	op := a.CreateOperation()
	c.Must(c.Op(op, a.Op(0).As(registry.RoleOp)))
	return a.Created(op)
}

// CreateOperation is the operation that makes the agency.
func (a *Agency) CreateOperation() registry.Operation {
	return registry.Operation{Network: a.c.Genesis.Network, ChainID: a.c.Genesis.ChainID, Body: &registry.CreateBody{
		Op: a.Op(0).Public(), Next: a.Op(1).Public().Hash(), Recovery: a.Recovery(0).Public().Hash(),
		Keys: []registry.NewKey{
			{ID: AssertionID, Use: registry.UseAssertion, Key: a.Key(AssertionID).Public()},
			{ID: AuthenticationID, Use: registry.UseAuthentication, Key: a.Key(AuthenticationID).Public()},
		},
		Services: []registry.Service{{ID: "status", Type: "StatusListPublisher", Endpoint: "http://localhost:8080/status"}},
	}}
}

// NewAgency is an agency that is not on the chain yet.
func (c *Chain) NewAgency(name string) *Agency {
	a := &Agency{c: c, Name: name}
	return a.Created(a.CreateOperation())
}

// Created makes the agency the one of a create operation.
func (a *Agency) Created(op registry.Operation) *Agency {
	payload, err := op.Payload()
	if err != nil {
		a.c.TB.Fatal(err)
	}
	a.Prev = registry.HashOf(payload)
	a.DID = registry.DID("did:dojang:" + a.c.Genesis.Network + ":" + a.Prev.String())
	return a
}

// Next is the next operation of the DID's history, not yet signed.
func (a *Agency) Next(body registry.Body) registry.Operation {
	return registry.Operation{Network: a.c.Genesis.Network, ChainID: a.c.Genesis.ChainID, DID: a.DID, Seq: a.Seq + 1, Prev: a.Prev, Body: body}
}

// Took moves on to the next place of the history after an operation that was executed.
func (a *Agency) Took(op registry.Operation) {
	payload, err := op.Payload()
	if err != nil {
		a.c.TB.Fatal(err)
	}
	a.Seq, a.Prev = op.Seq, registry.HashOf(payload)
}

// Do executes the next operation with the current operation key.
func (a *Agency) Do(body registry.Body) {
	a.c.TB.Helper()
	op := a.Next(body)
	a.c.Must(a.c.Op(op, a.Op(a.ops).As(registry.RoleOp)))
	a.Took(op)
}

// Rotate moves to the next operation key.
func (a *Agency) Rotate() {
	a.c.TB.Helper()
	op := a.Next(&registry.RotateBody{Key: a.Op(a.ops + 1).Public(), Next: a.Op(a.ops + 2).Public().Hash()})
	a.c.Must(a.c.Op(op, a.Op(a.ops).As(registry.RoleOp), a.Op(a.ops+1).As(registry.RoleNext)))
	a.ops++
	a.Took(op)
}

// AccreditOperation accredits the agency for a type, number n.
func (a *Agency) AccreditOperation(vct string, n uint64) registry.Operation {
	return registry.Operation{Network: a.c.Genesis.Network, ChainID: a.c.Genesis.ChainID, DID: a.DID, Body: &registry.AccreditBody{
		Type: vct, N: n, Basis: []string{"Resident Registration Act Art. 24-2"}, Roots: [][32]byte{{1, 2, 3}},
		Host: "http://localhost:8090", From: Begin.Unix() - 86400,
	}}
}

// Accredit accredits the agency for a type by the first member alone.
func (a *Agency) Accredit(vct string) {
	a.c.TB.Helper()
	a.c.Must(a.c.Op(a.AccreditOperation(vct, 1), Member(0)))
}

// EpochOperation is the next status epoch.
func (a *Agency) EpochOperation() registry.Operation {
	a.epoch++
	iat := a.c.Time.Unix()
	return registry.Operation{Network: a.c.Genesis.Network, ChainID: a.c.Genesis.ChainID, DID: a.DID, Seq: a.epoch, Body: &registry.EpochBody{
		IssuedAt: iat, NextUpdate: iat + 86400, Root: [32]byte{9, byte(a.epoch)},
	}}
}

// Epoch publishes a status epoch.
func (a *Agency) Epoch() {
	a.c.TB.Helper()
	a.c.Must(a.c.Op(a.EpochOperation(), a.Key(AssertionID).As(a.DID.URL(AssertionID))))
}
