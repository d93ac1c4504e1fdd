package light

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// A list is one published list in one format.
type list struct {
	mu      sync.Mutex // held while fetching
	have    registry.StatusList
	root    [32]byte // of the epoch that have was checked against
	fetched time.Time
	failed  time.Time
	err     error
	behind  atomic.Bool // the newest epoch names another list than have, which could not be had
}

// Behind names the lists (media type, space, URI) of which the newest epoch's list could not be had; what StatusList gives is older and
// belongs to no epoch that is the newest: it ages, and readers hold it against the epoch. For health and metrics.
func (c *Client) Behind() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for key, l := range c.lists {
		if l.behind.Load() {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	return out
}

// StatusList implements registry.StatusSource: the list at uri, tied to its issuer's newest checked epoch. When no node can be
// reached, the one that was fetched before: its epoch says how old it is. The token's signature is the caller's to check.
func (c *Client) StatusList(ctx context.Context, uri, mediaType string) (registry.StatusList, error) {
	issuer, err := c.issuerOf(uri)
	if err != nil {
		return registry.StatusList{}, err
	}
	l := c.list(uri, mediaType)
	l.mu.Lock()
	defer l.mu.Unlock()
	epoch, _, err := c.StatusEpoch(ctx, issuer)
	if err != nil {
		return registry.StatusList{}, fmt.Errorf("status epoch of the list's issuer: %w", err)
	}
	now := c.cfg.Now()
	if l.have.URI != "" && l.root == epoch.Root {
		l.behind.Store(false)
		return l.have, nil // the epoch names this very list: nothing newer exists
	}
	if young(now, l.failed, c.cfg.CacheTTL/4) {
		l.behind.Store(true)
		return l.older()
	}
	have, root, err := c.fetchList(ctx, issuer, uri, mediaType)
	if err != nil {
		if ctx.Err() == nil {
			l.failed, l.err = now, err
		}
		c.cfg.Logger.Warn("status list not fetched", "uri", uri, "err", err)
		l.behind.Store(true)
		if l.have.URI == "" {
			l.err = err
		}
		return l.older()
	}
	l.have, l.root, l.fetched, l.failed, l.err = have, root, now, time.Time{}, nil
	l.behind.Store(false)
	if c.store != nil {
		c.store.putList(mediaType, have)
	}
	return have, nil
}

func (l *list) older() (registry.StatusList, error) {
	if l.have.URI == "" {
		return registry.StatusList{}, l.err
	}
	return l.have, nil
}

// issuerOf reads <status host>/<issuer DID id>/<list>.
func (c *Client) issuerOf(uri string) (registry.DID, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", registry.ErrNotFound
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 3 {
		return "", registry.ErrNotFound
	}
	did, err := registry.ParseDID("did:dojang:" + c.cfg.Trust.Network + ":" + parts[len(parts)-2])
	if err != nil {
		return "", registry.ErrNotFound
	}
	return did, nil
}

func (c *Client) list(uri, mediaType string) *list {
	key := mediaType + " " + uri
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lists[key]
	if l == nil {
		if len(c.lists) >= maxLists {
			for old := range c.lists {
				delete(c.lists, old)
				break
			}
		}
		l = &list{}
		c.lists[key] = l
	}
	return l
}

// fetchList asks the nodes, and once more after a look at the newest epoch: list and epoch change a moment apart.
func (c *Client) fetchList(ctx context.Context, issuer registry.DID, uri, mediaType string) (out registry.StatusList, root [32]byte, err error) {
	err = c.ask(ctx, func(ctx context.Context, node string) error {
		epoch, _, err := c.StatusEpoch(ctx, issuer)
		if err != nil {
			return err
		}
		got, err := c.getList(ctx, node, uri, mediaType)
		if err != nil {
			return err
		}
		if err = checkList(epoch, got, uri, mediaType); err != nil {
			if epoch, err = c.newestEpoch(ctx, issuer); err != nil {
				return err
			}
			if err = checkList(epoch, got, uri, mediaType); err != nil {
				return untrusted(err)
			}
		}
		out, root = got, epoch.Root
		return nil
	})
	return out, root, err
}

// newestEpoch looks past the cache.
func (c *Client) newestEpoch(ctx context.Context, issuer registry.DID) (registry.StatusEpoch, error) {
	s := c.subject(Query{DID: issuer})
	s.mu.Lock()
	s.fetched = time.Time{}
	s.mu.Unlock()
	epoch, _, err := c.StatusEpoch(ctx, issuer)
	return epoch, err
}

// StatusRecords are the list records of an issuer's newest checked epoch, in list order: what its second status operator goes on from.
func (c *Client) StatusRecords(ctx context.Context, issuer registry.DID) (records [][]byte, err error) {
	err = c.ask(ctx, func(ctx context.Context, node string) error {
		raw, status, err := get(ctx, c.cfg.HTTP, node+"/v1/lists/"+issuer.ID()+"/records", maxRecords)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("registry node answered %d", status)
		}
		var got [][]byte
		if err := strict.Unmarshal(raw, &got); err != nil {
			return untrusted(err)
		}
		epoch, err := c.newestEpoch(ctx, issuer)
		if err != nil {
			return err
		}
		if statuslist.EpochRoot(got) != epoch.Root {
			return errors.New("registry node has not the lists of the newest epoch")
		}
		records = got
		return nil
	})
	return records, err
}

const maxRecords = 1 << 20

func (c *Client) getList(ctx context.Context, node, uri, mediaType string) (registry.StatusList, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+"/v1/status?uri="+url.QueryEscape(uri), nil)
	if err != nil {
		return registry.StatusList{}, err
	}
	req.Header.Set("Accept", mediaType)
	raw, status, err := do(c.cfg.HTTP, req, maxStatus)
	if err != nil {
		return registry.StatusList{}, err
	}
	if status != http.StatusOK {
		return registry.StatusList{}, fmt.Errorf("registry node answered %d", status)
	}
	got, err := DecodeStatusList(raw)
	if err != nil {
		return registry.StatusList{}, untrusted(err)
	}
	return got, nil
}

// checkList ties a list to an epoch.
func checkList(epoch registry.StatusEpoch, l registry.StatusList, uri, mediaType string) error {
	record, err := statuslist.VerifyRecord(epoch.Root, proofOf(l))
	if err != nil {
		return err
	}
	if record.URI != uri || l.URI != uri {
		return errors.New("registry/light: another list than asked for")
	}
	if err := record.CheckToken(mediaType, l.Token); err != nil || !epoch.Redated() {
		return err
	}
	if l.Base == nil {
		return errors.New("registry/light: an operator's list without the issuer's")
	}
	return statuslist.Redated{
		MediaType: mediaType, Record: record, Token: l.Token, BaseRoot: epoch.Base.Root, Base: proofOf(*l.Base), BaseToken: l.Base.Token,
	}.Check()
}

func proofOf(l registry.StatusList) statuslist.RecordProof {
	return statuslist.RecordProof{Record: l.Record, Path: l.Path, Index: l.Index, Size: l.Size}
}
