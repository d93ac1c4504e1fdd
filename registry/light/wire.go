package light

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// What travels between a reader and a node's HTTP face (registry/web), both directions in this one file.
//
//	GET  /v1/evidence?did=&kid=&vct=&purpose=&status=1&list=&entry=&type=&op=&leaf=&anchor=&header=&at=&known=&height=   Evidence (registry/evidence)
//	GET  /v1/headers/{height|latest}                         the engine's LightBlock, protobuf; latest?after=H waits for one above H
//	GET  /v1/header-tree/{size}/{height}                     a header under an earlier header tree (evidence.EncodePoints)
//	GET  /v1/status?uri=                                     StatusList below; Accept: the token's media type
//	POST /v1/operations                                      CBOR array of signed operations -> CBOR array of outcomes
//	GET  /v1/operations/{hash}                               Evidence of an outcome; hash is the multihash in hex
//	GET  /v1/lists/{issuer}/records, /v1/lists/{issuer}/{list}   published lists, for other nodes (as from the issuer's publisher)
//	GET  /v1/lists/{issuer}/base/…                           what the issuer published last, where its operator has gone on
//	GET  /v1/archive?root=, /v1/archive?hash=                old lists by hash, for other nodes (registry/README.md, "Archive of lists")
//	GET  /v1/snapshots/latest                                what the newest snapshot is made of (chain.Snapshot)
//	GET  /v1/snapshots/{height}/{index}                      one chunk of it
//	GET  /v1/genesis                                         the network's genesis, JSON
//	GET  /v1/trust-bundles?after=N                           CBOR array of trust bundles, as their files
//	POST /v1/anchors, GET /v1/head                           of the management API: see anchors.go
//	GET  /v1/health                                          {"status": "ok" | "syncing" | "stuck", "height", "time"}
const (
	TypeEvidence   = "application/vnd.dojang.evidence+cbor"
	TypeLightBlock = "application/vnd.dojang.light-block+protobuf"
	TypeStatus     = "application/vnd.dojang.status-list+cbor"
	TypeOperations = "application/vnd.dojang.operations+cbor"
	TypeOutcomes   = "application/vnd.dojang.outcomes+cbor"
)

// Limits of one exchange.
const (
	MaxQueryKeys  = 16        // keys, types and purposes of one query
	MaxOperations = 100       // operations of one submission
	MaxSubmission = 480 << 10 // bytes
	MaxEvidence   = 256 << 10
	maxStatus     = 10 << 20 // two tokens, where an operator changed values
	maxLeafKey    = 512
	maxListURI    = 512
)

// A Query names the leaves of one Evidence, all under one header. The newest header proves every moment of the past;
// Height asks what was known at an older one, as long as nodes keep that state.
type Query struct {
	DID      registry.DID
	Keys     []string // fragments
	Types    []string // vct: accreditations of DID
	Purposes []string // verifier registrations of DID
	Status   bool     // DID's status epoch
	Metadata []string // vct: type digests; needs no DID
	// List is the URI of one of DID's status lists as it stood at the earlier of At and Known, with the chunk that holds Entry: it
	// comes with Status and with such a moment only, the newest list is to be had whole. Entry is rounded down to a multiple of
	// statuslist.EntryGroup, so that no node learns whose it is.
	List  string
	Entry uint64
	// Operations whose outcomes are asked for; need no DID.
	Operations []registry.Hash
	// Leaves are further leaf keys as they stand in the tree (registry README, "Leaves"); need no DID.
	Leaves [][]byte
	// Anchors are roots of time anchors, with the headers that date them; need no DID.
	Anchors [][32]byte
	// Headers are heights of older headers to be shown by the header tree; need no DID.
	Headers []uint64
	// At and Known are moments of which keys, accreditations, registrations and the status epoch are asked as they stood, beside
	// their newest state (evidence.Moment); zero: none.
	At, Known time.Time
	Height    uint64 // of the header; 0: the newest
}

// ErrQuery: the query is malformed, empty, or larger than allowed.
var ErrQuery = errors.New("registry/light: malformed query")

// Values is the query as URL parameters.
func (q Query) Values() url.Values {
	v := url.Values{}
	if q.DID != "" {
		v.Set("did", string(q.DID))
	}
	v["kid"], v["vct"], v["purpose"], v["type"] = q.Keys, q.Types, q.Purposes, q.Metadata
	if q.Status {
		v.Set("status", "1")
	}
	if q.List != "" {
		v.Set("list", q.List)
		v.Set("entry", strconv.FormatUint(q.Entry&^(statuslist.EntryGroup-1), 10))
	}
	for _, op := range q.Operations {
		v.Add("op", hex.EncodeToString(op[:]))
	}
	for _, key := range q.Leaves {
		v.Add("leaf", hex.EncodeToString(key))
	}
	for _, root := range q.Anchors {
		v.Add("anchor", hex.EncodeToString(root[:]))
	}
	for _, h := range q.Headers {
		v.Add("header", strconv.FormatUint(h, 10))
	}
	if !q.At.IsZero() {
		v.Set("at", strconv.FormatInt(q.At.Unix(), 10))
	}
	if !q.Known.IsZero() {
		v.Set("known", strconv.FormatInt(q.Known.Unix(), 10))
	}
	if q.Height > 0 {
		v.Set("height", strconv.FormatUint(q.Height, 10))
	}
	return v
}

// ParseQuery is the inverse; unknown and doubled parameters are refused.
func ParseQuery(v url.Values) (Query, error) {
	var q Query
	for name, values := range v {
		once := name == "did" || name == "status" || name == "list" || name == "entry" || name == "at" || name == "known" || name == "height"
		if slices.Contains(values, "") || once && len(values) != 1 || len(values) > MaxQueryKeys {
			return Query{}, ErrQuery
		}
		switch name {
		case "did":
			did, err := registry.ParseDID(values[0])
			if err != nil {
				return Query{}, ErrQuery
			}
			q.DID = did
		case "kid":
			q.Keys = values
		case "vct":
			q.Types = values
		case "purpose":
			q.Purposes = values
		case "type":
			q.Metadata = values
		case "status":
			if values[0] != "1" {
				return Query{}, ErrQuery
			}
			q.Status = true
		case "list":
			q.List = values[0]
		case "entry":
			n, err := strconv.ParseUint(values[0], 10, 63)
			if err != nil || n%statuslist.EntryGroup != 0 || n >= statuslist.MaxLength {
				return Query{}, ErrQuery
			}
			q.Entry = n
		case "op":
			for _, text := range values {
				hash, err := ParseHash(text)
				if err != nil {
					return Query{}, ErrQuery
				}
				q.Operations = append(q.Operations, hash)
			}
		case "leaf":
			for _, text := range values {
				key, err := hex.DecodeString(text)
				if err != nil || len(key) > maxLeafKey {
					return Query{}, ErrQuery
				}
				q.Leaves = append(q.Leaves, key)
			}
		case "anchor":
			for _, text := range values {
				root, err := hex.DecodeString(text)
				if err != nil || len(root) != 32 {
					return Query{}, ErrQuery
				}
				q.Anchors = append(q.Anchors, [32]byte(root))
			}
		case "header":
			for _, text := range values {
				n, err := strconv.ParseUint(text, 10, 63)
				if err != nil || n == 0 {
					return Query{}, ErrQuery
				}
				q.Headers = append(q.Headers, n)
			}
		case "at", "known":
			n, err := strconv.ParseInt(values[0], 10, 64)
			if err != nil || n <= 0 || n > 1<<40 {
				return Query{}, ErrQuery
			}
			if t := time.Unix(n, 0).UTC(); name == "at" {
				q.At = t
			} else {
				q.Known = t
			}
		case "height":
			n, err := strconv.ParseUint(values[0], 10, 63)
			if err != nil || n == 0 {
				return Query{}, ErrQuery
			}
			q.Height = n
		default:
			return Query{}, ErrQuery
		}
	}
	moment := !q.At.IsZero() || !q.Known.IsZero()
	if v.Has("list") != v.Has("entry") || q.List != "" && (!q.Status || !moment || len(q.List) > maxListURI) {
		return Query{}, ErrQuery
	}
	ofDID := len(q.Keys) + len(q.Types) + len(q.Purposes)
	if ofDID > MaxQueryKeys || (ofDID > 0 || q.Status) != (q.DID != "") || q.DID == "" && q.withoutDID() == 0 {
		return Query{}, ErrQuery
	}
	return q, nil
}

// withoutDID counts what a query asks for beside facts of its DID.
func (q Query) withoutDID() int {
	return len(q.Metadata) + len(q.Operations) + len(q.Leaves) + len(q.Anchors) + len(q.Headers)
}

// ParseHash reads the hex of an operation's multihash.
func ParseHash(text string) (registry.Hash, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return registry.Hash{}, ErrQuery
	}
	return registry.ParseHash(raw)
}

type wireOutcome struct {
	Hash   []byte `cbor:"1,keyasint"`
	Height uint64 `cbor:"2,keyasint"`
	Code   string `cbor:"3,keyasint"`
	Detail string `cbor:"4,keyasint,omitempty"`
}

// EncodeOutcomes is the answer to a submission.
func EncodeOutcomes(outcomes []registry.Outcome) ([]byte, error) {
	out := make([]wireOutcome, len(outcomes))
	for i, o := range outcomes {
		out[i] = wireOutcome(o)
	}
	return cbor.Marshal(out)
}

// DecodeOutcomes is the inverse; there must be one for each of n operations.
func DecodeOutcomes(raw []byte, n int) ([]registry.Outcome, error) {
	var in []wireOutcome
	if err := strict.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("outcomes: %w", err)
	}
	if len(in) != n {
		return nil, errors.New("outcomes: not one for each operation")
	}
	out := make([]registry.Outcome, n)
	for i, o := range in {
		out[i] = registry.Outcome(o)
	}
	return out, nil
}

// EncodeOperations is a submission.
func EncodeOperations(operations [][]byte) ([]byte, error) { return cbor.Marshal(operations) }

// DecodeOperations is the inverse: 1 to MaxOperations non-empty operations.
func DecodeOperations(raw []byte) ([][]byte, error) {
	var operations [][]byte
	if err := strict.Unmarshal(raw, &operations); err != nil {
		return nil, fmt.Errorf("operations: %w", err)
	}
	if len(operations) == 0 || len(operations) > MaxOperations {
		return nil, errors.New("operations: none, or too many")
	}
	for _, op := range operations {
		if len(op) == 0 {
			return nil, errors.New("operations: empty operation")
		}
	}
	return operations, nil
}

type wireStatus struct {
	URI    string      `cbor:"1,keyasint"`
	Token  []byte      `cbor:"2,keyasint"`
	Record []byte      `cbor:"3,keyasint"`
	Path   [][]byte    `cbor:"4,keyasint"`
	Index  uint64      `cbor:"5,keyasint"`
	Size   uint64      `cbor:"6,keyasint"`
	Base   *wireStatus `cbor:"7,keyasint,omitempty"`
}

func toWire(l registry.StatusList) wireStatus {
	w := wireStatus{URI: l.URI, Token: l.Token, Record: l.Record, Path: l.Path, Index: l.Index, Size: l.Size}
	if l.Base != nil {
		base := toWire(*l.Base)
		w.Base = &base
	}
	return w
}

func (w wireStatus) list() registry.StatusList {
	l := registry.StatusList{URI: w.URI, Token: w.Token, Record: w.Record, Path: w.Path, Index: w.Index, Size: w.Size}
	if w.Base != nil {
		base := w.Base.list()
		l.Base = &base
	}
	return l
}

// EncodeStatusList is the answer to GET /v1/status.
func EncodeStatusList(l registry.StatusList) ([]byte, error) { return cbor.Marshal(toWire(l)) }

// DecodeStatusList is the inverse.
func DecodeStatusList(raw []byte) (registry.StatusList, error) {
	var in wireStatus
	if err := strict.Unmarshal(raw, &in); err != nil {
		return registry.StatusList{}, fmt.Errorf("status list: %w", err)
	}
	if in.Base != nil && in.Base.Base != nil {
		return registry.StatusList{}, errors.New("status list: a base of a base")
	}
	return in.list(), nil
}

var strict = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxArrayElements: 1024, MaxMapPairs: 64, MaxNestedLevels: 8,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	if err != nil {
		panic(err) // constants of this file
	}
	return mode
}()
