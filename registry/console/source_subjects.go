package console

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// DIDs implements Directory.
func (s *ChainSource) DIDs(_ context.Context, p Page) (List[Summary], error) {
	var out List[Summary]
	id, err := s.nextID(p.After)
	for ; err == nil && id != ""; id, err = s.nextID(id) {
		if len(out.Items) == p.Limit {
			out.Next = out.Items[p.Limit-1].DID.ID()
			break
		}
		var sum Summary
		if sum, _, err = s.summary(s.did(id)); err != nil {
			break
		}
		out.Items = append(out.Items, sum)
	}
	return out, err
}

// summary of a DID; leaf is that of its control fact.
func (s *ChainSource) summary(d registry.DID) (Summary, registry.DIDFact, error) {
	fact, _, err := latest[registry.DIDFact](s, registry.DIDFamily(d))
	if err != nil {
		return Summary{}, fact, err
	}
	out := Summary{DID: d, Keys: len(fact.Keys), Created: s.moment(fact.Created), Deactivated: s.moment(fact.Deactivated), Frozen: s.moment(fact.Frozen)}
	out.Domain = s.domain(d)
	err = s.of(d, "accr", func(string, []byte) error { out.Types++; return nil })
	if err == nil {
		err = s.of(d, "reg", func(name string, value []byte) error {
			out.Purposes++
			if out.Name == nil {
				g, err := s.registration(d, name, value)
				out.Name = g.Name
				return err
			}
			return nil
		})
	}
	return out, fact, err
}

// of calls f for the newest facts of one family of a DID; name is the part of the key that names it.
func (s *ChainSource) of(d registry.DID, family string, f func(name string, value []byte) error) error {
	prefix := "d/" + d.ID() + "/" + family + "/"
	return s.each(prefix, prefix[:len(prefix)-1]+"0", func(key string, value []byte) (bool, error) {
		name, ok := cutLatest(key, prefix)
		if !ok {
			return true, nil
		}
		return true, f(name, value)
	})
}

// DID implements Directory.
func (s *ChainSource) DID(_ context.Context, d registry.DID) (Subject, error) {
	if d.Network() != s.cfg.Network {
		return Subject{}, registry.ErrNotFound
	}
	sum, fact, err := s.summary(d)
	if err != nil {
		return Subject{}, err
	}
	out := Subject{Summary: sum, Version: fact.Seq}
	for _, read := range []func(*Subject) error{s.keys, s.services, s.versions, s.roles} {
		if err := read(&out); err != nil {
			return Subject{}, err
		}
	}
	return out, nil
}

func (s *ChainSource) keys(out *Subject) error {
	err := s.of(out.DID, "key", func(id string, value []byte) error {
		fact, _, err := decodeLeaf[registry.KeyFact](value)
		if err != nil {
			return err
		}
		k := Key{ID: id, Use: fact.Use, Active: s.moment(fact.Active), Retired: s.moment(fact.Retired),
			CompromisedFrom: seconds(fact.CompromisedFrom), Declared: s.moment(fact.Declared), Held: s.moment(fact.Held), HeldUntil: seconds(fact.HeldUntil)}
		switch fact.Key.Alg() {
		case registry.AlgES256:
			k.Alg = "ES256"
		case registry.AlgEdDSA:
			k.Alg = "EdDSA"
		}
		k.Multikey, err = fact.Key.Multikey()
		out.KeyList = append(out.KeyList, k)
		return err
	})
	slices.SortStableFunc(out.KeyList, func(a, b Key) int { return int(b.Active.Height) - int(a.Active.Height) })
	return err
}

func (s *ChainSource) services(out *Subject) error {
	return s.of(out.DID, "svc", func(id string, value []byte) error {
		fact, _, err := decodeLeaf[registry.ServiceFact](value)
		out.Services = append(out.Services, Service{ID: id, Type: fact.Type, Endpoint: fact.Endpoint, Removed: s.moment(fact.Removed)})
		return err
	})
}

// domain is the host that a DID links itself (a service LinkedDomains). Nobody voted for it: pages say whose word it is, and a
// host that is not plain ASCII is not shown, for it may look like another.
func (s *ChainSource) domain(d registry.DID) (host string) {
	err := s.of(d, "svc", func(_ string, value []byte) error {
		fact, _, err := decodeLeaf[registry.ServiceFact](value)
		if err != nil || fact.Type != "LinkedDomains" || fact.Removed != 0 || host != "" {
			return err
		}
		if u, err := url.Parse(fact.Endpoint); err == nil && plainHost(u.Host) {
			host = u.Host
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return host
}

func plainHost(s string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789.-:"
	return s != "" && len(s) <= 260 && strings.Trim(s, allowed) == "" && !strings.Contains(s, "xn--")
}

// maxVersions of one page: the newest are shown.
const maxVersions = 100

func (s *ChainSource) versions(out *Subject) error {
	var last *registry.DIDFact
	err := versions(s, registry.DIDFamily(out.DID), func(fact registry.DIDFact, leaf registry.Leaf) {
		out.Versions = append(out.Versions, Version{ID: fact.Seq, At: Moment{Height: leaf.Since}, What: changeOfDID(last, &fact),
			Operation: registry.HashOfDigest(fact.Head)})
		last = &fact
	})
	slices.Reverse(out.Versions)
	if len(out.Versions) > maxVersions {
		out.Versions = out.Versions[:maxVersions]
	}
	for i := range out.Versions {
		out.Versions[i].At = s.moment(out.Versions[i].At.Height)
	}
	if len(out.Versions) > 0 {
		out.Updated = out.Versions[0].At
	}
	return err
}

// changeOfDID is what happened between two versions, as far as they differ.
func changeOfDID(was, is *registry.DIDFact) string {
	switch {
	case was == nil:
		return "created"
	case is.Deactivated != 0:
		return "deactivated"
	case is.Frozen != 0:
		return "frozen"
	case is.Recovery != was.Recovery:
		return "recovered"
	case !bytes.Equal(is.Op, was.Op):
		return "rotated"
	case !slices.Equal(is.Keys, was.Keys):
		return "keys"
	case !slices.Equal(is.Services, was.Services):
		return "services"
	}
	return "updated"
}

func (s *ChainSource) roles(out *Subject) error {
	err := s.of(out.DID, "accr", func(name string, value []byte) error {
		a, err := s.accreditation(out.DID, name, value)
		out.Accreditations = append(out.Accreditations, a)
		return err
	})
	if err == nil {
		err = s.of(out.DID, "reg", func(name string, value []byte) error {
			g, err := s.registration(out.DID, name, value)
			out.Registrations = append(out.Registrations, g)
			return err
		})
	}
	if err != nil {
		return err
	}
	st, err := s.Status(context.Background(), out.DID)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	out.Status = &st
	return err
}

// Accreditations implements Directory.
func (s *ChainSource) Accreditations(_ context.Context, p Page) (List[Accreditation], error) {
	return walk(s, "accr", p, s.accreditation)
}

// accreditation from a leaf; name is "<vct>/<n>".
func (s *ChainSource) accreditation(d registry.DID, name string, value []byte) (Accreditation, error) {
	fact, leaf, err := decodeLeaf[registry.AccreditationFact](value)
	if err != nil {
		return Accreditation{}, err
	}
	vct, number, _ := strings.Cut(name, "/")
	n, err := strconv.ParseUint(number, 10, 64)
	return s.accreditationOf(d, vct, n, &fact, leaf), err
}

func (s *ChainSource) accreditationOf(d registry.DID, vct string, n uint64, fact *registry.AccreditationFact, leaf registry.Leaf) Accreditation {
	a := Accreditation{N: n, Domain: s.domain(d), Operator: fact.Operator, Lapses: seconds(fact.Lapses), Changed: s.moment(leaf.Since), Accreditation: registry.Accreditation{
		DID: d, Type: vct, LegalBasis: fact.Basis, StatusHost: fact.Host, From: time.Unix(fact.From, 0).UTC(), Until: seconds(fact.Until), Suspended: fact.Suspended}}
	for i := range fact.Roots {
		a.Roots = append(a.Roots, fact.Roots[i][:])
	}
	return a
}

// Registrations implements Directory.
func (s *ChainSource) Registrations(_ context.Context, p Page) (List[Registration], error) {
	return walk(s, "reg", p, s.registration)
}

func (s *ChainSource) registration(d registry.DID, purpose string, value []byte) (Registration, error) {
	fact, leaf, err := decodeLeaf[registry.RegistrationFact](value)
	return s.registrationOf(d, purpose, &fact, leaf), err
}

func (s *ChainSource) registrationOf(d registry.DID, purpose string, fact *registry.RegistrationFact, leaf registry.Leaf) Registration {
	return Registration{Changed: s.moment(leaf.Since), Registration: registry.Registration{DID: d, Purpose: purpose, Name: fact.Name,
		PurposeText: fact.Text, Claims: fact.Claims, LegalBasis: fact.Basis, RetentionDays: int(fact.Retention),
		From: time.Unix(fact.From, 0).UTC(), Until: seconds(fact.Until)}}
}

// Statuses implements Directory.
func (s *ChainSource) Statuses(ctx context.Context, p Page) (List[Status], error) {
	var out List[Status]
	last := p.After
	id, err := s.nextID(p.After)
	for seen := 0; err == nil && id != ""; id, err = s.nextID(id) {
		if len(out.Items) == p.Limit || seen == maxWalk {
			out.Next = last
			break
		}
		var st Status
		st, err = s.Status(ctx, s.did(id))
		switch {
		case err == nil:
			out.Items = append(out.Items, st)
		case !errors.Is(err, registry.ErrNotFound):
			return out, err
		}
		last = id
		seen++
	}
	return out, err
}

// Status implements Archive.
func (s *ChainSource) Status(_ context.Context, d registry.DID) (Status, error) {
	fact, leaf, err := latest[registry.StatusFact](s, registry.StatusFamily(d))
	if err != nil {
		return Status{}, err
	}
	epoch, err := fact.Epoch(d)
	if err != nil {
		return Status{}, err
	}
	out := Status{At: s.moment(leaf.Since), Domain: s.domain(d), StatusEpoch: epoch}
	lists := s.cfg.Lists()
	if lists == nil {
		return out, nil
	}
	if served, ok := lists.Epoch(d); ok {
		out.Served = served.Sequence
		records, err := lists.Records(d, false)
		if err != nil {
			return out, nil // the epoch of another moment: it is being replaced
		}
		for _, raw := range records {
			if r, err := statuslist.ParseRecord(raw); err == nil {
				out.Lists, out.Shape = append(out.Lists, r.URI), append(out.Shape, Shape{r.Bits, r.Length})
			}
		}
	}
	return out, nil
}
