package httpd

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ClientIP is the peer's address, or, when the peer is a trusted proxy, the rightmost address of X-Forwarded-For that is
// not one. What a client itself writes there is to the left of that and never believed (THREATS J14).
func (m *Mux) ClientIP(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{} // all of those share one allowance
	}
	addr := peer.Addr().Unmap().WithZone("")
	if len(m.cfg.TrustedProxies) == 0 || !m.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		if addr = hop.Unmap().WithZone(""); !m.trusted(addr) {
			return addr
		}
	}
	return addr
}

func (m *Mux) trusted(a netip.Addr) bool {
	for _, p := range m.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

const (
	limitShards = 16
	// maxAddresses bounds the memory of one shard, about 100 bytes each.
	maxAddresses = 8192
)

// AddressLimits is GCRA per address (IPv6: one /64): the theoretical arrival time of each, in nanoseconds.
type AddressLimits struct {
	interval, burst int64
	shards          [limitShards]limitShard
}

type limitShard struct {
	mu sync.Mutex
	at map[netip.Addr]int64
}

// NewAddressLimits of so many events a second, and so many at once.
func NewAddressLimits(rate float64, burst int) *AddressLimits {
	l := &AddressLimits{interval: max(int64(float64(time.Second)/rate), 1)}
	l.burst = l.interval * int64(burst)
	for i := range l.shards {
		l.shards[i].at = map[netip.Addr]int64{}
	}
	return l
}

// Take books n events of an address, at most a burst, and returns 0; or, booking none, how long the address has to wait.
func (l *AddressLimits) Take(a netip.Addr, n int, now time.Time) time.Duration {
	if a.Is6() { // one subscriber has a /64 to choose from
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	b := a.As16()
	s := &l.shards[(b[15]^b[14]^b[7]^b[5])%limitShards]
	t := now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	// Further ahead than a burst is only what a clock left that went back since: a used-up burst, no lock-out (K09).
	at := min(max(s.at[a], t), t+l.burst)
	next := at + l.interval*int64(n)
	if early := next - l.burst - t; early > 0 {
		s.at[a] = at
		return time.Duration(early)
	}
	if len(s.at) >= maxAddresses {
		s.sweep(t)
	}
	s.at[a] = next
	return 0
}

// sweep drops addresses that have their whole allowance back, and, when none has, a few at random: memory is bounded
// before fairness.
func (s *limitShard) sweep(now int64) {
	for a, at := range s.at {
		if at <= now {
			delete(s.at, a)
		}
	}
	for a := range s.at {
		if len(s.at) < maxAddresses*7/8 {
			return
		}
		delete(s.at, a)
	}
}

// RetryAfter is a duration as that header has it: whole seconds, rounded up (RFC 9110 10.2.3).
func RetryAfter(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
