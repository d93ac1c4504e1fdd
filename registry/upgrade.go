package registry

// KindUpgrade: other rules are in force from a height on; README.md "Upgrade".
const KindUpgrade Kind = "upgrade"

// UpgradeBody names the next version of the rules and the first block that it judges. While that block has not come, the
// members may decide another height.
type UpgradeBody struct {
	Version uint64 `cbor:"version"`
	Height  uint64 `cbor:"height"`
}

func (*UpgradeBody) Kind() Kind { return KindUpgrade }

func (b *UpgradeBody) check(*Operation) error {
	if b.Version < 2 || b.Height < 2 || b.Version > 1<<32 || b.Height > 1<<62 {
		return ErrMalformed
	}
	return nil
}

// VersionAt is the version of the rules that judge the block of a height, as far as it is decided.
func (p *ParamsFact) VersionAt(height uint64) uint64 {
	if p.Next != 0 && height >= p.NextFrom {
		return p.Next
	}
	return max(p.Version, 1)
}
