package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dojang-id/dojang/internal/httpd"
)

type memberJSON struct {
	ID   string            `json:"id"`
	Name map[string]string `json:"name" doc:"Language tag to name"`
}

type nodeOutput struct {
	Body struct {
		Network     string          `json:"network"`
		ChainID     string          `json:"chain_id"`
		Development bool            `json:"development"`
		HeartbeatMS int64           `json:"heartbeat_ms"`
		NodeID      string          `json:"node_id" doc:"Names the node to its peers"`
		Health      healthJSON      `json:"health"`
		Members     []memberJSON    `json:"members"`
		Peers       []peerJSON      `json:"peers" doc:"Connected now"`
		Validators  []validatorJSON `json:"validators" doc:"Of the newest header"`
		// ArchiveMissing grows and falls with what the node looks for among its peers.
		ArchiveMissing int64 `json:"archive_missing" doc:"Status epochs whose lists this node does not have (yet)"`
	}
}

type peerJSON struct {
	ID        string  `json:"id"`
	Address   string  `json:"address"`
	Outbound  bool    `json:"outbound"`
	Connected float64 `json:"connected_s"`
}

type validatorJSON struct {
	PublicKey string `json:"public_key" doc:"Ed25519, base64url"`
	Name      string `json:"name,omitempty" doc:"operator@site"`
	Power     int64  `json:"power"`
	Signed    bool   `json:"signed" doc:"Its vote is in the newest commit"`
	Self      bool   `json:"self,omitempty" doc:"This node's own"`
}

type trustOutput struct {
	Body json.RawMessage
}

type listsOutput struct {
	Body struct {
		Lists []string `json:"lists" doc:"URIs of the status lists that this node serves"`
	}
}

type submitInput struct {
	Body struct {
		Operations [][]byte `json:"operations" minItems:"1" maxItems:"100" doc:"Signed operations, base64"`
	}
}

type outcomeJSON struct {
	Hash   string `json:"hash" doc:"Multihash, hexadecimal"`
	Height uint64 `json:"height"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

type submitOutput struct {
	Body struct {
		Outcomes []outcomeJSON `json:"outcomes"`
	}
}

// manage mounts the operator's API.
func (s *Server) manage() error {
	if s.cfg.Metrics != nil {
		s.management.Handle(httpd.Route{Pattern: "GET /metrics", Handler: s.cfg.Metrics.Handler()})
	}
	api, err := httpd.NewAPI(s.management, httpd.APIConfig{Title: "Registry node", Version: "1", Tokens: s.cfg.Tokens,
		Problems: func(err error) (*httpd.Problem, bool) { p := problem(err); return p, p != nil }, Log: s.cfg.Logger})
	if err != nil {
		return err
	}
	huma.Register(api, huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/v1/health", Summary: "Is the node current?",
		Security: []map[string][]string{}}, s.manageHealth)
	huma.Register(api, huma.Operation{OperationID: "node", Method: http.MethodGet, Path: "/v1/node", Summary: "The node and its network"}, s.manageNode)
	huma.Register(api, huma.Operation{OperationID: "status-lists", Method: http.MethodGet, Path: "/v1/status-lists", Summary: "Served status lists"}, s.manageLists)
	huma.Register(api, huma.Operation{OperationID: "trust", Method: http.MethodGet, Path: "/v1/trust",
		Summary: "A trust file that begins at the newest header, for whoever believes this node"}, s.manageTrust)
	huma.Register(api, huma.Operation{OperationID: "submit", Method: http.MethodPost, Path: "/v1/operations", Summary: "Submit signed operations"}, s.manageSubmit)
	huma.Register(api, huma.Operation{OperationID: "trust-bundle", Method: http.MethodGet, Path: "/v1/trust-bundle",
		Summary: "A trust bundle of the newest header and the present members, for members to sign"}, s.manageBundle)
	s.manageAnchors(api)
	return nil
}

type healthOutput struct {
	Status int
	Body   healthJSON
}

func (s *Server) manageHealth(context.Context, *struct{}) (*healthOutput, error) {
	h, status := s.healthNow()
	return &healthOutput{Status: status, Body: h}, nil
}

func (s *Server) manageNode(context.Context, *struct{}) (*nodeOutput, error) {
	out := &nodeOutput{}
	n := s.cfg.Node
	out.Body.Network, out.Body.ChainID, out.Body.Development = n.Network(), n.ChainID(), n.Development()
	out.Body.HeartbeatMS, out.Body.ArchiveMissing = n.Heartbeat().Milliseconds(), n.ArchiveMissing()
	out.Body.Health, _ = s.healthNow()
	for _, m := range n.Members() {
		out.Body.Members = append(out.Body.Members, memberJSON{ID: m.ID, Name: m.Name})
	}
	out.Body.NodeID, out.Body.Peers, out.Body.Validators = n.ID(), []peerJSON{}, []validatorJSON{}
	for _, p := range n.Peers() {
		out.Body.Peers = append(out.Body.Peers, peerJSON{ID: p.ID, Address: p.Address, Outbound: p.Outbound, Connected: p.Since.Seconds()})
	}
	validators, err := n.Validators()
	if err != nil { // no header yet
		return out, nil
	}
	for _, v := range validators {
		out.Body.Validators = append(out.Body.Validators, validatorJSON{PublicKey: base64.RawURLEncoding.EncodeToString(v.PublicKey[:]),
			Name: v.Name, Power: v.Power, Signed: v.Signed, Self: v.Self})
	}
	return out, nil
}

// trustFor is how long a trust file of one's own node may be used.
const trustFor = 365 * 24 * time.Hour

func (s *Server) manageTrust(context.Context, *struct{}) (*trustOutput, error) {
	trust, err := s.cfg.Node.Trust(s.cfg.Now().Add(trustFor))
	if err != nil {
		return nil, err
	}
	raw, err := trust.Marshal()
	return &trustOutput{Body: raw}, err
}

func (s *Server) manageBundle(context.Context, *struct{}) (*trustOutput, error) {
	b, err := s.cfg.Node.ProposeBundle()
	if err != nil {
		return nil, err
	}
	raw, err := b.Marshal()
	return &trustOutput{Body: raw}, err
}

func (s *Server) manageLists(context.Context, *struct{}) (*listsOutput, error) {
	out := &listsOutput{}
	out.Body.Lists = s.cfg.Statuses.URIs()
	return out, nil
}

func (s *Server) manageSubmit(ctx context.Context, in *submitInput) (*submitOutput, error) {
	outcomes, err := s.submitOperations(ctx, in.Body.Operations)
	if err != nil {
		return nil, err
	}
	out := &submitOutput{}
	for _, o := range outcomes {
		out.Body.Outcomes = append(out.Body.Outcomes, outcomeJSON{Hash: hexHash(o.Hash), Height: o.Height, Code: o.Code, Detail: o.Detail})
	}
	return out, nil
}
