package light

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// keepFor is how long Follow keeps refreshing what nobody asks for any more.
const keepFor = 24 * time.Hour

// Follow keeps the Client fresh until ctx ends: it moves the trust point to the newest header, and refreshes the Evidence of
// every subject and the lists of every issuer that was subscribed or asked for, so that a new epoch is known within two
// seconds and an outage finds everything at hand. Subscribed issuers are looked at with every new header, of which a node tells
// at once. It returns ctx's error. A node that is down costs one attempt a round, and callers none.
func (c *Client) Follow(ctx context.Context) error {
	c.followed.Add(1)
	defer c.followed.Add(-1)
	headers := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	listening, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { c.listen(listening, headers) })
	every := time.NewTicker(max(c.cfg.CacheTTL, 50*time.Millisecond))
	defer every.Stop()
	c.round(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-every.C:
			c.round(ctx)
		case <-headers:
			c.pushed(ctx)
		}
	}
}

const (
	pushApart    = 50 * time.Millisecond // between two looks that headers cause
	probeTimeout = time.Second
)

// listen waits at a node for a header above the trust point, again and again.
func (c *Client) listen(ctx context.Context, headers chan<- struct{}) {
	for turn := 0; ctx.Err() == nil; turn++ {
		node := c.cfg.Nodes[turn%len(c.cfg.Nodes)]
		known := c.Trust().Height
		for ctx.Err() == nil && !c.restsFrom(node) {
			began := time.Now()
			raw, status, err := get(ctx, c.submitHTTP, node+lightBlockURL+"latest?after="+strconv.FormatUint(known, 10), maxLightBlock)
			if err != nil || status != http.StatusOK {
				break
			}
			lb, err := parseLightBlock(c.Trust().ChainID, raw) // only a hint: what it means is checked by whoever acts on it
			if err != nil {
				break
			}
			if height := uint64(lb.Height); height > known {
				known = height
				select {
				case headers <- struct{}{}:
				default:
				}
			}
			wait(ctx, pushApart-time.Since(began))
		}
		wait(ctx, c.cfg.CacheTTL)
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// pushed looks at the subscribed issuers under the newest header.
func (c *Client) pushed(ctx context.Context) {
	c.mu.Lock()
	subscribed := slices.Collect(maps.Keys(c.follow))
	c.mu.Unlock()
	for _, d := range subscribed {
		s := c.subject(Query{DID: d, Status: true})
		s.mu.Lock()
		s.fetched = time.Time{}
		s.mu.Unlock()
		c.keepFresh(ctx, s)
	}
	if len(subscribed) > 0 {
		c.freshLists(ctx, subscribed)
	}
}

// probe finds out which nodes are back.
func (c *Client) probe(ctx context.Context) {
	c.mu.Lock()
	down := slices.Collect(maps.Keys(c.down))
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, node := range down {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, probeTimeout)
			defer cancel()
			if _, _, err := get(ctx, c.cfg.HTTP, node+lightBlockURL+"latest", maxLightBlock); err == nil {
				c.isUp(node)
			}
		})
	}
	wg.Wait()
}

func (c *Client) round(ctx context.Context) {
	c.probe(ctx)
	c.renewSoon(ctx)
	if err := c.track.advance(ctx); err != nil && ctx.Err() == nil {
		c.cfg.Logger.Warn("registry headers not followed", "err", err)
	}
	c.mu.Lock()
	subjects := slices.Collect(maps.Values(c.subjects))
	subscribed := slices.Collect(maps.Keys(c.follow))
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
	c.freshLists(ctx, nil)
}

// freshLists refreshes the lists that were asked for, of the issuers named; nil: of all.
func (c *Client) freshLists(ctx context.Context, issuers []registry.DID) {
	c.mu.Lock()
	lists := slices.Collect(maps.Keys(c.lists))
	c.mu.Unlock()
	for _, key := range lists {
		mediaType, uri, _ := strings.Cut(key, " ")
		if issuer, err := c.issuerOf(uri); err != nil || issuers != nil && !slices.Contains(issuers, issuer) {
			continue
		}
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
