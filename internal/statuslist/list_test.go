package statuslist

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		name  string
		value Status
		text  string
	}{
		{"C14 valid", 0x00, "valid"},
		{"C14 revoked", 0x01, "revoked"},
		{"C14 suspended is not revoked", 0x02, "suspended"},
		{"C14 0x03 is our needs renewal", 0x03, "needs renewal"},
		{"C14 0x04", 0x04, "not valid (0x04)"},
		{"C14 reserved 0x0B", 0x0b, "not valid (0x0b)"},
		{"C14 reserved 0x0C", 0x0c, "not valid (0x0c)"},
		{"C14 reserved 0x0D", 0x0d, "not valid (0x0d)"},
		{"C14 reserved 0x0E", 0x0e, "not valid (0x0e)"},
		{"C14 0xFF", 0xff, "not valid (0xff)"},
	}
	seen := make(map[string]bool)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.value.String(); got != tt.text || seen[got] {
				t.Errorf("String = %q, want %q, distinct", got, tt.text)
			}
			seen[tt.text] = true
			if tt.value.IsValid() != (tt.value == 0) {
				t.Error("only 0 is valid")
			}
		})
	}
}

// The two byte arrays that section 4.1 works out by hand.
func TestPacking(t *testing.T) {
	tests := []struct {
		bits     int
		statuses []Status
		want     string
	}{
		{1, []Status{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}, "b9a3"},
		{2, []Status{1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3}, "c944f9"},
	}
	for _, tt := range tests {
		l, err := NewList(tt.bits, uint64(len(tt.statuses)))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range tt.statuses {
			if err := l.Set(uint64(i), s); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprintf("%x", l.Values().Raw()); got != tt.want {
			t.Errorf("%d bits: %s, want %s", tt.bits, got, tt.want)
		}
		for i, s := range tt.statuses {
			if got, err := l.Get(uint64(i)); err != nil || got != s {
				t.Errorf("%d bits: [%d] = %v, %v", tt.bits, i, got, err)
			}
		}
	}
}

func TestBits(t *testing.T) {
	for _, bits := range []int{3, 16, 0, -1, 5, 7, 64} {
		t.Run(fmt.Sprintf("C03 bits %d", bits), func(t *testing.T) {
			if _, err := NewValues(bits, make([]byte, 8)); !errors.Is(err, ErrBits) {
				t.Errorf("NewValues: %v", err)
			}
			if _, err := NewList(bits, 64); !errors.Is(err, ErrBits) {
				t.Errorf("NewList: %v", err)
			}
			if _, err := (Record{URI: listURI, Bits: bits, Length: 64}).Marshal(); !errors.Is(err, ErrBits) {
				t.Errorf("Record: %v", err)
			}
		})
	}
	for _, tt := range []struct {
		bits   int
		length uint64
	}{{1, 7}, {1, 12}, {2, 3}, {4, 1}, {1, 0}} {
		t.Run(fmt.Sprintf("C03 %d entries of %d bits do not fill bytes", tt.length, tt.bits), func(t *testing.T) {
			if _, err := NewList(tt.bits, tt.length); !errors.Is(err, ErrBits) {
				t.Errorf("NewList: %v", err)
			}
			if _, err := (Record{URI: listURI, Bits: tt.bits, Length: tt.length}).Marshal(); !errors.Is(err, ErrBits) {
				t.Errorf("Record: %v", err)
			}
		})
	}
	if _, err := NewList(1, MaxLength+8); !errors.Is(err, ErrLimit) {
		t.Errorf("too long: %v", err)
	}
}

func TestSetRefuses(t *testing.T) {
	l, err := NewList(2, 16)
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%x", l.Values().Raw())
	for _, idx := range []uint64{16, 1 << 31, 1 << 63, math.MaxUint64} {
		if err := l.Set(idx, Revoked); !errors.Is(err, ErrIndex) {
			t.Errorf("Set(%d): %v", idx, err)
		}
		if _, err := l.Get(idx); !errors.Is(err, ErrIndex) {
			t.Errorf("Get(%d): %v", idx, err)
		}
	}
	if err := l.Set(3, 4); !errors.Is(err, ErrStatus) {
		t.Errorf("a value of three bits: %v", err)
	}
	if got := fmt.Sprintf("%x", l.Values().Raw()); got != before {
		t.Errorf("changed to %s", got)
	}
}

func TestParallelSets(t *testing.T) {
	type list interface {
		Set(uint64, Status) error
		Get(uint64) (Status, error)
	}
	l, err := NewList(1, 4096)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPublisher(l.Values())
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]list{"C16 64 sets in eight bytes of a list lose none": l, "C16 64 sets in eight bytes of a publisher lose none": p} {
		t.Run(name, func(t *testing.T) {
			for round := range 50 {
				at := uint64(round * 64)
				var wg sync.WaitGroup
				for i := range uint64(64) {
					wg.Go(func() {
						if err := l.Set(at+i, Revoked); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				for i := range uint64(64) {
					if s, err := l.Get(at + i); err != nil || s != Revoked {
						t.Fatalf("round %d: entry %d is %v, %v", round, i, s, err)
					}
				}
			}
			if s, err := l.Get(50 * 64); err != nil || s != Valid {
				t.Errorf("the neighbour is %v, %v", s, err)
			}
		})
	}
	t.Run("C16 64 sets in one byte of 8-bit neighbours", func(t *testing.T) {
		l, err := NewList(1, 8)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range uint64(64) {
			wg.Go(func() {
				if err := l.Set(i%8, Revoked); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := l.Values().Raw()[0]; got != 0xff {
			t.Errorf("byte = %08b", got)
		}
	})
}

func TestLookupDoesNotAllocate(t *testing.T) {
	v := random(t, 2, 1<<20, 100)
	i := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		i += 7919
		if _, err := v.Status(i & (1<<20 - 1)); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
