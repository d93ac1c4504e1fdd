package verifiertest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/sqldb"
)

// flowFloor is what a presentation cannot do without (PERFORMANCE 3 ii): three bare requests of the same sizes; request and
// receipt signed; an ephemeral key, one ECDH, a form and an AES-GCM text opened; issuer and holder verified; payload,
// disclosures and key binding hashed and parsed once; and the two durable records that the company's answers promise.
type flowFloor struct {
	a       *arithmetic
	server  *httptest.Server
	wires   []*bench.Wire
	db      *sqldb.DB
	form    []byte
	sealed  []byte
	nonce   []byte
	payload []byte
	kb      []byte
	shown   []string
	answers [3][]byte
}

func newFlowFloor(f *flow) (*flowFloor, error) {
	text := f.held[0].Present("x509_hash:bench", "bench-nonce", "age_over_19")
	parts := strings.Split(text, "~")
	l := &flowFloor{a: newArithmetic(), shown: parts[1 : len(parts)-1], nonce: make([]byte, 12)}
	l.payload, l.kb = payloadOf(parts[0]), payloadOf(parts[len(parts)-1])
	l.sealed = l.aead(make([]byte, 16)).Seal(nil, l.nonce, []byte(text), nil)
	l.form = []byte("response=" + f.answers[0].body[len("response="):])
	for i, size := range []int{400, 2500, 100} { // created, request object, answer to the wallet
		l.answers[i] = bytes.Repeat([]byte("x"), size)
	}
	var err error
	if l.db, err = sqldb.Open(context.Background(), "sqlite://"+filepath.Join(f.dir, "floor.db")); err != nil {
		return nil, err
	}
	if err := l.db.Write(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`CREATE TABLE floor (id INTEGER PRIMARY KEY, body BLOB)`)
		return err
	}); err != nil {
		l.close()
		return nil, err
	}
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer := l.answers[r.URL.Path[1]-'0']
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	}))
	for range benchCallers {
		w, err := bench.Dial(l.server.URL)
		if err != nil {
			l.close()
			return nil, err
		}
		l.wires = append(l.wires, w)
	}
	return l, nil
}

func payloadOf(jwt string) []byte {
	return must(base64.RawURLEncoding.DecodeString(strings.Split(jwt, ".")[1]))
}

func (l *flowFloor) aead(key []byte) cipher.AEAD {
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

func (l *flowFloor) close() {
	for _, w := range l.wires {
		_ = w.Close()
	}
	if l.server != nil {
		l.server.Close()
	}
	_ = l.db.Close()
}

func (l *flowFloor) flow(caller int) error {
	for i, request := range []string{"POST /0", "GET /1", "POST /2"} {
		var body []byte
		switch i {
		case 0:
			body = []byte(benchRequest)
		case 2:
			body = l.form
		}
		if status, _, err := l.wires[caller].Do(request, bench.FormHead, body); err != nil || status != http.StatusOK {
			return fmt.Errorf("floor: %d: %w", status, errors.Join(err))
		}
	}
	if err := errors.Join(l.write(), l.a.sign(2), l.a.verify(2), l.a.agree()); err != nil {
		return err
	}
	return errors.Join(l.read(), l.write())
}

// read opens and parses what the wallet sent.
func (l *flowFloor) read() error {
	if _, err := url.ParseQuery(string(l.form)); err != nil {
		return err
	}
	if _, err := l.aead(make([]byte, 16)).Open(nil, l.nonce, l.sealed, nil); err != nil {
		return err
	}
	var payload, kb map[string]any
	if err := errors.Join(json.Unmarshal(l.payload, &payload), json.Unmarshal(l.kb, &kb)); err != nil {
		return err
	}
	for _, d := range l.shown {
		var parts []any
		raw, err := base64.RawURLEncoding.DecodeString(d)
		if err == nil {
			err = json.Unmarshal(raw, &parts)
		}
		if err != nil || sha256.Sum256([]byte(d)) == ([32]byte{}) {
			return fmt.Errorf("floor: disclosure: %w", errors.Join(err))
		}
	}
	return nil
}

func (l *flowFloor) write() error {
	return l.db.Write(context.Background(), func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO floor (body) VALUES (?)`, l.form[:min(512, len(l.form))])
		return err
	})
}
