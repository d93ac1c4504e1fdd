package statuslist

import "bytes"

// A second status operator (registry/README.md) may re-date a list and make entries worse, never better. These are the
// comparisons; whose word is compared with whose is the caller's to prove.

// rank orders what an entry says from good to bad. Values that nobody defined mean "not valid": they are as bad as
// suspended, and none of them replaces another.
func (s Status) rank() int {
	switch s {
	case Valid:
		return 0
	case NeedsRenewal:
		return 1
	case Revoked:
		return 3
	default:
		return 2
	}
}

// Worse reports whether an operator may put s where the issuer said before: the same, or something worse.
func (s Status) Worse(before Status) bool { return s == before || s.rank() > before.rank() }

// CheckWorse compares an operator's list with another one: same bits, same length, no entry better. Error: ErrImproved.
func CheckWorse(before, after Values) error {
	if before.bits != after.bits || len(before.raw) != len(after.raw) {
		return ErrImproved
	}
	return compare(before, after, func(b, a Status) bool { return a.Worse(b) })
}

// CheckFinal compares two lists of the same URI, whoever signed: what was revoked stays revoked, also where the list got
// shorter. Error: ErrImproved.
func CheckFinal(before, after Values) error {
	if before.bits != after.bits {
		return ErrImproved
	}
	short := before
	short.raw = before.raw[:min(len(before.raw), len(after.raw))]
	rest := before
	rest.raw = before.raw[len(short.raw):]
	if err := compare(rest, Values{}, func(b, _ Status) bool { return b != Revoked }); err != nil {
		return err
	}
	return compare(short, after, func(b, a Status) bool { return b != Revoked || a == Revoked })
}

// compare looks at the entries of before in bytes that differ; a missing byte of after is 0.
func compare(before, after Values, allowed func(b, a Status) bool) error {
	const block = 4096 // lists are mostly the same: skip what is
	for at := 0; at < len(before.raw); at++ {
		if to := at + block; at%block == 0 && to <= min(len(before.raw), len(after.raw)) && bytes.Equal(before.raw[at:to], after.raw[at:to]) {
			at = to - 1
			continue
		}
		b, a := before.raw[at], byte(0)
		if at < len(after.raw) {
			a = after.raw[at]
		}
		if a == b {
			continue
		}
		for shift := uint8(0); shift < 8; shift += before.bits {
			if !allowed(Status(b>>shift&before.mask), Status(a>>shift&before.mask)) {
				return ErrImproved
			}
		}
	}
	return nil
}

// Read is the list in a published token that the record names: the record binds its bytes and its values, so that no
// signature is needed to know what the record's author published. Who that was is for the caller's epoch to say.
// Errors: ErrProof, ErrSubject, and those of parsing.
func (r Record) Read(mediaType string, token []byte) (Values, error) {
	if err := r.CheckToken(mediaType, token); err != nil {
		return Values{}, err
	}
	parse := ParseJWT
	if mediaType == MediaTypeCWT {
		parse = ParseCWT
	}
	u, err := parse(token, Limits{})
	if err != nil {
		return Values{}, err
	}
	payload, err := u.unsigned()
	if err != nil {
		return Values{}, err
	}
	c, err := u.decode(payload)
	if err != nil {
		return Values{}, err
	}
	if c.sub != r.URI {
		return Values{}, ErrSubject
	}
	raw, err := Inflate(c.compressed, u.limits)
	if err != nil {
		return Values{}, err
	}
	v, err := NewValues(c.bits, raw)
	if err != nil {
		return Values{}, err
	}
	return v, r.CheckValues(v)
}

// Redated is a list under an operator's epoch, with what it is compared with.
type Redated struct {
	MediaType string
	Record    Record // proven under the operator's epoch
	Token     []byte // as the record names it; not looked at where both roots over the values are the same
	BaseRoot  [32]byte
	Base      RecordProof // of the same list, under BaseRoot
	BaseToken []byte      // may be empty where both roots over the values are the same
}

// Check holds an operator's list against the issuer's own. Errors: ErrImproved; ErrProof, ErrSubject and those of parsing.
func (r Redated) Check() error {
	base, same, err := r.base()
	if err != nil || same {
		return err
	}
	before, err := base.Read(r.MediaType, r.BaseToken)
	if err != nil {
		return err
	}
	after, err := r.Record.Read(r.MediaType, r.Token)
	if err != nil {
		return err
	}
	return CheckWorse(before, after)
}

func (r Redated) base() (base Record, same bool, err error) {
	if base, err = VerifyRecord(r.BaseRoot, r.Base); err != nil {
		return base, false, err
	}
	if base.URI != r.Record.URI {
		return base, false, ErrSubject
	}
	if base.Bits != r.Record.Bits || base.Length != r.Record.Length {
		return base, false, ErrImproved
	}
	return base, base.Root == r.Record.Root, nil
}

// CheckEntry is Check for the one entry that a chunk of the operator's list has answered for with now. baseChunk is the same
// chunk of the issuer's list; not needed where both roots over the values are the same.
func (r Redated) CheckEntry(idx uint64, now Status, baseChunk []byte) error {
	base, same, err := r.base()
	if err != nil || same {
		return err
	}
	before, err := VerifyChunk(base, baseChunk, idx)
	if err != nil {
		return err
	}
	if !now.Worse(before) {
		return ErrImproved
	}
	return nil
}

// SameLists reports whether an operator's records name exactly the lists of the base: URI, bits and length, in order.
func SameLists(base, now []Record) bool {
	if len(base) != len(now) {
		return false
	}
	for i := range base {
		if base[i].URI != now[i].URI || base[i].Bits != now[i].Bits || base[i].Length != now[i].Length {
			return false
		}
	}
	return true
}

// Equal reports whether two lists say the same.
func (v Values) Equal(o Values) bool { return v.bits == o.bits && bytes.Equal(v.raw, o.raw) }

// Differences calls each with every entry that two lists of one length say differently.
func Differences(before, after Values, each func(idx uint64, before, after Status)) {
	for at := range min(len(before.raw), len(after.raw)) {
		if before.raw[at] == after.raw[at] {
			continue
		}
		for n := range uint64(1) << before.log {
			idx := uint64(at)<<before.log + n
			b, _ := before.Status(idx) //nolint:errcheck // within both
			a, _ := after.Status(idx)  //nolint:errcheck // within both
			if a != b {
				each(idx, b, a)
			}
		}
	}
}
