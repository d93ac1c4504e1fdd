package registry

// KindParams: members change parameters of the chain; README.md "Parameters".
const KindParams Kind = "params"

// ParamsBody sets some of the parameters that the genesis fixed; what is nil stays. Names are those of the genesis.
type ParamsBody struct {
	QuotaOps      *uint64 `cbor:"quota_operations,omitempty"`
	QuotaBlocks   *uint64 `cbor:"quota_blocks,omitempty"`
	EpochInterval *uint64 `cbor:"epoch_interval_s,omitempty"`
	Heartbeat     *uint64 `cbor:"heartbeat_ms,omitempty"`
	TimeLock      *uint64 `cbor:"time_lock_s,omitempty"`
	Voting        *uint64 `cbor:"voting_s,omitempty"`
	Emergency     *uint64 `cbor:"emergency_threshold,omitempty"`
	EmergencyHold *uint64 `cbor:"emergency_s,omitempty"`
}

func (*ParamsBody) Kind() Kind { return KindParams }

// maxParam keeps every sum of parameters and times far from the ends of int64.
const maxParam = 1 << 40

func (b *ParamsBody) check(*Operation) error {
	changes := b.Changes(&ParamsFact{})
	if len(changes) == 0 {
		return ErrMalformed
	}
	for _, c := range changes {
		if c.Is > maxParam {
			return ErrLimit
		}
	}
	return nil
}

// A ParamUnit is what a parameter counts.
type ParamUnit string

// Units of parameters.
const (
	UnitOperations   ParamUnit = "operations" // 0: no limit
	UnitBlocks       ParamUnit = "blocks"
	UnitSeconds      ParamUnit = "s"
	UnitMilliseconds ParamUnit = "ms"
	UnitMembers      ParamUnit = "members" // 0: none
)

// A ParamChange is one parameter that a body sets. Name is that of the genesis.
type ParamChange struct {
	Name    string
	Unit    ParamUnit
	Was, Is uint64
}

// A setting is one parameter: what the body says, and where the fact keeps it.
type setting struct {
	name    string
	unit    ParamUnit
	is      *uint64
	count   *uint64
	seconds *int64
}

// settings in the order in which people are shown them.
func (b *ParamsBody) settings(p *ParamsFact) []setting {
	return []setting{
		{name: "time_lock_s", unit: UnitSeconds, is: b.TimeLock, seconds: &p.TimeLock},
		{name: "voting_s", unit: UnitSeconds, is: b.Voting, seconds: &p.Voting},
		{name: "emergency_threshold", unit: UnitMembers, is: b.Emergency, count: &p.Emergency},
		{name: "emergency_s", unit: UnitSeconds, is: b.EmergencyHold, seconds: &p.EmergencyHold},
		{name: "quota_operations", unit: UnitOperations, is: b.QuotaOps, count: &p.QuotaOps},
		{name: "quota_blocks", unit: UnitBlocks, is: b.QuotaBlocks, count: &p.QuotaBlocks},
		{name: "epoch_interval_s", unit: UnitSeconds, is: b.EpochInterval, seconds: &p.EpochInterval},
		{name: "heartbeat_ms", unit: UnitMilliseconds, is: b.Heartbeat, count: &p.Heartbeat},
	}
}

// Changes are the parameters that the body sets, with what they are in p. Which values members may choose says the chain.
func (b *ParamsBody) Changes(p *ParamsFact) []ParamChange {
	var out []ParamChange
	for _, s := range b.settings(p) {
		if s.is == nil {
			continue
		}
		c := ParamChange{Name: s.name, Unit: s.unit, Is: *s.is}
		if s.count != nil {
			c.Was = *s.count
		} else {
			c.Was = uint64(*s.seconds)
		}
		out = append(out, c)
	}
	return out
}

// Apply is p with what the body sets. The body was checked.
func (b *ParamsBody) Apply(p ParamsFact) ParamsFact {
	for _, s := range b.settings(&p) {
		switch {
		case s.is == nil:
		case s.count != nil:
			*s.count = *s.is
		default:
			*s.seconds = int64(*s.is)
		}
	}
	return p
}

// ChangedParams are the parameters that members may set and that differ between two facts.
func ChangedParams(was, is *ParamsFact) []ParamChange {
	var out []ParamChange
	a, b := (&ParamsBody{}).settings(was), (&ParamsBody{}).settings(is)
	for i := range a {
		c := ParamChange{Name: a[i].name, Unit: a[i].unit}
		if a[i].count != nil {
			c.Was, c.Is = *a[i].count, *b[i].count
		} else {
			c.Was, c.Is = uint64(*a[i].seconds), uint64(*b[i].seconds)
		}
		if c.Was != c.Is {
			out = append(out, c)
		}
	}
	return out
}
