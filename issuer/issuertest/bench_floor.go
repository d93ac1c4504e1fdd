package issuertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
)

// floor holds the parts of what nobody can do without.
type floor struct {
	server  *httpd.Server
	wires   []*bench.Wire
	db      *sqldb.DB
	key     keys.Signer
	request ticket
	proof   string
	input   []byte // to be signed: as long as a credential's
}

func newFloor(ctx context.Context, path string, t ticket, sizes [3]int) (*floor, error) {
	f := &floor{request: t, input: bytes.Repeat([]byte("x"), 3000)}
	var req struct {
		Proofs struct {
			JWT []string `json:"jwt"`
		} `json:"proofs"`
	}
	err := json.Unmarshal(t.credential, &req)
	if err != nil {
		return nil, err
	}
	f.proof = req.Proofs.JWT[0]
	if f.key, err = keys.Generate(keys.ES256); err != nil {
		return nil, err
	}
	if f.db, err = sqldb.Open(ctx, "sqlite://"+path); err != nil {
		return nil, err
	}
	err = f.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`CREATE TABLE floor (id INTEGER PRIMARY KEY, body BLOB)`)
		return err
	})
	if err == nil {
		err = f.listen(ctx, sizes)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// listen serves three paths that read a body and answer with as many bytes as the issuer does.
func (f *floor) listen(ctx context.Context, sizes [3]int) (err error) {
	mux := http.NewServeMux()
	for i, size := range sizes {
		answer := bytes.Repeat([]byte("x"), size)
		mux.HandleFunc("POST /"+strconv.Itoa(i), func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body) // a short body would show in the client
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			_, _ = w.Write(answer)
		})
	}
	if f.server, err = httpd.Serve(ctx, httpd.ServeConfig{Listen: "127.0.0.1:0", Handler: mux}); err != nil {
		return err
	}
	for range benchWidth {
		w, err := bench.Dial(f.server.URL())
		if err != nil {
			return err
		}
		f.wires = append(f.wires, w)
	}
	return nil
}

func (f *floor) close() {
	for _, w := range f.wires {
		_ = w.Close()
	}
	if f.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = f.server.Stop(ctx)
		cancel()
	}
	if f.db != nil {
		_ = f.db.Close()
	}
}

// flow is the floor of one flow.
func (f *floor) flow(worker, copies int) error {
	w := f.wires[worker]
	for i, r := range []struct {
		head string
		body []byte
	}{{bench.FormHead, f.request.token}, {"", nil}, {bench.JSONHead, f.request.credential}} {
		if status, _, err := w.Do("POST /"+strconv.Itoa(i), r.head, r.body); err != nil || status != http.StatusOK {
			return fmt.Errorf("issuertest: floor: %d %w", status, err)
		}
	}
	if err := f.write(); err != nil { // the intents
		return err
	}
	for range copies {
		if err := f.copy(); err != nil {
			return err
		}
	}
	return f.write()
}

// copy is one proof and one credential.
func (f *floor) copy() error {
	j, err := keys.ParseJWS(f.proof, keys.Expect{Typ: keys.TypProof})
	if err != nil {
		return err
	}
	if _, err := j.Verify(j.Header().JWK); err != nil {
		return err
	}
	digests := make([]string, 20)
	for i := range digests {
		d := sha256.Sum256([]byte(keys.EncodeBase64URL(f.input[i : i+80])))
		digests[i] = keys.EncodeBase64URL(d[:])
	}
	if _, err := json.Marshal(map[string]any{"_sd": digests}); err != nil {
		return err
	}
	sig, err := f.key.Sign(f.input)
	if err != nil {
		return err
	}
	return f.key.Public().Verify(f.input, sig)
}

func (f *floor) write() error {
	return f.db.Write(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO floor (body) VALUES (?)`, f.input[:512])
		return err
	})
}
