package chain

import (
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

// AppVersion is the newest version of the rules that this release knows. The version in force stands in every header; members
// decide the next one and its first height (registry.UpgradeBody), and releases that know it are installed before.
const AppVersion = 1

// ErrUpgrade: the members decided rules that this release does not know. Nothing is executed: install a newer release.
var ErrUpgrade = errors.New("chain: this release does not know the rules that the members decided; install a newer one")

func (d *deciding) upgrade(b *registry.UpgradeBody) error {
	p := d.params
	if now := p.VersionAt(d.height + 1); now != max(p.Version, 1) { // the one before has come, and makes room
		p.Version, p.Next, p.NextFrom = now, 0, 0
	}
	switch {
	case b.Version != max(p.Version, 1)+1:
		return registry.Refuse(registry.CodeNotAllowed, "not the next version of the rules")
	case b.Height <= d.height+1: // the engine hears of it one block before
		return registry.Refuse(registry.CodeTooSoon, "the height is too near")
	}
	if err := d.Threshold(); err != nil {
		return err
	}
	p.Next, p.NextFrom = b.Version, b.Height
	d.w.fact(registry.ParamsFamily(), p)
	return nil
}

// knows refuses a block whose rules are not in this release.
func (m *Machine) knows(params *registry.ParamsFact, height uint64) error {
	if v := params.VersionAt(height); v > m.cfg.Version {
		return fmt.Errorf("%w: from height %d on version %d is in force, this release knows %d", ErrUpgrade, params.NextFrom, v, m.cfg.Version)
	}
	return nil
}

// Outdated is ErrUpgrade when this release cannot execute the next block, otherwise nil.
func (m *Machine) Outdated() error {
	i := m.Info()
	return m.knows(&i.Params, i.Height+1)
}

// Upgrade is the version that the block after the executed one is judged by, when it is another than that of the executed one;
// otherwise 0. For the engine, before Commit.
func (m *Machine) Upgrade() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.pending == nil {
		return 0
	}
	height := m.pending.block.Height
	if next := m.params.VersionAt(height + 1); next != m.params.VersionAt(height) {
		return next
	}
	return 0
}
