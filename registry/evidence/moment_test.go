package evidence_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A page is what everybody knows from a time on.
type page struct {
	since time.Time

	key            *registry.Key // nil: no such key
	from, until    time.Time     // of the accreditation
	accredited     bool
	suspended      bool
	registered     bool
	regFrom, regTo time.Time
	epoch          uint64
}

// A diary has one page for each event; it is what the answers are compared with.
type diary struct {
	c     *chaintest.Chain
	a     *chaintest.Agency
	now   page
	pages []page
	prev  map[string]registry.Hash
	seq   map[string]uint64
}

// happened lets the next header give the newest event its time, and writes the page.
func (d *diary) happened(change func(*page, time.Time)) {
	d.c.Block()
	at := d.c.Headers[len(d.c.Headers)-1].Time
	if d.now.key != nil {
		key := *d.now.key
		d.now.key = &key
	}
	change(&d.now, at)
	d.now.since = at
	d.pages = append(d.pages, d.now)
	d.c.Block()
}

// governed executes the next operation of a history that members sign.
func (d *diary) governed(history string, body registry.Body) {
	d.c.TB.Helper()
	op := registry.Operation{Network: d.c.Genesis.Network, ChainID: d.c.Genesis.ChainID, DID: d.a.DID, Body: body}
	if prev, ok := d.prev[history]; ok {
		op.Seq, op.Prev = d.seq[history]+1, prev
	}
	payload, err := op.Payload()
	if err != nil {
		d.c.TB.Fatal(err)
	}
	d.c.Must(d.c.Op(op, chaintest.Member(0)))
	d.prev[history], d.seq[history] = registry.HashOf(payload), op.Seq
}

// known is the page of a moment; ok is false before the first.
func (d *diary) known(t time.Time) (p page, ok bool) {
	for _, next := range d.pages {
		if next.since.After(t) {
			break
		}
		p, ok = next, true
	}
	return p, ok
}

// events is the life of an agency, an hour a block.
func events(t *testing.T) *diary {
	t.Helper()
	c := chaintest.New(t, chaintest.Config{Validators: 4, Machine: chain.Config{KeepVersions: 1}})
	c.Step = time.Hour
	d := &diary{c: c, a: c.Agency("gaon"), prev: map[string]registry.Hash{}, seq: map[string]uint64{}}
	stranger := c.Agency("customs")
	d.happened(func(*page, time.Time) {})
	d.a.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "k2", Use: registry.UseAssertion, Key: d.a.Key("k2").Public()}}})
	d.happened(func(p *page, at time.Time) { p.key = &registry.Key{ActiveFrom: at} })
	from := c.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second) // the law began earlier than the block
	d.governed("accr", &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"Act"}, Host: "http://localhost:1", From: from.Unix()})
	d.happened(func(p *page, at time.Time) { p.accredited, p.from = true, from })
	d.a.Epoch()
	d.happened(func(p *page, at time.Time) { p.epoch = 1 })
	regFrom := c.Now().Add(24 * time.Hour).Truncate(time.Second) // and this one begins tomorrow
	d.governed("reg", &registry.RegisterBody{Purpose: "adult-check", Name: map[string]string{"ko": "가온"}, Text: map[string]string{"ko": "확인"},
		Claims: map[string][]string{vct: {"age_over_19"}}, Basis: []string{"Act"}, Retention: 1, From: regFrom.Unix()})
	d.happened(func(p *page, at time.Time) { p.registered, p.regFrom = true, regFrom })
	d.governed("accr", &registry.SuspendBody{Type: vct, N: 1})
	d.happened(func(p *page, at time.Time) { p.suspended = true })
	d.a.Epoch()
	d.happened(func(p *page, at time.Time) { p.epoch = 2 })
	d.governed("accr", &registry.ResumeBody{Type: vct, N: 1})
	d.happened(func(p *page, at time.Time) { p.suspended = false })
	d.a.Do(&registry.RetireBody{ID: "k2"})
	d.happened(func(p *page, at time.Time) { p.key.RetiredAt = at })
	compromised := c.Now().Add(-12 * time.Hour).Truncate(time.Second) // found out afterwards
	d.a.Do(&registry.CompromiseBody{ID: "k2", From: compromised.Unix()})
	d.happened(func(p *page, at time.Time) { p.key.CompromisedFrom = compromised })
	until := c.Now().Add(6 * time.Hour).Truncate(time.Second)
	d.governed("accr", &registry.EndBody{Type: vct, N: 1, Until: until.Unix()})
	d.happened(func(p *page, at time.Time) { p.until = until })
	d.a.Epoch()
	d.happened(func(p *page, at time.Time) { p.epoch = 3 })
	for range 130 { // what is old is pruned
		c.Block()
	}
	stranger.Epoch() // somebody else's change: the headers until now come into the tree
	c.Block()
	return d
}

// moments just before, at and after every event, and far from all.
func (d *diary) moments() []time.Time {
	out := []time.Time{chaintest.Begin.Add(-time.Hour), d.c.Headers[len(d.c.Headers)-1].Time}
	for _, p := range d.pages {
		out = append(out, p.since.Add(-time.Second), p.since, p.since.Add(90*time.Minute))
	}
	return out
}

func within(t, from, until time.Time) bool {
	return !t.Before(from) && (until.IsZero() || t.Before(until))
}

// In force at T, as known at K: every pair of moments of a life, with all states pruned and one published head, and no key.
func TestPointInTime(t *testing.T) {
	d := events(t)
	asked, held := 0, 0
	for _, at := range d.moments() {
		for _, known := range d.moments() {
			m := evidence.Moment{At: at, Known: known}
			raw := d.c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: d.a.DID, ID: "k2"}}, Accreditations: []chain.AccreditationRef{{DID: d.a.DID, Type: vct}},
				Registrations: []chain.RegistrationRef{{DID: d.a.DID, Purpose: "adult-check"}}, Status: []registry.DID{d.a.DID}, At: at, Known: known, Heights: []uint64{1}})
			head := headOf(d.c, d.c.Height())
			f, err := evidence.Check(raw, head.Trust(), d.c.Now().Add(10*365*24*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := f.HeaderHash(1); !ok || h != d.c.Headers[0].Hash() {
				t.Fatal("the header of the first day is not proven")
			}
			if err := d.compare(f, m); err != nil {
				t.Fatalf("at %s, known %s: %v", at, known, err)
			}
			asked++
			if _, in, _ := f.KeyAt(d.a.DID, "k2", m); in {
				held++
			}
		}
	}
	if held == 0 || held == asked {
		t.Fatalf("%d of %d: the questions decide nothing", held, asked)
	}
	t.Logf("%d pairs of moments", asked)
}

// compare holds the answers against the diary.
func (d *diary) compare(f *evidence.Facts, m evidence.Moment) error {
	k, _ := d.known(m.Known)
	early := m.At
	if m.Known.Before(early) {
		early = m.Known
	}
	then, _ := d.known(early)
	key, in, err := f.KeyAt(d.a.DID, "k2", m)
	if want := k.key; want == nil {
		if !errors.Is(err, registry.ErrNotFound) || in {
			return fmt.Errorf("no key yet: %v", err)
		}
	} else if err != nil || in != want.InForce(m.At) || !key.ActiveFrom.Equal(want.ActiveFrom) || !key.RetiredAt.Equal(want.RetiredAt) || !key.CompromisedFrom.Equal(want.CompromisedFrom) {
		return fmt.Errorf("key %+v %v %v, want %+v", key, in, err, want)
	}
	accr, in, err := f.AccreditationAt(d.a.DID, vct, m)
	if !k.accredited {
		if !errors.Is(err, registry.ErrNotFound) || in {
			return fmt.Errorf("no accreditation yet: %v", err)
		}
	} else if want := within(m.At, k.from, k.until) && !then.suspended; err != nil || in != want || !accr.From.Equal(k.from) || !accr.Until.Equal(k.until) {
		return fmt.Errorf("accreditation %+v %v %v, want %v", accr, in, err, want)
	}
	reg, in, err := f.RegistrationAt(d.a.DID, "adult-check", m)
	if !k.registered {
		if !errors.Is(err, registry.ErrNotFound) || in {
			return fmt.Errorf("no registration yet: %v", err)
		}
	} else if want := within(m.At, k.regFrom, k.regTo); err != nil || in != want || !reg.From.Equal(k.regFrom) {
		return fmt.Errorf("registration %+v %v %v, want %v", reg, in, err, want)
	}
	epoch, err := f.StatusEpochAt(d.a.DID, m)
	if then.epoch == 0 {
		if !errors.Is(err, registry.ErrNotFound) {
			return fmt.Errorf("no epoch yet: %+v %v", epoch, err)
		}
	} else if err != nil || epoch.Sequence != then.epoch || epoch.Root != [32]byte{9, byte(then.epoch)} {
		return fmt.Errorf("epoch %+v %v, want %d", epoch, err, then.epoch)
	}
	return nil
}

func TestMomentThatIsNotInHere(t *testing.T) {
	d := events(t)
	raw := d.c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: d.a.DID, ID: "k2"}}, Accreditations: []chain.AccreditationRef{{DID: d.a.DID, Type: vct}}})
	f, err := evidence.Check(raw, headOf(d.c, d.c.Height()).Trust(), d.c.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := d.pages[8].since.Add(time.Hour) // as it was before the compromise was known
	for name, err := range map[string]error{
		"a version that was not asked for": func() error {
			_, _, err := f.KeyAt(d.a.DID, "k2", evidence.Moment{Known: before})
			return err
		}(),
		"a suspension at a moment not asked for": func() error {
			_, _, err := f.AccreditationAt(d.a.DID, vct, evidence.Moment{At: before})
			return err
		}(),
		"what the head cannot know": func() error {
			_, _, err := f.KeyAt(d.a.DID, "k2", evidence.Moment{Known: d.c.Now().Add(time.Hour)})
			return err
		}(),
		"another network": func() error {
			_, _, err := f.KeyAt("did:dojang:other:"+registry.DID(d.a.DID.ID()), "k2", evidence.Moment{})
			return err
		}(),
		"a registration": func() error {
			_, _, err := f.RegistrationAt(d.a.DID, "adult-check", evidence.Moment{})
			return err
		}(),
		"an epoch": func() error {
			_, err := f.StatusEpochAt(d.a.DID, evidence.Moment{})
			return err
		}(),
	} {
		if !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, in, err := f.KeyAt(d.a.DID, "k2", evidence.Moment{}); err != nil || in {
		t.Fatalf("now: %v %v", in, err)
	}
}

// TestManyAccreditations: an agency that was accredited anew for twenty years is proven as any other: the dates of all that ever
// happened do not go into one Evidence, those that decide do.
func TestManyAccreditations(t *testing.T) {
	const vct, years = "urn:dojang:kr:resident-id:1", 20
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("seoul")
	var began [years + 1]time.Time
	day := func(year int) int64 { return c.Time.Add(time.Duration(year) * 24 * time.Hour).Unix() }
	from := day(0)
	for n := 1; n <= years; n++ {
		op := registry.Operation{Network: c.Genesis.Network, ChainID: c.Genesis.ChainID, DID: a.DID, Body: &registry.AccreditBody{Type: vct, N: uint64(n), Basis: []string{"law"}, From: from}}
		c.Must(c.Op(op, chaintest.Member(0)))
		c.Block()
		began[n] = c.Headers[len(c.Headers)-1].Time
		c.Block()
	}
	for _, tc := range []struct {
		name string
		at   time.Time
		want int // how many were known
	}{{"now", time.Time{}, years}, {"the newest", began[years], years}, {"the middle", began[years/2], years / 2}, {"the first", began[1], 1}, {"before all", began[1].Add(-time.Second), 0}} {
		t.Run(tc.name, func(t *testing.T) {
			q := chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: "k1"}}, Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}}, At: tc.at}
			facts, err := evidence.Check(c.Evidence(q), c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			if key, _, err := facts.Key(t.Context(), a.DID, "k1", time.Time{}); err != nil || key.ActiveFrom.IsZero() {
				t.Errorf("key: %+v %v", key, err)
			}
			_, _, err = facts.Accreditation(t.Context(), a.DID, vct, tc.at)
			if tc.want == 0 != errors.Is(err, registry.ErrNotFound) || tc.want > 0 && err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}
