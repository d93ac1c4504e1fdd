package statuslist

// A Record ties one list to an epoch of its issuer (format: package doc, "List record").
type Record struct {
	URI    string
	Bits   int
	Length uint64
	Root   [32]byte
	Tokens TokenDigests
}

// TokenDigests are SHA-256 of the published tokens; the zero digest means: not published in this format.
type TokenDigests struct{ JWT, CWT, Bitstring [32]byte }

// Marshal is the deterministic encoding.
func (r Record) Marshal() ([]byte, error) { return nil, errTODO }

// ParseRecord refuses every other encoding than Marshal's.
func ParseRecord(record []byte) (Record, error) { return Record{}, errTODO }

// EpochRoot is the root over an issuer's records in list order.
func EpochRoot(records [][]byte) [32]byte { return [32]byte{} }

// ProveRecord is the audit path of records[index], from leaf to root.
func ProveRecord(records [][]byte, index int) ([][]byte, error) { return nil, errTODO }

// A RecordProof places a record in an epoch.
type RecordProof struct {
	Record []byte
	Path   [][]byte
	Index  uint64
	Size   uint64
}

// VerifyRecord checks a record against an epoch root and returns it parsed. Errors: ErrProof, ErrMalformed.
func VerifyRecord(root [32]byte, p RecordProof) (Record, error) { return Record{}, errTODO }

// CheckToken compares a published token's bytes with the record. Errors: ErrProof.
func (r Record) CheckToken(mediaType string, token []byte) error { return errTODO }

// CheckValues compares a list's values with the record: bits, length and root. Errors: ErrProof.
func (r Record) CheckValues(v Values) error { return errTODO }

// ChunkSize is the size of a Merkle leaf over the uncompressed values.
const ChunkSize = 1024

// Root is the RFC 6962 root over the chunks of the values.
func (v Values) Root() [32]byte { return [32]byte{} }

// CutChunk is the encoded chunk proof for idx, out of the whole list (format: package doc, "Chunk proof").
func (v Values) CutChunk(idx uint64) ([]byte, error) { return nil, errTODO }

// VerifyChunk answers for idx from a chunk proof and a record that was placed in an epoch.
// Errors: ErrProof, ErrIndex, ErrMalformed.
func VerifyChunk(r Record, chunkProof []byte, idx uint64) (Status, error) { return 0, errTODO }
