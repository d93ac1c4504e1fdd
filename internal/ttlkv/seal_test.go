package ttlkv

import (
	"bytes"
	"errors"
	"testing"
)

// K03 in the twin as well: whatever bytes come back, only those sealed under the key are taken.
func FuzzUnseal(f *testing.F) {
	f.Add("k", seal("k", []byte("v")))
	f.Add("k", seal("kk", nil))
	f.Add("kk", []byte{0, 2, 'k'})
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, key string, raw []byte) {
		val, err := unseal(key, raw)
		if err != nil {
			if !errors.Is(err, ErrMismatch) || val != nil {
				t.Fatalf("%v %v", val, err)
			}
			return
		}
		if len(key) < 1<<16 && !bytes.Equal(seal(key, val), raw) {
			t.Fatal("accepted what seal does not make")
		}
	})
}
