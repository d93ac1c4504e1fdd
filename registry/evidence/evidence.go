// Package evidence is the unit of trust: facts of the registry chain with all that is needed to check them.
//
// Check is the function to use first: it takes bytes from anybody, a trust file and a time, and returns Facts, a
// registry.Resolver that answers what the Evidence holds. Trusted are the trust file and the caller's clock; nothing
// else: no network, no engine, no witness, no clock of its own. Build makes Evidence out of a state proof and headers.
//
// The format is in registry/README.md, "Evidence".
package evidence

import (
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Limits of one Evidence.
const (
	MaxSize       = 32 << 10 // bytes, the default
	MaxValidators = 200
	maxHeaders    = 4
	MaxPoints     = 16 // headers that date facts
	maxPath       = 1024
	maxDepth      = 64 // of the state tree
	clockDrift    = 10 * time.Second
	version       = 1
)

// What does not hold in an Evidence that is well formed; all wrap registry.ErrUntrusted. ErrTooOld and ErrClock are for
// callers that tell people what to do: fetch newer Evidence or trust, set the clock.
var (
	ErrTooOld = fmt.Errorf("%w: outside of the trusting period", registry.ErrUntrusted)
	ErrClock  = fmt.Errorf("%w: from the future", registry.ErrUntrusted)
	errChain  = fmt.Errorf("%w: of another chain", registry.ErrUntrusted)
	errHeader = fmt.Errorf("%w: headers are not in order", registry.ErrUntrusted)
	errSet    = fmt.Errorf("%w: unknown validators", registry.ErrUntrusted)
	errVotes  = fmt.Errorf("%w: not enough valid votes", registry.ErrUntrusted)
	errState  = fmt.Errorf("%w: the state is not that of the header", registry.ErrUntrusted)
	errPoints = fmt.Errorf("%w: headers are not in the header tree", registry.ErrUntrusted)
)

// Check verifies an Evidence against trust at now. See Checker for the errors and for caches.
func Check(evidence []byte, trust Trust, now time.Time) (*Facts, error) {
	return Checker{Trust: trust}.Check(evidence, now)
}

// A parts is a parsed Evidence; nothing in it is verified.
type parts struct {
	chainID string
	headers []SignedHeader
	sets    []ValidatorSet
	tree    []byte
	points  []point
	path    [][]byte
	status  *Status
}

// A point dates a height: with the three nodes beside height and time it gives the header's hash.
type point struct {
	height uint64
	time   time.Time
	nodes  []byte // 96 bytes; nil for a header that is given whole
}

func (p *point) hash() hash {
	return joinHeader(hash(p.nodes[:32]), hash(p.nodes[32:64]), hash(p.nodes[64:96]), p.height, p.time)
}

func parse(b []byte) (parts, error) {
	r := reader{b: b}
	var p parts
	n := r.array(5, 7)
	if v := r.uint(); r.err == nil && v != version {
		return parts{}, registry.ErrMalformed
	}
	p.chainID = r.text(64)
	headers := r.array(1, maxHeaders)
	for i := 0; i < headers && r.err == nil; i++ {
		r.array(2, 2)
		p.headers = append(p.headers, SignedHeader{Header: r.header(), Commit: r.commit()})
	}
	sets := r.array(0, maxHeaders)
	for i := 0; i < sets && r.err == nil; i++ {
		p.sets = append(p.sets, r.validators())
	}
	p.tree = r.bytes(1, len(b))
	if n > 5 {
		r.points(&p)
	}
	if n > 6 {
		p.status = r.status(6)
	}
	if r.err == nil && len(r.b) != 0 {
		r.err = registry.ErrMalformed
	}
	return p, r.err
}

// points may be an empty array of two empty arrays when a status follows.
func (r *reader) points(p *parts) {
	r.array(2, 2)
	n := r.array(0, MaxPoints)
	if n > 0 && r.err == nil {
		p.points = make([]point, 0, n+maxHeaders)
	}
	for i := 0; i < n && r.err == nil; i++ {
		r.array(3, 3)
		pt := point{height: r.uint(), time: r.time(), nodes: r.bytes(96, 96)}
		if i > 0 && pt.height <= p.points[i-1].height {
			r.fail()
		}
		p.points = append(p.points, pt)
	}
	k := r.array(0, maxPath)
	if k > 0 && r.err == nil {
		p.path = make([][]byte, 0, k)
	}
	for i := 0; i < k && r.err == nil; i++ {
		p.path = append(p.path, r.bytes(32, 32))
	}
}

func (r *reader) status(most int) *Status {
	s := &Status{}
	n := r.array(4, most)
	s.Record, s.Index, s.Size = r.bytes(1, 4096), r.uint(), r.uint()
	k := r.array(0, 64)
	for i := 0; i < k && r.err == nil; i++ {
		s.Path = append(s.Path, r.bytes(32, 32))
	}
	if n > 4 {
		s.Chunk = r.bytes(1, 8192)
	}
	if n > 5 {
		s.Base = r.status(5)
	}
	return s
}

// Build encodes an Evidence. It verifies nothing: Check does. Errors: a missing header or set, registry.ErrLimit.
func Build(m Material) ([]byte, error) {
	points := m.points()
	if len(m.Headers) == 0 || len(m.Headers) > maxHeaders || len(points) != len(m.State.Points) || len(points) > MaxPoints {
		return nil, errors.New("evidence: build: headers or points are missing")
	}
	b := putUint(putArray(nil, 5+m.tail()), version)
	b = putArray(putText(b, m.ChainID), len(m.Headers))
	for i := range m.Headers {
		commit, err := m.trim(&m.Headers[i])
		if err != nil {
			return nil, err
		}
		b = commit.put(m.Headers[i].Header.put(putArray(b, 2)))
	}
	b = putArray(b, len(m.Sets))
	for _, s := range m.Sets {
		b = s.put(b)
	}
	b = putBytes(b, m.State.Tree)
	if m.tail() > 0 {
		b = m.putPoints(b, points)
	}
	if m.Status != nil {
		b = m.Status.put(b)
	}
	if len(b) > MaxSize {
		return nil, registry.ErrLimit
	}
	return b, nil
}

func (m *Material) tail() int {
	switch {
	case m.Status != nil:
		return 2
	case len(m.State.Points) > 0:
		return 1
	}
	return 0
}

func (m *Material) points() []Point {
	if m.Points == nil {
		return m.State.Dated
	}
	out := make([]Point, len(m.Points))
	for i := range m.Points {
		out[i] = m.Points[i].Point()
	}
	return out
}

func (m *Material) putPoints(b []byte, points []Point) []byte {
	b = putArray(putArray(b, 2), len(points))
	for i := range points {
		p := &points[i]
		b = putTime(putUint(putArray(b, 3), p.Height), p.Time)
		b = append(appendHead(b, majorBytes, 96), p.Nodes[:]...)
	}
	b = putArray(b, len(m.State.Path))
	for i := range m.State.Path {
		b = putBytes(b, m.State.Path[i][:])
	}
	return b
}

func (s *Status) put(b []byte) []byte {
	n := 4
	if s.Chunk != nil {
		n = 5
		if s.Base != nil {
			n = 6
		}
	}
	b = putUint(putUint(putBytes(putArray(b, n), s.Record), s.Index), s.Size)
	b = putArray(b, len(s.Path))
	for _, h := range s.Path {
		b = putBytes(b, h)
	}
	if s.Chunk != nil {
		b = putBytes(b, s.Chunk)
	}
	if n == 6 {
		b = s.Base.part().put(b)
	}
	return b
}

// part is a status without a base.
func (s *Status) part() *Status {
	p := *s
	p.Base = nil
	return &p
}

// trim keeps just more than two thirds of the power of the header's set, if that set is at hand; else all votes.
func (m *Material) trim(h *SignedHeader) (Commit, error) {
	c := h.Commit
	if len(c.Votes) > MaxValidators {
		return c, registry.ErrLimit
	}
	for _, s := range append(m.Sets[:len(m.Sets):len(m.Sets)], m.Known...) {
		if s.Hash() != hash(h.Header.Validators) {
			continue
		}
		total, _ := s.power()
		var got int64
		for i, v := range c.Votes {
			if v.Index >= len(s) {
				return c, errors.New("evidence: build: a vote of nobody")
			}
			if got += s[v.Index].Power; got > total*2/3 {
				c.Votes = c.Votes[:i+1]
				break
			}
		}
	}
	return c, nil
}
