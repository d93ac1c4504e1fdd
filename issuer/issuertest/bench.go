package issuertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/web"
)

// BenchCases are the rows oid4vci/preauth-e2e and oid4vci/batch10. CPU is that of the whole process: the wallet's side
// (requests, one proof signature a copy) is in it, and in the floor.
func BenchCases() []bench.Case {
	return []bench.Case{benchCase("oid4vci/preauth-e2e", 1, nil), benchCase("oid4vci/batch10", 10, nil)}
}

// BenchRows measures the same with the latencies of single flows (p50, p99 at 16 at once).
func BenchRows(ctx context.Context, area string, _ bool, yield func(bench.Row) error) error {
	for _, c := range []struct {
		name string
		n    int
	}{{"oid4vci/preauth-e2e", 1}, {"oid4vci/batch10", 10}} {
		if !strings.HasPrefix(c.name, area) {
			continue
		}
		lat := &latencies{}
		row, err := bench.Measure(ctx, benchCase(c.name, c.n, lat), time.Second)
		if err != nil {
			return err
		}
		row.P50Ms, row.P99Ms = bench.Quantile(lat.ms, 0.5), bench.Quantile(lat.ms, 0.99)
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

type latencies struct {
	mu sync.Mutex
	ms []float64
}

func (l *latencies) add(d time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.ms = append(l.ms, float64(d)/1e6)
	l.mu.Unlock()
}

// benchWidth flows run at once, so that durable writes join as they do under load.
const benchWidth = 16

func benchCase(name string, copies int, lat *latencies) bench.Case {
	return bench.Case{Name: name, New: func() (*bench.Loops, error) {
		b, err := newFlows(copies, lat)
		if err != nil {
			return nil, err
		}
		l := &bench.Loops{Op: b.op, Floor: b.floor, Corrupt: b.corrupt, Per: benchWidth * copies, Close: b.close}
		return l, nil
	}}
}

// flows is a kit with offers ready, and the parts of the floor.
type flows struct {
	*Kit
	copies int
	lat    *latencies
	codes  chan string
	dir    string
	key    keys.Signer
	msg    []byte
	bare   *httpd.Server
	plain  *sqldb.DB
	due    int // floor units asked for and not done yet
}

func newFlows(copies int, lat *latencies) (*flows, error) {
	dir, err := os.MkdirTemp("", "dojang-bench")
	if err != nil {
		return nil, err
	}
	b := &flows{copies: copies, lat: lat, dir: dir, codes: make(chan string, 1<<16), msg: bytes.Repeat([]byte("x"), 1200)}
	ctx := context.Background()
	b.Kit, err = New(ctx, KitConfig{
		DB: "sqlite://" + filepath.Join(dir, "issuer.db"), Limits: web.Limits{TokenPerIP: 1e6, TokenAll: 1e6, OfferPerIP: 1e6, PerGrant: 1e6},
		Tune: func(c *issuer.Config) { c.ListLength = 1 << 22 },
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

func (b *flows) prepare(ctx context.Context) (err error) {
	if b.key, err = keys.Generate(keys.ES256); err != nil {
		return err
	}
	if b.plain, err = sqldb.Open(ctx, "sqlite://"+filepath.Join(b.dir, "floor.db")); err != nil {
		return err
	}
	err = b.plain.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`CREATE TABLE floor (id INTEGER PRIMARY KEY, body BLOB)`)
		return err
	})
	if err != nil {
		return err
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a short body would show in the client
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(b.msg)
	})
	if b.bare, err = httpd.Serve(ctx, httpd.ServeConfig{Listen: "127.0.0.1:0", Handler: h}); err != nil {
		return err
	}
	if err := b.people(ctx); err != nil {
		return err
	}
	return b.offers(4096)
}

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

func (b *flows) offers(n int) error {
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
			b.codes <- offer.Offer.Grants.PreAuthorizedCode.PreAuthorizedCode
		}
		return nil
	})
}

func (b *flows) close() {
	if b.bare != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = b.bare.Stop(ctx)
		cancel()
	}
	if b.plain != nil {
		_ = b.plain.Close()
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
	if len(b.codes) < benchWidth {
		if err := b.offers(1024); err != nil {
			return err
		}
	}
	return parallel(benchWidth, func(int) error {
		start := time.Now()
		defer func() { b.lat.add(time.Since(start)) }()
		a, err := b.flow(nil)
		if err != nil {
			return err
		}
		texts, err := a.Credentials()
		if err == nil && len(texts) != b.copies {
			err = errors.New("issuertest: too few copies")
		}
		return err
	})
}

// flow is token, nonce, credential.
func (b *flows) flow(spoil func([]string)) (Answer, error) {
	offer := oid4vci.Offer{CredentialConfigurationIDs: []string{"resident-id_dc+sd-jwt"}, Grants: oid4vci.Grants{PreAuthorizedCode: &oid4vci.PreAuthorizedCodeGrant{PreAuthorizedCode: <-b.codes}}}
	f, err := b.Redeem("gaon", issuer.Offered{}, offer, b.copies)
	if err != nil {
		return Answer{}, err
	}
	if spoil != nil {
		spoil(f.Proofs)
	}
	return b.Credential(f)
}

// corrupt bends one proof: nothing may be issued.
func (b *flows) corrupt(int) error {
	a, err := b.flow(func(p []string) { p[len(p)-1] = p[len(p)-1][:len(p[len(p)-1])-4] + "AAAA" })
	if err != nil || a.Status != http.StatusBadRequest || a.Code() != "invalid_proof" {
		return fmt.Errorf("answer %d %s %w", a.Status, a.Code(), err)
	}
	return nil
}

// floor is one copy's share of: three bare HTTP requests, the wallet's key and proof, proof verification, signature,
// verification after signing, and two durable writes; benchWidth flows at once.
func (b *flows) floor(int) error {
	if b.due++; b.due < benchWidth*b.copies {
		return nil
	}
	b.due = 0
	return parallel(benchWidth, func(int) error {
		for range 3 {
			if _, err := b.Do("POST", b.bare.URL(), nil, b.msg); err != nil {
				return err
			}
		}
		for range b.copies {
			if err := b.crypto(); err != nil {
				return err
			}
		}
		for range 2 {
			err := b.plain.Write(context.Background(), func(tx *sqldb.Tx) error {
				_, err := tx.Exec(`INSERT INTO floor (body) VALUES (?)`, b.msg[:512])
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *flows) crypto() error {
	wallet, err := keys.Generate(keys.ES256)
	if err != nil {
		return err
	}
	for _, s := range []keys.Signer{wallet, b.key} {
		sig, err := s.Sign(b.msg)
		if err != nil {
			return err
		}
		if err := s.Public().Verify(b.msg, sig); err != nil {
			return err
		}
	}
	return nil
}
