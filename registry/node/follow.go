package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/dojang-id/dojang/registry"
)

// A Fetch gets a document that an issuer publishes. accept is a media type, limit in bytes. It must not follow redirects
// and must refuse targets that the configuration does not allow (internal/httpd's client does both).
type Fetch func(ctx context.Context, url, accept string, limit int64) ([]byte, error)

const (
	publisherService = "StatusListPublisher"
	maxRecords       = 1 << 20
	maxToken         = 4 << 20
	fetchTimeout     = 5 * time.Second // all of one publisher's or peer's answers
	retryFirst       = 100 * time.Millisecond
	retryMost        = 5 * time.Second
	retryFor         = 24 * time.Hour // then the next epoch starts anew
)

// followerConfig of a follower; all but Peers are required.
type followerConfig struct {
	Store    *StatusStore
	Fetch    Fetch
	Epoch    func(registry.DID) (registry.StatusEpoch, error) // as the chain knows it now
	Endpoint func(registry.DID) (string, error)               // of the issuer's publisher
	// Peers are HTTP faces of other nodes, which give away what they have under the publisher's protocol (ListsPath).
	Peers []string
	// Conflict is told of an epoch that goes back or says two things; nothing of it is taken.
	Conflict func(registry.DID, error)
	Log      *slog.Logger
}

// ListsPath on a node's HTTP face, and the issuer's DID id behind it, answers like an issuer's publisher.
const ListsPath = "/v1/lists/"

// A follower brings the lists of new status epochs into the store: one goroutine an issuer that has something to fetch.
type follower struct {
	cfg    followerConfig
	ctx    context.Context // ends all work
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	busy map[registry.DID]chan struct{} // wakes the issuer's goroutine
}

func newFollower(cfg followerConfig) *follower {
	f := &follower{cfg: cfg, busy: map[registry.DID]chan struct{}{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// wake starts or restarts fetching for an issuer. Never blocks.
func (f *follower) wake(issuer registry.DID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return
	}
	if again, ok := f.busy[issuer]; ok {
		select {
		case again <- struct{}{}:
		default:
		}
		return
	}
	again := make(chan struct{}, 1)
	f.busy[issuer] = again
	f.wg.Add(1)
	go f.run(issuer, again)
}

func (f *follower) run(issuer registry.DID, again chan struct{}) {
	defer f.wg.Done()
	wait, tried := retryFirst, time.Duration(0)
	for {
		err := f.bring(issuer)
		if err != nil && f.ctx.Err() == nil {
			f.cfg.Log.Warn("status lists of an issuer not complete", "issuer", string(issuer), "err", err)
		}
		if err == nil || tried > retryFor {
			f.mu.Lock()
			select {
			case <-again: // a newer epoch came while we worked
				f.mu.Unlock()
				wait, tried = retryFirst, 0
				continue
			default:
			}
			delete(f.busy, issuer)
			f.mu.Unlock()
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-f.ctx.Done():
			timer.Stop()
			return
		case <-again:
			timer.Stop()
			wait, tried = retryFirst, 0
		case <-timer.C:
			tried += wait
			wait = min(2*wait, retryMost)
		}
	}
}

// bring fetches what the newest epoch of an issuer names and the store lacks.
func (f *follower) bring(issuer registry.DID) error {
	epoch, err := f.cfg.Epoch(issuer)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if have, ok := f.cfg.Store.Epoch(issuer); ok && have.Sequence == epoch.Sequence && have.Root == epoch.Root {
		return nil
	}
	return f.bringFrom(issuer, epoch)
}

// bringFrom asks the issuer first, then the peers: a list stays to be had with its issuer gone, also for a node that was away
// when the epoch came.
func (f *follower) bringFrom(issuer registry.DID, epoch registry.StatusEpoch) error {
	var endpoints []string
	publisher, failed := f.cfg.Endpoint(issuer)
	if failed == nil {
		endpoints = append(endpoints, publisher)
	}
	for _, peer := range f.cfg.Peers {
		endpoints = append(endpoints, peer+ListsPath+issuer.ID())
	}
	for _, endpoint := range endpoints {
		err := f.fetch(endpoint, issuer, epoch)
		if err == nil || f.ctx.Err() != nil {
			return err
		}
		if errors.Is(err, ErrRollback) {
			f.cfg.Conflict(issuer, err)
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (f *follower) fetch(endpoint string, issuer registry.DID, epoch registry.StatusEpoch) error {
	ctx, cancel := context.WithTimeout(f.ctx, fetchTimeout)
	defer cancel()
	err := f.cfg.Store.Put(ctx, epoch, published{f.cfg.Fetch, endpoint, issuer})
	if errors.Is(err, errRaced) {
		err = f.cfg.Store.Put(ctx, epoch, published{f.cfg.Fetch, endpoint, issuer})
	}
	return err
}

// published is an issuer's publisher, its second status operator's, or a peer that answers like one.
type published struct {
	get      Fetch
	endpoint string
	issuer   registry.DID
}

func (p published) at(base bool) string {
	if base {
		return p.endpoint + "/base/"
	}
	return p.endpoint + "/"
}

func (p published) Records(ctx context.Context, base bool) ([][]byte, error) {
	raw, err := p.get(ctx, p.at(base)+"records", "application/cbor", maxRecords)
	if err != nil {
		return nil, fmt.Errorf("fetch status records: %w", err)
	}
	var records [][]byte
	if err := strictCBOR.Unmarshal(raw, &records); err != nil {
		return nil, fmt.Errorf("parse status records: %w", err)
	}
	return records, nil
}

func (p published) Token(ctx context.Context, uri, mediaType string, base bool) ([]byte, error) {
	list, err := listName(uri, p.issuer)
	if err != nil {
		return nil, err
	}
	return p.get(ctx, p.at(base)+list, mediaType, maxToken)
}

// listName is the last segment of <status host>/<issuer DID id>/<list>; a list of another issuer is refused.
func listName(uri string, issuer registry.DID) (string, error) {
	rest, name, ok := cutLast(uri, "/")
	if !ok || name == "" || !strings.HasSuffix(rest, "/"+issuer.ID()) || name != url.PathEscape(name) || strings.Trim(name, ".") == "" {
		return "", errors.New("status list URI is not <host>/<issuer>/<list>")
	}
	return name, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (f *follower) stop() {
	f.mu.Lock()
	f.cancel()
	f.mu.Unlock()
	f.wg.Wait()
}

// strictCBOR refuses what deterministic encoding forbids as far as the library can see it.
var strictCBOR = func() cbor.DecMode {
	mode, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, MaxArrayElements: 65536, MaxMapPairs: 1024, MaxNestedLevels: 8}.DecMode()
	if err != nil {
		panic(err) // constants of this file
	}
	return mode
}()
