package issuertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/web"
)

// BenchCases are the rows oid4vci/preauth-e2e and oid4vci/batch10: token, nonce, credential over HTTP, benchWidth flows
// at once on connections kept alive. Offers are made, and the wallet's keys and proofs signed, outside of the measured
// time; what is left of the wallet is a thin client, which the floor has as well. The floor is PERFORMANCE.md 3(i) and
// CONTRACT.md, done in the same run: three bare requests with bodies of the same size, per copy a proof parsed and
// verified, 20 disclosures, a payload, a signature and its verification, and two durable writes. p50 and p99 are those of
// single flows.
func BenchCases() []bench.Case {
	return []bench.Case{benchCase("oid4vci/preauth-e2e", 1), benchCase("oid4vci/batch10", 10)}
}

// benchWidth flows run at once, so that durable writes join as they do under load.
const benchWidth = 16

func benchCase(name string, copies int) bench.Case {
	return bench.Case{Name: name, New: func() (*bench.Loops, error) {
		b, err := newFlows(copies)
		if err != nil {
			return nil, err
		}
		return &bench.Loops{Op: b.op, Floor: b.floorAll, Corrupt: b.corrupt, Per: benchWidth * copies, FloorPer: benchWidth * copies, Latencies: b.took.Ms, Close: b.close}, nil
	}}
}

// flows is a kit with tickets ready, and the parts of the floor.
type flows struct {
	*Kit
	copies  int
	took    bench.Latencies
	tickets chan ticket
	dir     string
	wires   []*bench.Wire // benchWidth to the issuer
	floor   *floor
}

// A ticket is all that one wallet brings: its code, and a credential request with proofs over a nonce of ours.
type ticket struct {
	token, credential []byte
}

func newFlows(copies int) (*flows, error) {
	dir, err := os.MkdirTemp("", "dojang-bench")
	if err != nil {
		return nil, err
	}
	b := &flows{copies: copies, dir: dir, tickets: make(chan ticket, 1<<16)}
	ctx := context.Background()
	b.Kit, err = New(ctx, KitConfig{
		DB: "sqlite://" + filepath.Join(dir, "issuer.db"), Limits: web.Limits{TokenPerIP: 1e6, TokenAll: 1e6, OfferPerIP: 1e6, PerGrant: 1e6},
		Tune: func(c *issuer.Config) {
			c.ListLength, c.NonceTTL, c.OfferTTL = 1<<22, time.Hour, time.Hour
		},
	})
	if err == nil {
		err = b.prepare(ctx)
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// perPrepared is how many tickets are made at once: enough for the rounds of a row.
func (b *flows) perPrepared() int { return max(8192/b.copies, 1024) }

func (b *flows) prepare(ctx context.Context) (err error) {
	if err := b.people(ctx); err != nil {
		return err
	}
	if err := b.issue(b.perPrepared()); err != nil {
		return err
	}
	for range benchWidth {
		w, err := bench.Dial(b.URL)
		if err != nil {
			return err
		}
		b.wires = append(b.wires, w)
	}
	t := <-b.tickets
	sizes, err := b.flow(b.wires[0], t)
	if err != nil {
		return err
	}
	b.floor, err = newFloor(ctx, filepath.Join(b.dir, "floor.db"), t, sizes)
	return err
}

// A Flows is an issuer whose wallets are ready, for a load that others share the machine with.
type Flows struct {
	f     *flows
	wires chan *bench.Wire
}

// NewFlows starts it on a database of its own, with tickets for so many flows; Close ends it.
func NewFlows(tickets int) (*Flows, error) {
	f, err := newFlows(1)
	if err != nil {
		return nil, err
	}
	s := &Flows{f: f, wires: make(chan *bench.Wire, benchWidth)}
	for _, w := range f.wires {
		s.wires <- w
	}
	if more := tickets - len(f.tickets); more > 0 {
		err = f.issue(more)
	}
	if err != nil {
		f.close()
	}
	return s, err
}

// One is token, nonce, credential for the next wallet. Safe for concurrent use.
func (s *Flows) One() error {
	w := <-s.wires
	defer func() { s.wires <- w }()
	select {
	case t := <-s.f.tickets:
		_, err := s.f.flow(w, t)
		return err
	default:
		return errors.New("issuertest: out of tickets")
	}
}

// Floor is the arithmetic of one.
func (s *Flows) Floor() error { return s.f.floor.copy() }

// Close stops the servers.
func (s *Flows) Close() { s.f.close() }

// people are 256 records of the same invented person under different ids and addresses.
func (b *flows) people(ctx context.Context) error {
	var file strings.Builder
	file.WriteString("관리번호,성,이름,로마자성명,생년월일,성별,국적,주소,시도,시군구,우편번호,법정동코드,전입일,발급번호\n")
	for i := range 256 {
		fmt.Fprintf(&file, "bench-%d,한,가온,HAN GAON,1998-07-04,여,KR,서울특별시 가온구 새빛로 %d,서울특별시,가온구,00012,1199010100,2024-03-02,RID-26-%d\n", i, i+1, i)
	}
	_, err := b.Issuer.Import(ctx, issuer.ImportRequest{Tenant: "gaon", Type: "resident-id", File: []byte(file.String()), Actor: "bench"})
	return err
}

// issue makes n tickets.
func (b *flows) issue(n int) error {
	return parallel(64, func(worker int) error {
		for i := worker; i < n; i += 64 {
			o, err := b.Offer("gaon", "resident-id", fmt.Sprintf("bench-%d", i%256), false)
			if err != nil {
				return err
			}
			offer, err := oid4vci.ParseOfferLink(o.ValueURI, func(string) bool { return true })
			if err != nil {
				return err
			}
			nonce, err := b.Issuer.CNonce(context.Background(), "gaon")
			if err != nil {
				return err
			}
			f := Flow{Config: "resident-id_dc+sd-jwt"}
			if f.Proofs, err = b.Proofs("gaon", nonce, b.copies); err != nil {
				return err
			}
			form := url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {offer.Offer.Grants.PreAuthorizedCode.PreAuthorizedCode}}
			b.tickets <- ticket{token: []byte(form.Encode()), credential: f.Body()}
		}
		return nil
	})
}

func (b *flows) close() {
	for _, w := range b.wires {
		_ = w.Close()
	}
	if b.floor != nil {
		b.floor.close()
	}
	if b.Kit != nil {
		b.Kit.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// parallel runs f n times at once and returns the first error.
func parallel(n int, f func(worker int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (b *flows) op(int) error {
	if len(b.tickets) < benchWidth { // `go test -bench` only: a row's rounds have enough
		if err := b.issue(b.perPrepared()); err != nil {
			return err
		}
	}
	return parallel(benchWidth, func(worker int) error {
		start := time.Now()
		defer func() { b.took.Add(time.Since(start)) }()
		_, err := b.flow(b.wires[worker], <-b.tickets)
		return err
	})
}

// flow is token, nonce, credential; the sizes of the three answers.
func (b *flows) flow(w *bench.Wire, t ticket) (sizes [3]int, err error) {
	status, body, err := w.Do("POST /gaon/token", bench.FormHead, t.token)
	if err != nil || status != http.StatusOK {
		return sizes, fmt.Errorf("issuertest: token: %d %w", status, err)
	}
	sizes[0] = len(body)
	_, rest, _ := bytes.Cut(body, []byte(`"access_token":"`))
	access, _, ok := bytes.Cut(rest, []byte(`"`))
	if !ok {
		return sizes, errors.New("issuertest: no access token")
	}
	head := bench.JSONHead + "Authorization: Bearer " + string(access) + "\r\n"
	status, body, err = w.Do("POST /gaon/nonce", "", nil)
	if err != nil || status != http.StatusOK || !bytes.Contains(body, []byte(`"c_nonce"`)) {
		return sizes, fmt.Errorf("issuertest: nonce: %d %w", status, err)
	}
	sizes[1] = len(body)
	status, body, err = w.Do("POST /gaon/credential", head, t.credential)
	if err != nil || status != http.StatusOK || bytes.Count(body, []byte(`"credential":"`)) != b.copies {
		return sizes, fmt.Errorf("issuertest: credential: %d %w", status, err)
	}
	sizes[2] = len(body)
	return sizes, nil
}

// corrupt bends one proof: nothing may be issued.
func (b *flows) corrupt(int) error {
	t := <-b.tickets
	end := bytes.LastIndexByte(bytes.TrimRight(t.credential, `]}`), '"')
	copy(t.credential[end-4:end], "AAAA")
	if _, err := b.flow(b.wires[0], t); err == nil || !bytes.Contains(b.wires[0].Body(), []byte(`"invalid_proof"`)) {
		return fmt.Errorf("answer %s %w", b.wires[0].Body(), err)
	}
	return nil
}

// floorAll is what benchWidth flows at once cannot do without.
func (b *flows) floorAll(int) error {
	return parallel(benchWidth, func(worker int) error { return b.floor.flow(worker, b.copies) })
}
