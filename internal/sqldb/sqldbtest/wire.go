package sqldbtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A Moment is when a Wire is cut.
type Moment string

// Moments of a transaction.
const (
	BeforeCommit Moment = "before the commit"              // the server never hears of it
	AfterCommit  Moment = "after the commit"               // it is done, and nobody hears of that
	InStatement  Moment = "in the middle of a statement"   // half of what was sent arrives
	BeforeAnswer Moment = "before a statement is answered" // it is done, in a transaction that is lost
)

// A Wire stands between a party and PostgreSQL and is cut as a test asks. All that goes over it is in the clear.
type Wire struct {
	server string
	ln     net.Listener

	mu    sync.Mutex
	at    Moment
	nth   int
	count int
	cuts  int
	conns map[net.Conn]bool
}

// NewWire leads to the database of a URL; the other URL goes over it.
func NewWire(t testing.TB, server string) (*Wire, string) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("not a URL of PostgreSQL")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{server: u.Host, ln: ln, conns: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		w.Hang()
		running.Wait()
	})
	u.Host = ln.Addr().String()
	return w, u.String()
}

// Cut arms a cut at the n-th such moment from now on, over all connections; n 0: none.
func (w *Wire) Cut(at Moment, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.nth, w.count, w.cuts = at, n, 0, 0
}

// Cuts says whether it came to the cut.
func (w *Wire) Cuts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts
}

// Hang cuts every connection now.
func (w *Wire) Hang() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

// passes counts a moment and reports whether it is the one.
func (w *Wire) passes(at Moment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at != w.at || w.nth == 0 {
		return false
	}
	w.count++
	if w.count != w.nth {
		return false
	}
	w.cuts++
	return true
}

func (w *Wire) serve(client net.Conn) {
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		_ = client.Close()
		return
	}
	w.mu.Lock()
	w.conns[client], w.conns[server] = true, true
	w.mu.Unlock()
	c := &call{wire: w, client: client, server: server}
	var both sync.WaitGroup
	both.Go(func() { c.hang(c.up()) })
	both.Go(func() { c.hang(c.down()) })
	both.Wait()
	w.mu.Lock()
	delete(w.conns, client)
	delete(w.conns, server)
	w.mu.Unlock()
}

// call is one connection.
type call struct {
	wire           *Wire
	client, server net.Conn

	mu   sync.Mutex
	deaf bool // the next answer is not passed on; then the connection is cut
}

func (c *call) hang(error) { // whatever ended it
	_ = c.client.Close()
	_ = c.server.Close()
}

var errCut = errors.New("cut")

// up passes on what the client says, message by message.
func (c *call) up() error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.client, head); err != nil { // the first message has no type
		return err
	}
	first := make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(c.client, first); err != nil {
		return err
	}
	if _, err := c.server.Write(append(head, first...)); err != nil {
		return err
	}
	for {
		m, err := message(c.client)
		if err != nil {
			return err
		}
		commit := m[0] == 'Q' && bytes.EqualFold(m[5:], []byte("commit\x00"))
		statement := m[0] == 'Q' && !commit || m[0] == 'E' // simple, or the execution of what was prepared
		switch {
		case commit && c.wire.passes(BeforeCommit):
			return errCut
		case statement && c.wire.passes(InStatement):
			m = m[:len(m)/2]
			_, err := c.server.Write(m)
			return errors.Join(errCut, err)
		case commit && c.wire.passes(AfterCommit), statement && c.wire.passes(BeforeAnswer):
			c.mu.Lock()
			c.deaf = true
			c.mu.Unlock()
		}
		if _, err := c.server.Write(m); err != nil {
			return err
		}
	}
}

// down passes on the answers.
func (c *call) down() error {
	for {
		m, err := message(c.server)
		if err != nil {
			return err
		}
		c.mu.Lock()
		deaf := c.deaf
		c.mu.Unlock()
		if deaf && m[0] == 'C' { // done
			return errCut
		}
		if deaf {
			continue
		}
		if _, err := c.client.Write(m); err != nil {
			return err
		}
	}
}

// message reads one with its type and length.
func message(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[1:])) - 4
	if size < 0 || size > 64<<20 {
		return nil, errors.New("not a message")
	}
	m := append(head, make([]byte, size)...)
	_, err := io.ReadFull(r, m[5:])
	return m, err
}
