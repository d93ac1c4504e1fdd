package issuertest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
)

const (
	formHead = "Content-Type: application/x-www-form-urlencoded\r\n"
	jsonHead = "Content-Type: application/json\r\n"
)

// A wire is one connection kept alive, and nearly nothing else: net/http's client would cost as much as the server.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
	body []byte // of the last answer, until the next one
}

func dialWire(base string) (*wire, error) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, r: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (w *wire) post(path, head string, body []byte) (status int, answer []byte, err error) {
	w.out = append(append(append(w.out[:0], "POST "...), path...), " HTTP/1.1\r\nHost: localhost\r\nContent-Length: "...)
	w.out = append(strconv.AppendInt(w.out, int64(len(body)), 10), "\r\n"...)
	w.out = append(append(append(w.out, head...), "\r\n"...), body...)
	if _, err := w.conn.Write(w.out); err != nil {
		return 0, nil, err
	}
	line, err := w.r.ReadSlice('\n')
	if err != nil || len(line) < 12 {
		return 0, nil, fmt.Errorf("issuertest: no status line: %w", err)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, nil, err
	}
	length := -1
	for {
		if line, err = w.r.ReadSlice('\n'); err != nil {
			return 0, nil, err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, err
			}
		}
	}
	if length < 0 {
		return 0, nil, errors.New("issuertest: answer without a length")
	}
	if cap(w.body) < length {
		w.body = make([]byte, length)
	}
	w.body = w.body[:length]
	_, err = io.ReadFull(w.r, w.body)
	return status, w.body, err
}

// floor holds the parts of what nobody can do without.
type floor struct {
	server  *httpd.Server
	wires   []*wire
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
		w, err := dialWire(f.server.URL())
		if err != nil {
			return err
		}
		f.wires = append(f.wires, w)
	}
	return nil
}

func (f *floor) close() {
	for _, w := range f.wires {
		_ = w.conn.Close()
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
	}{{formHead, f.request.token}, {"", nil}, {jsonHead, f.request.credential}} {
		if status, _, err := w.post("/"+strconv.Itoa(i), r.head, r.body); err != nil || status != http.StatusOK {
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
