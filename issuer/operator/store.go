package operator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// A store is the operator's folder:
//
//	lists           CBOR of issuedLists, replaced whole; lists.next until the chain has taken their epoch
//	lock            held by the process that publishes
//	decisions.jsonl one decision a line, appended and synced before it is published; for audit it is never rewritten
type store struct{ dir string }

// issuedLists is what is served to nodes. Base is the number of the issuer's own epoch that they go on from.
type issuedLists struct {
	_     struct{} `cbor:",toarray"`
	Base  uint64
	Lists []held // in list order
	Bases []held // the issuer's own, in list order
}

// held is one list as published. A base's tokens may be missing where nodes no longer had them.
type held struct {
	_                struct{} `cbor:",toarray"`
	Record, JWT, CWT []byte
}

// A decision is a line of decisions.jsonl. It counts while the issuer's own newest epoch is Base: afterwards the issuer has taken it
// over.
type decision struct {
	At   time.Time `json:"at"`
	Base uint64    `json:"base"`
	Decision
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &store{dir}
	if _, err := s.get(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	_, err := s.decisions(0)
	return s, err
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// lock keeps other processes on the folder from publishing at the same time: an officer's command beside the service.
func (s *store) lock() (unlock func(), err error) {
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

func (s *store) get() (issuedLists, error) { return s.read("lists") }

func (s *store) read(name string) (issuedLists, error) {
	var out issuedLists
	raw, err := os.ReadFile(s.path(name))
	if err == nil {
		err = registry.Decode(raw, &out)
	}
	if err != nil {
		return issuedLists{}, fmt.Errorf("read published lists: %w", err)
	}
	return out, nil
}

// settle serves what a crash left behind, when the chain has its epoch.
func (s *store) settle(root [32]byte) error {
	next, err := s.read("lists.next")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && statuslist.EpochRoot(recordsOf(next.Lists)) == root {
		return s.serve()
	}
	return os.Remove(s.path("lists.next"))
}

// serve makes what was put the lists that nodes get.
func (s *store) serve() error { return os.Rename(s.path("lists.next"), s.path("lists")) }

func recordsOf(lists []held) [][]byte {
	records := make([][]byte, len(lists))
	for i, l := range lists {
		records[i] = l.Record
	}
	return records
}

// put keeps what is about to be anchored. Tokens of the base that were there before stay when the new ones are missing.
func (s *store) put(next issuedLists) error {
	if before, err := s.get(); err == nil && before.Base == next.Base && len(before.Bases) == len(next.Bases) {
		next.Bases = before.Bases
	}
	raw, err := registry.Encode(next)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path("lists.next"))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (s *store) decide(d decision) error {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.path("decisions.jsonl"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	whole, err := io.ReadAll(f)
	if err == nil { // what a crash left of a line goes
		_, err = f.WriteAt(append(line, '\n'), int64(bytes.LastIndexByte(whole, '\n')+1))
	}
	if err == nil {
		err = f.Truncate(int64(bytes.LastIndexByte(whole, '\n') + 1 + len(line) + 1))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// decisions since the issuer's own epoch of that number. A last line without its end was never acknowledged.
func (s *store) decisions(base uint64) ([]decision, error) {
	raw, err := os.ReadFile(s.path("decisions.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw = raw[:bytes.LastIndexByte(raw, '\n')+1]
	var out []decision
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var d decision
		if err := json.Unmarshal(lines.Bytes(), &d, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("decisions.jsonl is damaged: %w", err)
		}
		if d.Base == base {
			out = append(out, d)
		}
	}
	return out, lines.Err()
}

// Handler is the operator's StatusListPublisher for registry nodes: GET /<issuer DID id>/records, /<list>, and both under
// /base/. Nodes check what they get against the chain.
func (o *Operator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+o.cfg.Issuer.ID()+"/{name}", func(w http.ResponseWriter, r *http.Request) { o.serve(w, r, false) })
	mux.HandleFunc("GET /"+o.cfg.Issuer.ID()+"/base/{name}", func(w http.ResponseWriter, r *http.Request) { o.serve(w, r, true) })
	return mux
}

func (o *Operator) serve(w http.ResponseWriter, r *http.Request, base bool) {
	all, err := o.file.get()
	if err != nil {
		http.NotFound(w, r)
		return
	}
	lists := all.Lists
	if base {
		lists = all.Bases
	}
	mediaType, body := "application/cbor", []byte(nil)
	if name := r.PathValue("name"); name == "records" {
		body, err = registry.Encode(recordsOf(lists))
	} else {
		mediaType, body = named(lists, name, r.Header.Values("Accept"))
	}
	if err != nil || len(body) == 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept")
	_, _ = w.Write(body) // a node that left asks again
}

func named(lists []held, name string, accept []string) (mediaType string, body []byte) {
	mediaType, _ = httpd.Negotiate(accept, statuslist.MediaTypeJWT, statuslist.MediaTypeCWT)
	for _, l := range lists {
		if record, err := statuslist.ParseRecord(l.Record); err == nil && strings.HasSuffix(record.URI, "/"+name) {
			if mediaType == statuslist.MediaTypeCWT {
				return mediaType, l.CWT
			}
			return mediaType, l.JWT
		}
	}
	return mediaType, nil
}
