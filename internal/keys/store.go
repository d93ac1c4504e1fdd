package keys

// A Store holds named signing keys. Names are [a-z0-9._-]{1,64}. Create is durable when it returns.
type Store interface {
	// Create makes a key for alg under name; ErrExists when there is one already.
	Create(name, alg string) (Signer, error)
	// Signer opens the key; ErrNotFound when there is none.
	Signer(name string) (Signer, error)
}

// FileStoreConfig says where encrypted key files lie and what opens them.
type FileStoreConfig struct {
	Dir        string // created with 0700 when absent
	Passphrase []byte // at least 8 bytes
	// Interactive lowers the scrypt cost to N=2^14 for demos and tests; the cost is recorded in the file.
	Interactive bool
}

// A FileStore keeps one file a key: scrypt + AES-256-GCM, mode 0600. It refuses plain files and files open to others.
type FileStore struct{ cfg FileStoreConfig }

// NewFileStore opens or creates the folder; keys are read when asked for.
func NewFileStore(cfg FileStoreConfig) (*FileStore, error) { return nil, errTODO }

// Create implements Store.
func (s *FileStore) Create(name, alg string) (Signer, error) { return nil, errTODO }

// Signer implements Store.
func (s *FileStore) Signer(name string) (Signer, error) { return nil, errTODO }

// OpenOrCreate is the demo's way: the key of that name, made when absent.
func OpenOrCreate(s Store, name, alg string) (Signer, error) { return nil, errTODO }
