package statuslist

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
)

// objects is an archive in memory.
type objects map[[32]byte][]byte

var errNoObject = errors.New("no object")

func (o objects) add(t testing.TB, v Values) (added int) {
	t.Helper()
	err := v.Objects(func(h [32]byte) (bool, error) { _, ok := o[h]; return ok, nil }, func(h [32]byte, object []byte) error {
		if sha256.Sum256(object) != h {
			t.Fatal("not what its hash says")
		}
		o[h] = object
		added++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func (o objects) get(h [32]byte) ([]byte, error) {
	if object, ok := o[h]; ok {
		return object, nil
	}
	return nil, errNoObject
}

func recordOf(v Values) Record {
	return Record{URI: listURI, Bits: v.Bits(), Length: v.Len(), Root: v.Root()}
}

// What is cut out of kept objects is what is cut out of the whole list, for every shape of a tree.
func TestCutFrom(t *testing.T) {
	for _, bits := range []int{1, 2, 4, 8} {
		for _, raw := range []int{1, 1000, 1024, 1025, 2048, 3000, 5 * 1024, 7*1024 + 1, 16 * 1024, 20 * 1024} {
			t.Run(fmt.Sprintf("%d bits in %d bytes", bits, raw), func(t *testing.T) {
				v := random(t, bits, uint64(raw*8/bits), 4)
				o := objects{}
				o.add(t, v)
				r := recordOf(v)
				for idx := uint64(0); idx < v.Len(); idx += max(1, v.Len()/50) {
					want, err := v.CutChunk(idx)
					if err != nil {
						t.Fatal(err)
					}
					got, err := r.CutFrom(o.get, idx)
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("entry %d: %v", idx, err)
					}
					group, err := r.CutFrom(o.get, idx&^(EntryGroup-1))
					if err != nil || !bytes.Equal(group, want) {
						t.Fatalf("the group of entry %d: %v", idx, err)
					}
					is, err := VerifyChunk(r, got, idx)
					if said, _ := v.Status(idx); err != nil || is != said {
						t.Fatalf("entry %d: %v %v, want %v", idx, is, err, said)
					}
				}
				if _, err := r.CutFrom(o.get, v.Len()); !errors.Is(err, ErrIndex) {
					t.Errorf("outside: %v", err)
				}
			})
		}
	}
}

// Versions of a list share what did not change, and one list what repeats in it.
func TestObjectsAreShared(t *testing.T) {
	o := objects{}
	empty, err := NewList(2, 10_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if n := o.add(t, empty.Values()); n > 40 {
		t.Errorf("a list of 2,442 equal chunks makes %d objects", n)
	}
	before := empty.Values()
	if err := empty.Set(4_711_000, Revoked); err != nil {
		t.Fatal(err)
	}
	if n := o.add(t, empty.Values()); n != 13 { // a chunk and twelve nodes above it
		t.Errorf("one entry makes %d objects", n)
	}
	if n := o.add(t, before); n != 0 {
		t.Errorf("an old version makes %d objects", n)
	}
	for v, want := range map[*Values]Status{&before: Valid, ptr(empty.Values()): Revoked} {
		proof, err := recordOf(*v).CutFrom(o.get, 4_711_000)
		if err != nil {
			t.Fatal(err)
		}
		if is, err := VerifyChunk(recordOf(*v), proof, 4_711_000); err != nil || is != want {
			t.Errorf("%v %v, want %v", is, err, want)
		}
	}
}

func ptr(v Values) *Values { return &v }

// Every single byte of every object on the way counts, and so does its place.
func TestCutFromBentObjects(t *testing.T) {
	v := random(t, 2, 5000*4, 3)
	o := objects{}
	o.add(t, v)
	r := recordOf(v)
	for h, object := range o {
		for at := range object {
			if len(object) > 65 && at%97 != 0 {
				continue
			}
			o[h] = bytes.Clone(object)
			o[h][at] ^= 1
			seen := false
			for idx := uint64(0); idx < v.Len(); idx += 4096 {
				_, err := r.CutFrom(o.get, idx)
				if err != nil && !errors.Is(err, ErrProof) {
					t.Fatal(err)
				}
				seen = seen || err != nil
			}
			if !seen {
				t.Fatalf("byte %d of an object is not looked at", at)
			}
		}
		o[h] = object
	}
	longer := r
	longer.Length += 4 * 4096 // other chunks under the same root
	if _, err := longer.CutFrom(o.get, 0); !errors.Is(err, ErrProof) {
		t.Errorf("another shape: %v", err)
	}
	shorter := r
	shorter.Length = 4096
	if _, err := shorter.CutFrom(o.get, 0); !errors.Is(err, ErrProof) {
		t.Errorf("a node for a chunk: %v", err)
	}
	delete(o, r.Root)
	if _, err := r.CutFrom(o.get, 0); !errors.Is(err, errNoObject) {
		t.Errorf("a missing object: %v", err)
	}
}

func FuzzSubtreeOpen(f *testing.F) {
	v := random(f, 2, 20_000, 4)
	o := objects{}
	o.add(f, v)
	for _, object := range o {
		f.Add(object, uint64(len(v.raw)))
	}
	f.Add([]byte{0, 1}, uint64(1))
	f.Add(make([]byte, 65), uint64(2048))
	f.Fuzz(func(t *testing.T, object []byte, size uint64) {
		size %= MaxLength + 1
		parts, err := Subtree{Hash: sha256.Sum256(object), Bytes: size}.Open(object)
		if err != nil {
			return
		}
		if len(parts) == 0 && uint64(len(object)-1) != size || len(parts) == 2 && parts[0].Bytes+parts[1].Bytes != size || len(parts) == 1 {
			t.Fatalf("%d bytes of %d give %+v", len(object), size, parts)
		}
		for _, p := range parts {
			if p.Bytes == 0 || p.Bytes >= size {
				t.Fatalf("%+v of %d", p, size)
			}
		}
		if _, err := (Subtree{Hash: [32]byte{1}, Bytes: size}).Open(object); !errors.Is(err, ErrProof) {
			t.Fatal("taken under another hash")
		}
	})
}
