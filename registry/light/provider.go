package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/cometbft/cometbft/light/provider"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

const (
	maxLightBlock = 256 << 10 // about 100 validators take 18 kB
	lightBlockURL = "/v1/headers/"
)

// nodeProvider is a node of the registry as the engine's light client sees it: light blocks over registry/web, never the
// engine's RPC. Whatever it returns is checked by the light client.
type nodeProvider struct {
	chainID string
	url     string
	http    *http.Client
}

var _ provider.Provider = nodeProvider{}

func (p nodeProvider) ChainID() string { return p.chainID }

// LightBlock of a height; 0: the newest.
func (p nodeProvider) LightBlock(ctx context.Context, height int64) (*types.LightBlock, error) {
	name := "latest"
	if height > 0 {
		name = strconv.FormatInt(height, 10)
	}
	raw, status, err := p.patient(ctx, p.url+lightBlockURL+name)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, provider.ErrNoResponse
	case status == http.StatusNotFound:
		return nil, provider.ErrLightBlockNotFound
	case status != http.StatusOK:
		return nil, provider.ErrNoResponse
	}
	lb, err := parseLightBlock(p.chainID, raw)
	if err != nil {
		return nil, provider.ErrBadLightBlock{Reason: err}
	}
	if height > 0 && lb.Height != height {
		return nil, provider.ErrBadLightBlock{Reason: errors.New("another height than asked for")}
	}
	return lb, nil
}

// patience is how long a witness may lag behind the primary. Told that a height is too high, the engine's client would
// sleep for half a minute with everybody waiting; told nothing, it finds no confirmation and trusts nothing.
const patience = 1500 * time.Millisecond

func (p nodeProvider) patient(ctx context.Context, url string) (raw []byte, status int, err error) {
	for until := time.Now().Add(patience); ; {
		raw, status, err = get(ctx, p.http, url, maxLightBlock)
		if err != nil || status != http.StatusTooEarly || time.Now().After(until) {
			return raw, status, err
		}
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ReportEvidence keeps nothing at a node: the chain's operators get a copy from the alarm that the Client raises.
func (p nodeProvider) ReportEvidence(context.Context, types.Evidence) error { return nil }

// parseLightBlock decodes the engine's protobuf LightBlock and checks that it is whole and of this chain.
func parseLightBlock(chainID string, raw []byte) (*types.LightBlock, error) {
	var pb cmtproto.LightBlock
	if err := pb.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("light block: %w", err)
	}
	lb, err := types.LightBlockFromProto(&pb)
	if err != nil {
		return nil, fmt.Errorf("light block: %w", err)
	}
	if lb.SignedHeader == nil || lb.ValidatorSet == nil {
		return nil, errors.New("light block: incomplete")
	}
	return lb, lb.ValidateBasic(chainID)
}

// get reads a bounded answer.
func get(ctx context.Context, c *http.Client, url string, limit int64) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	return do(c, req, limit)
}

func do(c *http.Client, req *http.Request, limit int64) (body []byte, status int, err error) {
	res, err := c.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, 0, err
	}
	if int64(len(body)) > limit {
		return nil, 0, errors.New("registry/light: answer is too large")
	}
	return body, res.StatusCode, nil
}
