package statuslist

import "sync"

// MaxLength is the highest number of entries of one list; an index is below it.
const MaxLength = 1 << 27

// Values are the statuses of one list, read-only: safe for concurrent use without a lock.
type Values struct {
	bits uint8  // 1, 2, 4 or 8
	log  uint8  // log2(8/bits): entries per byte, as a shift
	mask byte   // 1<<bits - 1
	raw  []byte // packed from the least significant bit
}

// NewValues takes ownership of raw. Errors: ErrBits, ErrLimit.
func NewValues(bits int, raw []byte) (Values, error) {
	var v Values
	switch bits {
	case 1:
		v = Values{bits: 1, log: 3, mask: 0x01}
	case 2:
		v = Values{bits: 2, log: 2, mask: 0x03}
	case 4:
		v = Values{bits: 4, log: 1, mask: 0x0f}
	case 8:
		v = Values{bits: 8, log: 0, mask: 0xff}
	default:
		return Values{}, ErrBits
	}
	if uint64(len(raw))<<v.log > MaxLength {
		return Values{}, ErrLimit
	}
	v.raw = raw
	return v, nil
}

// Bits per entry; 0 for the zero Values.
func (v Values) Bits() int { return int(v.bits) }

// Len is the number of entries.
func (v Values) Len() uint64 { return uint64(len(v.raw)) << v.log }

// Raw is the packed form. It must not be changed.
func (v Values) Raw() []byte { return v.raw }

// Status is the entry at idx; ErrIndex outside of the list. No allocation.
func (v Values) Status(idx uint64) (Status, error) {
	at := idx >> v.log
	if at >= uint64(len(v.raw)) {
		return 0, ErrIndex
	}
	return Status(v.raw[at] >> v.shift(idx) & v.mask), nil
}

func (v Values) shift(idx uint64) uint8 {
	return uint8(idx&(1<<v.log-1)) * v.bits
}

// A List holds the statuses of one list while they change. Safe for concurrent use: neighbours in one byte do not
// disturb each other.
type List struct {
	mu     sync.RWMutex
	values Values // raw is guarded by mu
}

// NewList makes a list of that many entries, all Valid. Errors: ErrBits (also when length*bits does not fill bytes), ErrLimit.
func NewList(bits int, length uint64) (*List, error) {
	if length > MaxLength {
		return nil, ErrLimit
	}
	v, err := NewValues(bits, nil)
	if err != nil {
		return nil, err
	}
	if length == 0 || length*uint64(bits)%8 != 0 {
		return nil, ErrBits
	}
	v.raw = make([]byte, length>>v.log)
	return &List{values: v}, nil
}

// Len is the number of entries.
func (l *List) Len() uint64 { return l.values.Len() }

// Bits per entry.
func (l *List) Bits() int { return l.values.Bits() }

// Get reads one entry; ErrIndex outside of the list.
func (l *List) Get(idx uint64) (Status, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.values.Status(idx)
}

// Set writes one entry and leaves its neighbours alone. Errors: ErrIndex, ErrStatus. Whether a change is allowed at all
// (revocation is final) is the issuer's state machine, not the list's.
func (l *List) Set(idx uint64, s Status) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.values.set(idx, s)
}

func (v Values) set(idx uint64, s Status) error {
	at := idx >> v.log
	if at >= uint64(len(v.raw)) {
		return ErrIndex
	}
	if byte(s) > v.mask {
		return ErrStatus
	}
	shift := v.shift(idx)
	v.raw[at] = v.raw[at]&^(v.mask<<shift) | byte(s)<<shift
	return nil
}

// Values copies the present state.
func (l *List) Values() Values {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v := l.values
	v.raw = append([]byte(nil), v.raw...)
	return v
}
