package evidence

import (
	"bytes"
	"crypto/ed25519"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Checker checks Evidence. The zero value of everything but Trust is good.
type Checker struct {
	Trust   Trust
	Headers HeaderCache // nil: every signature is verified every time
	MaxSize int         // 0: MaxSize
}

// Check returns the facts of an Evidence, or an error that wraps registry.ErrUntrusted (a proof, signature, hash,
// height or time does not hold; also ErrTooOld, ErrClock), registry.ErrMalformed, or registry.ErrLimit. Facts refer to
// the bytes given: these must not be changed afterwards.
//
// Order: size, shape, hashes, times, and signatures last, for they cost most.
func (c Checker) Check(evidence []byte, now time.Time) (*Facts, error) {
	limit := c.MaxSize
	if limit == 0 {
		limit = MaxSize
	}
	if len(evidence) > limit {
		return nil, registry.ErrLimit
	}
	p, err := parse(evidence)
	if err != nil {
		return nil, err
	}
	if p.chainID != c.Trust.ChainID {
		return nil, errChain
	}
	if err := c.times(p.headers, now); err != nil {
		return nil, err
	}
	head := &p.headers[len(p.headers)-1].Header
	shown, root, err := readTree(p.tree)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(root[:], head.AppHash) {
		return nil, errState
	}
	if err := p.dated(&shown); err != nil {
		return nil, err
	}
	headHash, err := c.signed(&p, now)
	if err != nil {
		return nil, err
	}
	f := &Facts{network: c.Trust.Network, tree: shown, hash: headHash, points: p.points, status: p.status}
	f.head = registry.Checked{Height: head.Height, KnownAt: head.Time}
	for i := range p.headers {
		f.addPoint(point{height: p.headers[i].Header.Height, time: p.headers[i].Header.Time})
	}
	return f, nil
}

// times checks what headers say about themselves.
func (c *Checker) times(headers []SignedHeader, now time.Time) error {
	for i := range headers {
		h := &headers[i].Header
		if h.ChainID != c.Trust.ChainID {
			return errChain
		}
		if i > 0 && (h.Height <= headers[i-1].Header.Height || !h.Time.After(headers[i-1].Header.Time)) {
			return errHeader
		}
		if (h.Height > c.Trust.Height && !h.Time.After(c.Trust.Time)) || (h.Height < c.Trust.Height && !h.Time.Before(c.Trust.Time)) {
			return errHeader
		}
		if h.Time.After(now.Add(clockDrift)) {
			return ErrClock
		}
	}
	if c.Trust.Time.After(now.Add(clockDrift)) {
		return ErrClock // the clock was set back: it cannot tell what is too old
	}
	return nil
}

// dated verifies the points against the header tree in the state.
func (p *parts) dated(shown *tree) error {
	if len(p.points) == 0 {
		if len(p.path) != 0 {
			return registry.ErrMalformed
		}
		return nil
	}
	b, err := shown.get(registry.HeaderRootKey())
	if err != nil {
		return errPoints
	}
	var root registry.HeaderRoot
	if err := registry.Decode(b, &root); err != nil {
		return err
	}
	last := p.points[len(p.points)-1].height
	if p.points[0].height < root.First || last-root.First >= root.Size || root.Size > 1<<62 {
		return errPoints
	}
	w := headerWalk{points: p.points, path: p.path, first: root.First}
	if top, ok := w.node(0, root.Size); !ok || len(w.path) != 0 || top != root.Root {
		return errPoints
	}
	// Time moves forward with height; the head is the newest.
	head := p.headers[len(p.headers)-1].Header
	for i := range p.points {
		if i > 0 && !p.points[i].time.After(p.points[i-1].time) {
			return errPoints
		}
	}
	if last >= head.Height || !p.points[len(p.points)-1].time.Before(head.Time) {
		return errPoints
	}
	return nil
}

// A headerWalk recomputes the root of the header tree from some leaves and the hashes beside them.
type headerWalk struct {
	points []point // not yet met
	path   [][]byte
	first  uint64
}

// node is the hash over leaves [from, from+n).
func (w *headerWalk) node(from, n uint64) (hash, bool) {
	if len(w.points) == 0 || w.points[0].height-w.first >= from+n {
		if len(w.path) == 0 {
			return hash{}, false
		}
		h := hash(w.path[0])
		w.path = w.path[1:]
		return h, true
	}
	if n == 1 {
		hh := w.points[0].hash()
		w.points = w.points[1:]
		return leaf(hh[:]), true
	}
	k := split(n)
	l, ok := w.node(from, k)
	if !ok {
		return hash{}, false
	}
	r, ok := w.node(from+k, n-k)
	return inner(l, r), ok
}

// signed verifies the headers one after the other, each from what was trusted before it, and returns the head's hash.
func (c *Checker) signed(p *parts, now time.Time) (hash, error) {
	t := trusted{sets: []ValidatorSet{c.Trust.Validators}, height: c.Trust.Height}
	var top hash
	for i := range p.headers {
		h := &p.headers[i]
		top = h.Header.Hash()
		known := (h.Header.Height == c.Trust.Height && top == c.Trust.Hash) || (c.Headers != nil && c.Headers.Known(h.Header.Height, top))
		if known {
			t.learn(h, p.sets)
			continue
		}
		if h.Header.Height == c.Trust.Height && c.Trust.Hash != (hash{}) {
			return hash{}, errHeader // a fork at the trusted height
		}
		if err := c.fresh(&h.Header, now); err != nil {
			return hash{}, err
		}
		if err := t.verify(h, top, p.sets); err != nil {
			return hash{}, err
		}
		t.learn(h, p.sets)
		if c.Headers != nil {
			c.Headers.Add(h.Header.Height, top)
		}
	}
	return top, nil
}

// fresh: signatures count only while the trust and the header are young: whoever steals keys later cannot rewrite history.
func (c *Checker) fresh(h *Header, now time.Time) error {
	period := c.Trust.TrustingPeriod
	if now.After(c.Trust.Time.Add(period)) || now.After(h.Time.Add(period)) {
		return ErrTooOld
	}
	if !c.Trust.Expires.IsZero() && now.After(c.Trust.Expires) {
		return ErrTooOld
	}
	return nil
}

// trusted is what headers are verified against: validator sets that may sign alone, the newest last.
type trusted struct {
	sets   []ValidatorSet
	next   []byte // hash of a set that a verified header named as its next
	height uint64
}

// learn trusts the validators of a verified header, and by hash those it names as next.
func (t *trusted) learn(h *SignedHeader, sets []ValidatorSet) {
	if h.Header.Height < t.height {
		return
	}
	t.height, t.next = h.Header.Height, h.Header.NextValidators
	for _, s := range sets {
		if sh := s.Hash(); bytes.Equal(sh[:], h.Header.Validators) {
			t.sets = append(t.sets, s)
		}
	}
}

// verify is the engine's light client rule: two thirds of a set that is trusted, or one third of the newest trusted set
// and two thirds of its own. Every vote given must hold. In a set that is not trusted yet no key stands twice: the vote
// of one trusted validator would count as many.
func (t *trusted) verify(h *SignedHeader, top hash, sets []ValidatorSet) error {
	own, direct := t.find(h.Header.Validators, sets)
	if own == nil {
		return errSet
	}
	if !direct && (h.Header.Height <= t.height || !own.distinct()) {
		return errSet
	}
	total, ok := own.power()
	if !ok {
		return errSet
	}
	newest := t.sets[len(t.sets)-1]
	trustedTotal, ok := newest.power()
	if !direct && !ok {
		return errSet
	}
	var signed, overlap int64
	for _, v := range h.Commit.Votes {
		if v.Index >= len(own) {
			return errVotes
		}
		signed += own[v.Index].Power
		if !direct {
			overlap += newest.powerOf(own[v.Index].PublicKey)
		}
	}
	switch {
	case signed*3 <= total*2: // powers are at most 2^60
		return errVotes
	case !direct && overlap*3 <= trustedTotal:
		return errSet
	}
	var b [320]byte
	for _, v := range h.Commit.Votes {
		message := h.Commit.signBytes(b[:0], &h.Header, top, v.Time)
		if !ed25519.Verify(own[v.Index].PublicKey[:], message, v.Signature) {
			return errVotes
		}
	}
	return nil
}

// find returns the set of a hash, and whether it may sign alone.
func (t *trusted) find(want []byte, sets []ValidatorSet) (set ValidatorSet, direct bool) {
	for _, s := range t.sets {
		if h := s.Hash(); bytes.Equal(h[:], want) {
			return s, true
		}
	}
	for _, s := range sets {
		if h := s.Hash(); bytes.Equal(h[:], want) {
			return s, bytes.Equal(want, t.next)
		}
	}
	return nil, false
}

func (s ValidatorSet) distinct() bool {
	seen := make(map[[32]byte]bool, len(s))
	for i := range s {
		seen[s[i].PublicKey] = true
	}
	return len(seen) == len(s)
}

func (s ValidatorSet) powerOf(key [32]byte) int64 {
	for i := range s {
		if s[i].PublicKey == key {
			return s[i].Power
		}
	}
	return 0
}
