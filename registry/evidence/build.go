package evidence

// A Material is what Build needs. Headers are ascending; the last is the head, whose app hash proves the state.
type Material struct {
	ChainID string
	Headers []SignedHeader // with all votes for the block that there are; Build keeps what is needed
	Sets    []ValidatorSet // of those headers; Build drops double ones
	State   StateProof
	// Points are the headers that State.Points asks for, in that order.
	Points []Header
	Status *Status
}

// A StateProof is the part that the state machine makes (chain.Machine.Prove).
type StateProof struct {
	Version uint64     // height of the block whose state it is; the header of Version+1 (or a later one with the same app hash) proves it
	Root    [32]byte   // app hash
	Tree    []byte     // pruned tree
	Points  []uint64   // heights of headers that date the facts and stand in the header tree, ascending
	Path    [][32]byte // header tree hashes for these points
	Loose   []uint64   // heights of headers that date facts and are not in the header tree: to be given in Headers
}

// Status carries raw formats of internal/statuslist.
type Status struct {
	Record []byte // list record
	Index  uint64 // its place in the epoch
	Size   uint64
	Path   [][32]byte
	Chunk  []byte // chunk proof; may be nil
}

// Build encodes an Evidence. It verifies nothing: Check does. Errors: a missing header or set, registry.ErrLimit.
func Build(m Material) ([]byte, error) { return nil, errTODO }
