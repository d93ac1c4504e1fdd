package light

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// MaxSnapshot bounds what a node offers as the description of a snapshot: 65,536 chunks of 34 bytes.
const MaxSnapshot = 4 << 20

// maxChunk of a snapshot, a little above the 4 MiB at which one ends.
const maxChunk = 5 << 20

// VerifiedBlock is the light block of a height, the engine's protobuf, after it was tracked from the trust point and confirmed by a
// witness. Errors: registry.ErrUntrusted, registry.ErrUnavailable.
func (c *Client) VerifiedBlock(ctx context.Context, height uint64) ([]byte, error) {
	if c.attacked.Load() {
		return nil, untrusted(ErrAttack)
	}
	c.track.mu.Lock()
	defer c.track.mu.Unlock()
	lb, err := c.track.at(ctx, int64(height))
	if err != nil {
		return nil, c.track.fail(ctx, err)
	}
	pb, err := lb.ToProto()
	if err != nil {
		return nil, fmt.Errorf("light block: %w", err)
	}
	return pb.Marshal()
}

// Snapshots asks every node for the description of its newest snapshot. Nothing of it is verified.
func (c *Client) Snapshots(ctx context.Context) [][]byte {
	var out [][]byte
	for _, node := range c.cfg.Nodes {
		raw, status, err := get(ctx, c.cfg.HTTP, node+"/v1/snapshots/latest", MaxSnapshot)
		if err == nil && status == http.StatusOK {
			out = append(out, raw)
		}
	}
	return out
}

// Chunk of a snapshot from the first node that has one which good accepts.
func (c *Client) Chunk(ctx context.Context, version uint64, index int, good func([]byte) bool) ([]byte, error) {
	err := errors.New("no node has the chunk")
	for _, node := range c.cfg.Nodes {
		raw, status, asked := get(ctx, c.submitHTTP, node+"/v1/snapshots/"+strconv.FormatUint(version, 10)+"/"+strconv.Itoa(index), maxChunk)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case asked != nil:
			err = asked
		case status != http.StatusOK:
			err = fmt.Errorf("registry node answered %d", status)
		case !good(raw):
			c.cfg.Logger.Warn("a registry node's chunk does not hold", "node", node, "version", version, "chunk", index)
			err = errors.New("chunk does not hold")
		default:
			return raw, nil
		}
	}
	return nil, err
}
