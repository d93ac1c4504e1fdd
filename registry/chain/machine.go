// Package chain is the replicated state machine of the registry: operations in, leaves of an IAVL tree out.
// It has its own types; the engine's adapter is registry/node.
//
// New, then InitGenesis on an empty store; after that, for each height, Execute and Commit. CheckTx and Prove may be
// called at any time, from any goroutine. Everything that reaches the state is deterministic: no clock, no map order, no
// float, no goroutine. Trusted is the engine: it calls in order and gives the agreed header's hash and time.
//
// Formats: registry/README.md, "Leaves" and "Transaction".
package chain

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/registry"
)

// ErrOrder: a call that does not follow the one before (height, genesis, commit without a block).
var ErrOrder = errors.New("chain: call out of order")

// A Config of a Machine; the zero value is good.
type Config struct {
	KeepVersions uint64 // old states that can still be proven; 0: 100. Leaves are never pruned
	CacheNodes   int    // tree nodes in memory, once for writing and once for reading; 0: 20,000
	CacheLeaves  int    // leaves of the newest state in memory, for CheckTx and Execute; 0: 50,000
	Verdicts     int    // bytes of transactions whose verified signatures are remembered; 0: 8 MiB
	Version      uint64 // newest version of the rules that is known; 0: AppVersion. For tests of upgrades
	Sync         bool   // fsync each commit; without it the engine's own log replays what a power cut took
}

// A Machine is the state machine over one store. Safe for concurrent use.
type Machine struct {
	cfg      Config
	db       iavldb.DB
	verdicts *verdicts

	mu       sync.RWMutex        // held for writing while a block is executed and committed
	tree     *iavl.MutableTree   // under mu, for writing only
	reads    *iavl.MutableTree   // gives snapshots; its nodes are its own, because writing touches nodes that are read
	leaves   *leafCache          // of the newest committed state; changed under mu and checkMu
	snapshot *iavl.ImmutableTree // newest committed state; nil before the first commit; replaced, never changed
	params   registry.ParamsFact
	first    uint64 // height of the first block; 0 before the genesis
	height   uint64 // newest committed
	lastTime time.Time
	pending  *pending // executed, not committed
	pruned   uint64   // versions up to here are gone
	changed  uint64   // newest version whose block changed the state
	// restoring: the store holds parts of a snapshot.
	restoring bool

	heldMu sync.Mutex
	held   map[uint64]int // versions that must not be pruned; under heldMu

	checkMu sync.Mutex // taken after mu
	check   *overlay   // state of CheckTx since the last commit
}

// New opens the store and loads the newest committed version. Open gives a store on disk, NewMemory one for tests.
func New(db iavldb.DB, cfg Config) (*Machine, error) {
	if cfg.KeepVersions == 0 {
		cfg.KeepVersions = 100
	}
	if cfg.Version == 0 {
		cfg.Version = AppVersion
	}
	if cfg.CacheNodes == 0 {
		cfg.CacheNodes = 20_000
	}
	if cfg.CacheLeaves == 0 {
		cfg.CacheLeaves = 50_000
	}
	if cfg.Verdicts == 0 {
		cfg.Verdicts = 8 << 20
	}
	m := &Machine{cfg: cfg, db: db, verdicts: newVerdicts(cfg.Verdicts), held: map[uint64]int{}}
	if err := m.open(); err != nil {
		return nil, err
	}
	return m, nil
}

// open loads the newest committed version of the store; what a snapshot left that was not taken to its end goes first.
func (m *Machine) open() error {
	begun, err := m.db.Has(restoreRecord)
	if err != nil {
		return fmt.Errorf("chain: load state: %w", err)
	}
	if begun {
		if err := wipe(m.db); err != nil {
			return err
		}
	}
	// One batch a commit: above the default threshold the library flushes nodes before the root, and a crash in
	// between leaves a version without a root. No fast storage: a second copy of every leaf to write.
	m.tree = iavl.NewMutableTree(wholeBatch{m.db}, m.cfg.CacheNodes, true, iavl.NewNopLogger(), iavl.FlushThresholdOption(flushNever), iavl.SyncOption(m.cfg.Sync))
	version, err := m.tree.Load()
	if err != nil {
		return fmt.Errorf("chain: load state: %w", err)
	}
	m.reads = iavl.NewMutableTree(wholeBatch{m.db}, m.cfg.CacheNodes, true, iavl.NewNopLogger(), iavl.FlushThresholdOption(flushNever))
	m.snapshot, m.height, m.first = nil, uint64(version), 0
	m.leaves = newLeafCache(m.cfg.CacheLeaves/2 + 1)
	if version > 0 {
		if err := m.loaded(); err != nil {
			return err
		}
	}
	m.checkMu.Lock()
	defer m.checkMu.Unlock()
	m.check = newOverlay(empty{})
	return nil
}

// loaded reads what a restart needs from the newest version.
func (m *Machine) loaded() error {
	if err := m.takeSnapshot(); err != nil {
		return err
	}
	var err error
	if _, m.lastTime, err = m.header(m.height); err != nil {
		return err
	}
	if versions := m.tree.AvailableVersions(); len(versions) > 0 {
		m.pruned = uint64(versions[0]) - 1
	}
	return nil
}

func (m *Machine) takeSnapshot() error {
	snapshot, err := m.reads.GetImmutable(int64(m.height))
	if err != nil {
		return fmt.Errorf("chain: read state: %w", err)
	}
	m.snapshot = snapshot
	state := m.committed()
	params, _, err := readFact[registry.ParamsFact](state, registry.ParamsFamily())
	if err != nil {
		return err
	}
	if params == nil {
		return errors.New("chain: state without parameters")
	}
	root, err := readPlain[registry.HeaderRoot](state, registry.HeaderRootKey())
	if err != nil {
		return err
	}
	if root == nil {
		return errors.New("chain: state without a header tree")
	}
	m.params, m.first, m.changed = *params, root.First, root.First+root.Size-1
	return nil
}

// committed reads the newest committed state. The caller has mu or checkMu. The nodes of the tree that is written to are
// in memory: while no block is pending, it is that state.
func (m *Machine) committed() reader {
	switch {
	case m.snapshot == nil:
		return empty{}
	case m.pending != nil:
		return cachedReader{m.leaves, treeReader{m.snapshot}}
	}
	return cachedReader{m.leaves, treeReader{m.tree}}
}

// Close closes the store.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(m.reads.Close(), m.tree.Close(), m.db.Close())
}

// Info is the newest committed state.
type Info struct {
	Height  uint64 // 0: nothing committed
	First   uint64 // height of the first block
	Oldest  uint64 // lowest version that can still be proven
	Changed uint64 // newest version that changed anything; headers above it are in no header tree yet: keep their blocks
	AppHash []byte
	Time    time.Time           // of the header of that height
	Params  registry.ParamsFact // zero before the genesis
}

// Info of the newest committed state.
func (m *Machine) Info() Info {
	m.mu.RLock()
	defer m.mu.RUnlock()
	i := Info{Height: m.height, First: m.first, Oldest: max(m.pruned+1, m.first), Changed: m.changed, Time: m.lastTime, Params: m.params}
	if m.snapshot != nil {
		i.AppHash = m.snapshot.Hash()
	}
	return i
}

// A Block is what the engine has agreed on. Hash, Time and Point are those of the block's own header.
type Block struct {
	Height uint64
	Time   time.Time
	Hash   [32]byte
	// Point is evidence.Header.Point. With it old headers are shown after the engine has dropped its blocks, and
	// snapshots can be made. Zero: none.
	Point [96]byte
	// Misbehaviours that the block proves, in its order.
	Misbehaviours []Misbehaviour
	Txs           [][]byte
}

// A Result is what became of one transaction.
type Result struct {
	Code       registry.Code // ok, or why the whole transaction was refused
	Detail     string        // for people and logs, not part of what nodes agree on
	Sponsor    string        // empty when it could not be read
	Operations []registry.Outcome
}

// Data is the deterministic encoding of the result for the block results: codes only.
func (r Result) Data() []byte {
	codes := make([]registry.Code, 0, 1+len(r.Operations))
	codes = append(codes, r.Code)
	for _, o := range r.Operations {
		codes = append(codes, registry.Code(o.Code))
	}
	b, err := registry.Encode(codes)
	if err != nil {
		return nil // strings always encode
	}
	return b
}

// NewMemory is a store without a disk.
func NewMemory() iavldb.DB { return iavldb.NewMemDB() }
