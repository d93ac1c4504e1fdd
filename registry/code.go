package registry

import "fmt"

// A Code is the outcome of an operation or of a transaction. The list is closed; README.md has it.
type Code string

// Outcomes of an operation.
const (
	CodeOK              Code = "ok"
	CodeMalformed       Code = "malformed"
	CodeLimit           Code = "limit-exceeded"
	CodeWrongNetwork    Code = "wrong-network"
	CodeBadSignature    Code = "bad-signature"
	CodeThreshold       Code = "threshold"
	CodeVersionConflict Code = "version-conflict"
	CodeExists          Code = "already-exists"
	CodeNotFound        Code = "not-found"
	CodeDeactivated     Code = "deactivated"
	CodeFrozen          Code = "frozen"
	CodeNotAllowed      Code = "not-allowed"
	CodeTooSoon         Code = "too-soon"
	CodeBadTime         Code = "bad-time"
	CodeDuplicate       Code = "duplicate"       // this very operation has succeeded before
	CodeDuplicateClaim  Code = "duplicate-claim" // the person has claimed in this round
)

// Outcomes of a transaction only.
const (
	CodeNotASponsor Code = "not-a-sponsor"
	CodeNonce       Code = "nonce"
	CodeQuota       Code = "quota"
)

// A Refusal is a deterministic no of the chain's rules. Detail is for people and never echoes input.
type Refusal struct {
	Code   Code
	Detail string
}

func (r *Refusal) Error() string { return fmt.Sprintf("registry: %s: %s", r.Code, r.Detail) }

// Refuse makes a Refusal.
func Refuse(code Code, detail string) error { return &Refusal{Code: code, Detail: detail} }
