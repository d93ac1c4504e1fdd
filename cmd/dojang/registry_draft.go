package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

const draftFormat = "dojang-operation/1"

// draftJSON is an operation on its way from the machine that knows the chain to the one that has a key, and back. It
// holds no secret, and nothing in it counts but what is signed.
type draftJSON struct {
	Format    string `json:"format"`              // draftFormat
	Payload   string `json:"payload,omitempty"`   // base64url, while nobody has signed
	Operation string `json:"operation,omitempty"` // base64url of the signed operation
	Proposed  string `json:"proposed,omitempty"`  // base64url of the payload that a vote is about
}

// A draft is an operation that members sign, one after the other.
type draft struct {
	op       *registry.Operation
	payload  []byte
	signed   *registry.SignedOperation // nil: by nobody
	raw      []byte                    // of signed
	proposed []byte                    // payload that a vote is about
}

func newDraft(o registry.Operation) (*draft, error) {
	payload, err := o.Payload()
	if err != nil {
		return nil, err
	}
	return &draft{op: &o, payload: payload}, nil
}

func readDraft(path string) (*draft, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := parseDraft(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

var errDraft = errors.New("not an operation file of this version")

func parseDraft(raw []byte) (*draft, error) {
	var j draftJSON
	if len(raw) > 4*registry.MaxOperation {
		return nil, errDraft
	}
	if err := json.Unmarshal(raw, &j, json.RejectUnknownMembers(true)); err != nil || j.Format != draftFormat || (j.Payload == "") == (j.Operation == "") {
		return nil, errDraft
	}
	d := &draft{}
	var err error
	if j.Payload != "" {
		if d.payload, err = keys.DecodeBase64URL(j.Payload); err != nil {
			return nil, errDraft
		}
		if d.op, err = registry.ParsePayload(d.payload); err != nil {
			return nil, errDraft
		}
	} else if err := d.take(j.Operation); err != nil {
		return nil, err
	}
	if j.Proposed != "" {
		if d.proposed, err = keys.DecodeBase64URL(j.Proposed); err != nil {
			return nil, errDraft
		}
	}
	return d, nil
}

func (d *draft) take(operation string) error {
	raw, err := keys.DecodeBase64URL(operation)
	if err != nil {
		return errDraft
	}
	signed, err := registry.ParseOperation(raw)
	if err != nil {
		return errDraft
	}
	d.op, d.payload, d.signed, d.raw = &signed.Operation, signed.Payload, signed, raw
	return nil
}

// sign adds a member's signature.
func (d *draft) sign(key registry.SigningKey) error {
	if slices.Contains(d.signers(), key.Role) {
		return errors.New("this member has signed it")
	}
	if member := d.member(); member != "" && registry.RoleMember(member) != key.Role {
		return fmt.Errorf("it is for %s to sign", member)
	}
	raw, err := d.with(key)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return d.take(keys.EncodeBase64URL(raw))
}

func (d *draft) with(key registry.SigningKey) ([]byte, error) {
	if d.signed != nil {
		return registry.AddSignature(d.raw, key)
	}
	return d.op.Sign(key)
}

// member is who alone can sign it; empty where several do.
func (d *draft) member() string {
	switch b := d.op.Body.(type) {
	case *registry.ProposeBody:
		return b.Member
	case *registry.VoteBody:
		return b.Member
	}
	return ""
}

// signers are the roles that have signed.
func (d *draft) signers() []string {
	if d.signed == nil {
		return nil
	}
	var out []string
	for _, s := range d.signed.Signatures {
		out = append(out, s.Role)
	}
	return out
}

// says is what the operation does, for people who decide whether to sign it. A vote names its proposal by hash: without
// the proposed payload beside it nobody can know what it says.
func (d *draft) says() (string, error) {
	vote, ok := d.op.Body.(*registry.VoteBody)
	if !ok {
		return operationWords(d.op), nil
	}
	op, err := registry.ParsePayload(d.proposed)
	if err != nil || sha256.Sum256(d.proposed) != vote.Proposal {
		return "", errors.New("the file does not show what the vote is about")
	}
	return voteWords(vote, operationWords(op)), nil
}

func (d *draft) write(path string) error {
	j := draftJSON{Format: draftFormat}
	if d.signed == nil {
		j.Payload = keys.EncodeBase64URL(d.payload)
	} else {
		j.Operation = keys.EncodeBase64URL(d.raw)
	}
	if d.proposed != nil {
		j.Proposed = keys.EncodeBase64URL(d.proposed)
	}
	raw, err := json.Marshal(j, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	return writeFile(path, append(raw, '\n'))
}
