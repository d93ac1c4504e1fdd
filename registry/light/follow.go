package light

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// keepFor is how long Follow keeps refreshing what nobody asks for any more.
const keepFor = 24 * time.Hour

// Follow keeps the Client fresh until ctx ends: it moves the trust point to the newest header, and refreshes the Evidence of
// every subject and the lists of every issuer that was subscribed or asked for, so that a new epoch is known within two
// seconds and an outage finds everything at hand. It returns ctx's error. A node that is down costs one attempt a round.
func (c *Client) Follow(ctx context.Context) error {
	every := time.NewTicker(max(c.cfg.CacheTTL, 50*time.Millisecond))
	defer every.Stop()
	for {
		c.round(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
		}
	}
}

func (c *Client) round(ctx context.Context) {
	if err := c.track.advance(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Logger.Warn("registry headers not followed", "err", err)
	}
	c.mu.Lock()
	subjects := slices.Collect(maps.Values(c.subjects))
	subscribed := slices.Collect(maps.Keys(c.follow))
	lists := slices.Collect(maps.Keys(c.lists))
	c.mu.Unlock()
	for _, d := range subscribed {
		subjects = append(subjects, c.subject(Query{DID: d, Status: true}))
	}
	var wg sync.WaitGroup
	gate := make(chan struct{}, 4)
	for _, s := range subjects {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			c.keepFresh(ctx, s)
		})
	}
	wg.Wait()
	for _, key := range lists {
		mediaType, uri, _ := strings.Cut(key, " ")
		if ctx.Err() == nil {
			_, _ = c.StatusList(ctx, uri, mediaType)
		}
	}
}

// keepFresh refreshes a subject that is subscribed or was asked about lately.
func (c *Client) keepFresh(ctx context.Context, s *subject) {
	c.mu.Lock()
	subscribed := c.follow[registry.DID(s.id)]
	c.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !subscribed && !young(c.cfg.Now(), s.asked, keepFor) {
		return
	}
	q := s.want
	if subscribed {
		q.Status = true
	}
	if q.size() == 0 && !q.Status {
		return
	}
	_ = c.refresh(ctx, s, q) // what failed is logged there, and the older facts stay
}
