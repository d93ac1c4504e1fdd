package chain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// pending is an executed block that is not committed.
type pending struct {
	block   Block
	records []record
	writes  map[string][]byte
	// validators whose power the block changes
	validators []ValidatorUpdate
}

// CheckTx decides whether a transaction may wait for a block: the same validation as Execute, on a copy of the state
// that also has the transactions checked since the last commit. A transaction of which no operation would succeed is
// refused with the code of its first operation. What only waits decides nothing, because it may never come into a block: an
// operation that would succeed without it may wait, too, and a refusal is one by the committed state. Signatures are not
// verified again in Execute.
func (m *Machine) CheckTx(tx []byte) Result { return m.checkTx(tx, false) }

// Recheck decides after a block whether a transaction may go on waiting: for ever longer, whatever its operations would come to
// now (the result has it), while nothing forbids the transaction as a whole. Which order the next block has nobody knows, and
// what one node drops another may still bring into it.
func (m *Machine) Recheck(tx []byte) Result { return m.checkTx(tx, true) }

func (m *Machine) checkTx(tx []byte, again bool) Result {
	info := m.Info()
	if info.Height == 0 { // the network, which is in what is signed, is not known yet
		return Result{Code: registry.CodeNotASponsor, Detail: "the chain has not begun"}
	}
	v := m.verdicts.of(tx, info.Params.Network)
	m.mu.RLock()
	leaves := m.leaves
	m.mu.RUnlock()
	v.warm(leaves)
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.checkMu.Lock()
	defer m.checkMu.Unlock()
	m.check.base = m.committed()
	defer m.check.keep()
	r := m.checking(m.check)
	res, err := r.transaction(v)
	if err != nil {
		m.check.takeBack(0)
		return Result{Code: registry.CodeMalformed, Detail: "internal error"}
	}
	if res.Code != registry.CodeOK {
		return res
	}
	if !again && !res.succeeds() {
		alone, err := m.checking(newOverlay(m.check.base)).transaction(v)
		if err != nil {
			m.check.takeBack(0)
			return Result{Code: registry.CodeMalformed, Detail: "internal error"}
		}
		if alone.Code == registry.CodeOK && !alone.succeeds() && !waits(res, alone) {
			m.check.takeBack(0)
			alone.Code, alone.Detail = registry.Code(alone.Operations[0].Code), alone.Operations[0].Detail
			return alone
		}
	}
	return res
}

// checking is the run of a transaction in the next block, on a state. Under mu and checkMu.
func (m *Machine) checking(state *overlay) *run {
	return &run{params: m.params, height: m.height + 1, time: m.lastTime.Unix(), state: state, before: m.check.base}
}

// succeeds reports whether an operation of the transaction does.
func (r Result) succeeds() bool {
	return slices.ContainsFunc(r.Operations, func(o registry.Outcome) bool { return o.Code == string(registry.CodeOK) })
}

// waits reports whether one of these operations has already succeeded only in what waits for a block.
func waits(checked, committed Result) bool {
	for i, o := range checked.Operations {
		if o.Code == string(registry.CodeDuplicate) && committed.Operations[i].Code != o.Code {
			return true
		}
	}
	return false
}

// WarmOperation parses an operation and verifies what can be verified before it is in a transaction, in the caller's
// goroutine and under no lock: CheckTx and Execute will not do it again. It decides nothing.
func (m *Machine) WarmOperation(operation []byte) { m.verdicts.warm(operation) }

// Execute runs a block and returns the app hash; nothing is persisted before Commit. An error is a fault of the store
// or a call out of order: the node must stop.
func (m *Machine) Execute(b Block) (results []Result, appHash []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first == 0 || (m.height == 0 && b.Height != m.first) || (m.height != 0 && b.Height != m.height+1) || m.pending != nil {
		return nil, nil, ErrOrder
	}
	if b.Point != ([96]byte{}) && (evidence.Point{Height: b.Height, Time: b.Time, Nodes: b.Point}).Hash() != b.Hash {
		return nil, nil, errors.New("chain: a block's point does not give its hash")
	}
	var base reader = treeReader{m.tree} // before the first commit: the genesis
	if m.height != 0 {
		base = m.committed()
	}
	params, _, err := readFact[registry.ParamsFact](base, registry.ParamsFamily())
	if err != nil {
		return nil, nil, err
	}
	if params == nil {
		return nil, nil, ErrOrder
	}
	if err := m.knows(params, b.Height); err != nil {
		return nil, nil, err
	}
	r := run{params: *params, height: b.Height, time: b.Time.Unix(), state: newOverlay(base), before: base}
	if err := r.misbehaved(b.Misbehaviours); err != nil {
		return nil, nil, fmt.Errorf("chain: execute height %d: %w", b.Height, err)
	}
	if err := r.proposals(); err != nil {
		return nil, nil, fmt.Errorf("chain: execute height %d: %w", b.Height, err)
	}
	for _, tx := range b.Txs {
		res, err := r.transaction(m.verdicts.of(tx, params.Network))
		if err != nil {
			return nil, nil, fmt.Errorf("chain: execute height %d: %w", b.Height, err)
		}
		results = append(results, res)
	}
	p := &pending{block: b, writes: r.state.writes}
	if len(r.state.writes) > 0 {
		if p.records, err = m.appendHeaders(&writer{overlay: r.state, height: b.Height}, b); err != nil {
			return nil, nil, err
		}
	}
	p.records = append(p.records, b.record())
	if p.validators, err = r.validatorUpdates(); err != nil {
		return nil, nil, err
	}
	if err := m.apply(r.state); err != nil {
		return nil, nil, err
	}
	m.pending = p
	return results, m.tree.WorkingHash(), nil
}

// apply puts changes into the working tree, in key order.
func (m *Machine) apply(o *overlay) error {
	for _, k := range o.keys() {
		var err error
		if v := o.writes[k]; v != nil {
			_, err = m.tree.Set([]byte(k), v)
		} else {
			_, _, err = m.tree.Remove([]byte(k))
		}
		if err != nil {
			return fmt.Errorf("chain: write leaf: %w", err)
		}
	}
	return nil
}

// Commit persists the executed block. The records beside the tree go first, then the version in one atomic batch: what
// a crash leaves in between is rewritten when the engine replays the block.
func (m *Machine) Commit() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending == nil {
		return ErrOrder
	}
	if err := m.writeRecords(m.pending.records); err != nil {
		return err
	}
	_, version, err := m.tree.SaveVersion()
	if err != nil {
		return fmt.Errorf("chain: commit: %w", err)
	}
	if uint64(version) != m.pending.block.Height {
		return fmt.Errorf("chain: committed version %d at height %d", version, m.pending.block.Height)
	}
	m.height, m.lastTime = m.pending.block.Height, m.pending.block.Time
	for _, tx := range m.pending.block.Txs {
		m.verdicts.forget(tx)
	}
	writes := m.pending.writes
	m.pending = nil
	m.checkMu.Lock()
	m.leaves.commit(writes)
	m.check = newOverlay(empty{})
	m.checkMu.Unlock()
	if err := m.takeSnapshot(); err != nil {
		return err
	}
	return m.prune()
}

func (m *Machine) writeRecords(records []record) error {
	batch := m.db.NewBatch()
	defer batch.Close()
	for _, r := range records {
		if err := batch.Set(r.key, r.value); err != nil {
			return fmt.Errorf("chain: commit records: %w", err)
		}
	}
	if err := batch.Write(); err != nil {
		return fmt.Errorf("chain: commit records: %w", err)
	}
	return nil
}

// pruneEvery spreads the cost of pruning.
const pruneEvery = 20

// prune drops old versions of the tree, never a leaf of the newest, and none that is being exported.
func (m *Machine) prune() error {
	if m.height <= m.cfg.KeepVersions {
		return nil
	}
	to := min(m.height-m.cfg.KeepVersions, m.oldestHeld(m.height)-1)
	if to < m.first || to < m.pruned+pruneEvery {
		return nil
	}
	if err := m.tree.DeleteVersionsTo(int64(to)); err != nil {
		return fmt.Errorf("chain: prune: %w", err)
	}
	m.pruned = to
	return nil
}

// A ValidatorUpdate is a validator's new power; 0 removes it.
type ValidatorUpdate struct {
	Key   [32]byte // Ed25519
	Power uint64
}

// ValidatorUpdates of the executed block that is not committed yet, in order of keys, for the engine.
func (m *Machine) ValidatorUpdates() []ValidatorUpdate {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.pending == nil {
		return nil
	}
	return m.pending.validators
}
