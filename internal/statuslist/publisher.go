package statuslist

// A Publisher holds the values of one list and publishes changes at the cost of the changed blocks.
// Safe for concurrent use.
type Publisher struct{}

// NewPublisher starts from values (a copy is made).
func NewPublisher(v Values) (*Publisher, error) { return nil, errTODO }

// Set writes one entry. Errors: ErrIndex, ErrStatus.
func (p *Publisher) Set(idx uint64, s Status) error { return errTODO }

// Get reads one entry.
func (p *Publisher) Get(idx uint64) (Status, error) { return 0, errTODO }

// A Snapshot is a list at one moment: what a token and a record say about it.
type Snapshot struct {
	Bits       int
	Length     uint64
	Compressed []byte // zlib
	Root       [32]byte
}

// Snapshot compresses the blocks that changed since the last one.
func (p *Publisher) Snapshot() (Snapshot, error) { return Snapshot{}, errTODO }

// Values copies the present state.
func (p *Publisher) Values() Values { return Values{} }
