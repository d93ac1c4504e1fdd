package chain

import "github.com/dojang-id/dojang/registry"

// setParams changes what the genesis fixed. A proposal that is open keeps the time lock that it was opened under, and the time to
// vote on it; an emergency that runs, its end.
func (d *deciding) setParams(b *registry.ParamsBody) error {
	p := b.Apply(d.params)
	if p == d.params {
		return registry.Refuse(registry.CodeExists, "nothing to change")
	}
	for _, c := range b.Changes(&d.params) {
		if low, high := bounds(c.Name, p.Development); c.Is < low || c.Is > high {
			return registry.Refuse(registry.CodeNotAllowed, "a parameter is out of bounds")
		}
	}
	if (b.Emergency != nil || b.EmergencyHold != nil) && !emergencyFits(&p) {
		return registry.Refuse(registry.CodeNotAllowed, "not an emergency threshold that these members may have")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	d.w.fact(registry.ParamsFamily(), p)
	return nil
}

// bounds of a parameter that members set: such that the network can always change its mind, and nobody loses the time to object.
// A development network may have what its genesis may.
func bounds(name string, development bool) (low, high uint64) {
	const hour, day = 3600, 24 * 3600
	switch name {
	case "time_lock_s":
		low, high = hour, 366*day
	case "voting_s":
		low, high = hour, 366*day
	case "emergency_threshold":
		return 0, 100 // emergencyFits
	case "emergency_s":
		low, high = 0, 31*day // emergencyFits
	case "quota_operations": // enough to vote with
		low, high = 100, 1<<40
	case "quota_blocks":
		return 1, 10_000
	case "epoch_interval_s": // a revocation waits no longer
		low, high = 1, hour
	case "heartbeat_ms": // operations are dated as exactly as two of them
		return 100, 60_000
	}
	if !development {
		return low, high
	}
	if name == "voting_s" {
		return 1, 366 * day
	}
	return 0, high
}

// emergencyFits: nobody suspends alone where three or more decide, and the few are never more than the many.
func emergencyFits(p *registry.ParamsFact) bool {
	switch {
	case p.Emergency == 0 || p.EmergencyHold == 0:
		return p.Emergency == 0 && p.EmergencyHold == 0
	case p.Emergency > p.Threshold:
		return false
	case p.Development:
		return true
	}
	return p.EmergencyHold >= 3600 && p.Emergency >= leastEmergency(p.Members)
}

// leastEmergency is how many of n members suspend at once, at least.
func leastEmergency(n uint64) uint64 {
	if n >= 3 {
		return 2
	}
	return 1
}
