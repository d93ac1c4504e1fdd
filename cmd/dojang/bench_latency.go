package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

const (
	loadRounds = 5
	loadShare  = 0.7 // of saturation
	loadMost   = 20_000
)

// underLoad is latency/p99-under-load: issuances and whole presentations by turns, wallets included, on this machine's cores.
// First so many callers as it takes find out how many flows a second are the most; then flows begin at 70 % of that, at
// times that do not wait for those before, and p50 and p99 count from those times. ns_op is CPU time of the process for
// one flow, the floor its curve arithmetic, per_s the flows a second that were asked for.
func underLoad(ctx context.Context, o bench.Options) (bench.Row, error) {
	each := time.Second
	if o.Full {
		each = 12 * time.Second
	}
	m := &mixed{}
	var err error
	if m.verify, err = verifiertest.NewFlows(); err != nil {
		return bench.Row{}, err
	}
	defer m.verify.Close()
	tickets := 8192
	if o.Full {
		tickets = 3 * loadMost
	}
	if m.issue, err = issuertest.NewFlows(tickets); err != nil {
		return bench.Row{}, err
	}
	defer m.issue.Close()
	if _, err := m.saturate(ctx, time.Second); err != nil { // warm
		return bench.Row{}, err
	}
	most, err := m.saturate(ctx, 2*time.Second)
	if err != nil {
		return bench.Row{}, err
	}
	rate := loadShare * most
	var cost, floors []float64
	for range loadRounds {
		began := bench.CPUTime()
		if err := m.paced(ctx, rate, each); err != nil {
			return bench.Row{}, err
		}
		cost = append(cost, float64(bench.CPUTime()-began)/(rate*each.Seconds()))
		floor, err := m.floor()
		if err != nil {
			return bench.Row{}, err
		}
		floors = append(floors, floor)
	}
	row := bench.RowOf("", cost, floors)
	ms := m.took.Ms()
	row.N, row.PerS = len(ms), rate
	row.Latency(ms)
	row.Set("saturation_per_s", most)
	return row, nil
}

// mixed are both parties under load.
type mixed struct {
	issue  *issuertest.Flows
	verify *verifiertest.Flows
	next   atomic.Int64
	took   bench.Latencies
}

func (m *mixed) one() error {
	if m.next.Add(1)%2 == 0 {
		return m.issue.One()
	}
	return m.verify.One()
}

// saturate is the flows a second of callers who begin the next one at once.
func (m *mixed) saturate(ctx context.Context, d time.Duration) (perS float64, err error) {
	const callers = 16
	var done atomic.Int64
	begun := time.Now()
	err = parallel(callers, func() error {
		for time.Since(begun) < d && ctx.Err() == nil {
			if err := m.one(); err != nil {
				return err
			}
			done.Add(1)
		}
		return ctx.Err()
	})
	return float64(done.Load()) / time.Since(begun).Seconds(), err
}

// paced begins flows at a rate, whether those before have ended or not.
func (m *mixed) paced(ctx context.Context, rate float64, d time.Duration) error {
	const callers = 64
	count := int64(rate * d.Seconds())
	var next atomic.Int64
	begun := time.Now()
	return parallel(callers, func() error {
		for {
			i := next.Add(1) - 1
			if i >= count {
				return nil
			}
			at := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
			select {
			case <-time.After(time.Until(at)):
			case <-ctx.Done():
				return ctx.Err()
			}
			if err := m.one(); err != nil {
				return err
			}
			m.took.Add(time.Since(at))
		}
	})
}

// floor is the CPU time of the arithmetic of a flow, half of each kind.
func (m *mixed) floor() (float64, error) {
	const n = 32
	began := bench.CPUTime()
	for range n {
		if err := m.issue.Floor(); err != nil {
			return 0, err
		}
		if err := m.verify.Floor(); err != nil {
			return 0, err
		}
	}
	return float64(bench.CPUTime()-began) / (2 * n), nil
}

// parallel runs f so many times at once and returns the first error.
func parallel(n int, f func() error) (first error) {
	var wg sync.WaitGroup
	var once sync.Once
	for range n {
		wg.Go(func() {
			if err := f(); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}
