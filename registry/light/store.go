package light

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A store keeps what a restarted reader needs during an outage:
//
//	trust            the newest trust point (a trust file)
//	bundle           the newest trust bundle that was followed
//	evidence-<hash>  CBOR of keptEvidence
//	list-<hash>      CBOR of keptList
//
// Files are replaced whole. The folder belongs to the reader: its trust point is trusted like the trust file it grew from.
// Evidence and lists are not, they are checked again as if a node had sent them.
type store struct{ dir string }

type keptEvidence struct {
	Subject string `cbor:"1,keyasint"`
	Query   string `cbor:"2,keyasint"` // as URL parameters
	Raw     []byte `cbor:"3,keyasint"`
}

type keptList struct {
	MediaType string `cbor:"1,keyasint"`
	List      []byte `cbor:"2,keyasint"` // EncodeStatusList
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open registry cache: %w", err)
	}
	return &store{dir: dir}, nil
}

func (s *store) name(kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(s.dir, kind+"-"+hex.EncodeToString(sum[:12]))
}

// The writers lose a file at worst: a cache that cannot be written is fetched again.

func (s *store) putTrust(t evidence.Trust) {
	if raw, err := t.Marshal(); err == nil {
		_ = replace(filepath.Join(s.dir, "trust"), raw)
	}
}

func (s *store) putEvidence(subject string, q Query, raw []byte) {
	if out, err := cbor.Marshal(keptEvidence{Subject: subject, Query: q.Values().Encode(), Raw: raw}); err == nil {
		_ = replace(s.name("evidence", subject), out)
	}
}

func (s *store) putList(mediaType string, l registry.StatusList) {
	raw, err := EncodeStatusList(l)
	if err != nil {
		return
	}
	if out, err := cbor.Marshal(keptList{MediaType: mediaType, List: raw}); err == nil {
		_ = replace(s.name("list", mediaType+" "+l.URI), out)
	}
}

// restore loads what is kept and still holds.
func (c *Client) restore() {
	now := c.cfg.Now()
	c.restoreBundle()
	begin := c.trust.Load()
	if raw, err := os.ReadFile(filepath.Join(c.store.dir, "trust")); err == nil {
		kept, err := evidence.ParseTrust(raw)
		if err == nil && kept.ChainID == begin.ChainID && kept.Network == begin.Network &&
			kept.Number == begin.Number && kept.Height > begin.Height && now.Before(kept.Time.Add(kept.TrustingPeriod)) {
			c.trust.Store(&kept)
		}
	}
	c.store.each("evidence-", func(raw []byte) error {
		var kept keptEvidence
		if err := strict.Unmarshal(raw, &kept); err != nil {
			return err
		}
		values, err := url.ParseQuery(kept.Query)
		if err != nil {
			return err
		}
		want, err := ParseQuery(values)
		if err != nil {
			return err
		}
		facts, err := c.checkBytes(kept.Raw)
		if err != nil {
			return err
		}
		c.subjects[kept.Subject] = &subject{id: kept.Subject, want: want, facts: facts, raw: kept.Raw, asked: now}
		return nil
	})
	c.store.each("list-", func(raw []byte) error {
		var kept keptList
		if err := strict.Unmarshal(raw, &kept); err != nil {
			return err
		}
		l, err := DecodeStatusList(kept.List)
		if err != nil {
			return err
		}
		return c.restoreList(kept.MediaType, l)
	})
}

// restoreList takes a kept list that belongs to the kept epoch of its issuer.
func (c *Client) restoreList(mediaType string, l registry.StatusList) error {
	issuer, err := c.issuerOf(l.URI)
	if err != nil {
		return err
	}
	s := c.subjects[string(issuer)]
	if s == nil {
		return registry.ErrUnavailable
	}
	epoch, _, err := s.facts.StatusEpoch(context.Background(), issuer)
	if err != nil {
		return err
	}
	if err := checkList(epoch, l, l.URI, mediaType); err != nil {
		return err
	}
	c.lists[mediaType+" "+l.URI] = &list{have: l, root: epoch.Root}
	return nil
}

// each hands every kept file of a kind to load; one that does not hold is removed.
func (s *store) each(prefix string, load func([]byte) error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		raw, err := os.ReadFile(path)
		if err != nil || load(raw) != nil {
			_ = os.Remove(path)
		}
	}
}

func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
