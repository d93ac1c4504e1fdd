package drill

import (
	"errors"
	"net"
	"sync"
	"time"
)

// Links are the wires between nodes of one machine: each is a listener that carries bytes to its node, until Cut says that a
// direction carries nothing. Then both ends see what they see of a network that loses every packet: silence, and no word
// that anything is wrong. They need no rights, unlike network namespaces, and can be late. Safe for concurrent use.
type Links struct {
	mu     sync.Mutex
	cut    func(from, to int) bool
	moved  chan struct{} // closed when cut has changed
	delay  func() time.Duration
	closed chan struct{}
	ends   map[net.Conn]struct{}
	wires  []net.Listener
	wg     sync.WaitGroup
}

// NewLinks that carry everything at once.
func NewLinks() *Links {
	return &Links{moved: make(chan struct{}), closed: make(chan struct{}), ends: map[net.Conn]struct{}{}}
}

// Wire is the address at which one node reaches another, whose own address is given.
func (l *Links) Wire(from, to int, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	l.wires = append(l.wires, ln)
	l.mu.Unlock()
	l.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			if !l.keep(conn) {
				return
			}
			l.wg.Go(func() { l.carry(conn, wire{from, to, address}) })
		}
	})
	return ln.Addr().String(), nil
}

// Cut sets which directions carry nothing from now on; nil: none.
func (l *Links) Cut(cut func(from, to int) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	close(l.moved)
	l.moved = make(chan struct{})
}

// Delay makes every chunk of bytes late by what the function says; nil: not at all.
func (l *Links) Delay(delay func() time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
}

// Close ends everything.
func (l *Links) Close() error {
	l.mu.Lock()
	close(l.closed)
	var err error
	for _, ln := range l.wires {
		err = errors.Join(err, ln.Close())
	}
	for c := range l.ends {
		_ = c.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
	return err
}

type wire struct {
	from, to int
	address  string
}

func (l *Links) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		_ = c.Close()
		return false
	default:
		l.ends[c] = struct{}{}
		return true
	}
}

func (l *Links) drop(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, c)
	_ = c.Close()
}

// carry serves one connection. It begins when both directions carry: a handshake needs them.
func (l *Links) carry(near net.Conn, w wire) {
	defer l.drop(near)
	if !l.open(w.from, w.to) || !l.open(w.to, w.from) {
		return
	}
	far, err := net.DialTimeout("tcp", w.address, 3*time.Second)
	if err != nil || !l.keep(far) {
		return
	}
	defer l.drop(far)
	var both sync.WaitGroup
	both.Go(func() { l.pump(near, far, w.from, w.to) })
	both.Go(func() { l.pump(far, near, w.to, w.from) })
	both.Wait()
}

// open waits until a direction carries; false when the links are closed.
func (l *Links) open(from, to int) bool {
	for {
		l.mu.Lock()
		cut, moved := l.cut != nil && l.cut(from, to), l.moved
		l.mu.Unlock()
		if !cut {
			return true
		}
		select {
		case <-moved:
		case <-l.closed:
			return false
		}
	}
}

type chunk struct {
	bytes []byte
	due   time.Time
}

// pump carries one direction. The end of a connection is a packet like others: it waits until the direction carries.
func (l *Links) pump(in, out net.Conn, from, to int) {
	chunks := make(chan chunk, 64)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer in.Close() // whoever still reads from it shall end
		defer out.Close()
		ok := true
		for c := range chunks {
			if !ok {
				continue
			}
			time.Sleep(time.Until(c.due))
			if ok = l.open(from, to); ok {
				_, err := out.Write(c.bytes)
				ok = err == nil
			}
			if !ok {
				_ = in.Close()
			}
		}
		l.open(from, to)
	})
	for l.open(from, to) {
		buf := make([]byte, 32<<10)
		n, err := in.Read(buf)
		if n > 0 {
			chunks <- chunk{buf[:n], time.Now().Add(l.late())}
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	writing.Wait()
}

func (l *Links) late() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delay == nil {
		return 0
	}
	return l.delay()
}
