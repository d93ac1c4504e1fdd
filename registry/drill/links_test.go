package drill

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestLinks(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := NewLinks()
	defer l.Close()
	address, err := l.Wire(1, 2, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	arrivesIn := func(from, to net.Conn, wait time.Duration) bool {
		t.Helper()
		if _, err := from.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = to.SetReadDeadline(time.Now().Add(wait))
		n, _ := to.Read(make([]byte, 1))
		return n == 1
	}
	arrives := func(from, to net.Conn) bool { t.Helper(); return arrivesIn(from, to, 10*time.Second) }
	if !arrives(near, far) || !arrives(far, near) {
		t.Fatal("nothing is carried")
	}
	l.Cut(func(from, to int) bool { return from == 1 && to == 2 })
	if arrivesIn(near, far, 200*time.Millisecond) {
		t.Error("carried against the cut")
	}
	if !arrives(far, near) {
		t.Error("the other direction is cut too")
	}
	if late, err := net.Dial("tcp", address); err != nil { // a call waits, as for an answer that never comes
		t.Error(err)
	} else {
		defer late.Close()
	}
	l.Cut(nil)
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Error("what was sent is lost for good: the wire is no longer TCP")
	}
	if _, err := ln.Accept(); err != nil {
		t.Error("the call that waited is lost")
	}
	l.Delay(func() time.Duration { return 50 * time.Millisecond })
	began := time.Now()
	if !arrives(near, far) || time.Since(began) < 50*time.Millisecond {
		t.Error("not late")
	}
	_ = near.Close()
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the end is not carried: %v", err)
	}
}
