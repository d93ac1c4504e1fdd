package verifier

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"
)

func TestNames(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_123)
	early, err := names(2, rand.Reader, at)
	if err != nil {
		t.Fatal(err)
	}
	late, err := names(1, rand.Reader, at.Add(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSealer(make([]byte, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, early, late string }{
		{"drawn", early[0], late[0]}, {"derived", s.stateOf("a", early[1]), s.stateOf("a", late[0])},
	} {
		a, b := nameKey(row.early), nameKey(row.late)
		if len(row.early) != 30 || bytes.Compare(a[:stampLen], b[:stampLen]) >= 0 {
			t.Errorf("%s: keys are not in order of time", row.name)
		}
		if sum := sha256.Sum256([]byte(row.early)); !bytes.Equal(a[stampLen:], sum[:len(sum)-stampLen]) {
			t.Errorf("%s: key does not hold the name's hash", row.name)
		}
	}
	if early[0] == early[1] || s.stateOf("a", early[0]) == s.stateOf("b", early[0]) {
		t.Error("names repeat")
	}
	for _, foreign := range []string{"", "AAAAAAAAAAAAAAAAAAAAAA", "????????AAAAAAAAAAAAAAAAAAAAAA", early[0] + "A"} {
		if nameKey(foreign) != sha256.Sum256([]byte(foreign)) {
			t.Errorf("%q has a time", foreign)
		}
	}
}

func FuzzNameKey(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("")
	f.Fuzz(func(t *testing.T, name string) {
		key, sum := nameKey(name), sha256.Sum256([]byte(name))
		if key != sum && !bytes.Equal(key[stampLen:], sum[:len(sum)-stampLen]) {
			t.Errorf("%q", name)
		}
	})
}
