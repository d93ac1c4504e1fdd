package keys

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"
	"golang.org/x/crypto/scrypt"
)

// A Store holds named signing keys. Names are [a-z0-9._-]{1,64}, not beginning with a dot. Create is durable when it
// returns. Implementations are safe for concurrent use; PKCS#11 and KMS ones come behind build tags.
type Store interface {
	// Create makes a key for alg under name; ErrExists when there is one already.
	Create(name, alg string) (Signer, error)
	// Signer opens the key; ErrNotFound when there is none.
	Signer(name string) (Signer, error)
}

// OpenOrCreate gives the key of that name, made when absent. ErrAlg when it exists for another algorithm.
func OpenOrCreate(s Store, name, alg string) (Signer, error) {
	key, err := s.Signer(name)
	if errors.Is(err, ErrNotFound) {
		key, err = s.Create(name, alg)
	}
	if err != nil {
		return nil, err
	}
	if key.Public().Alg() != alg {
		return nil, fmt.Errorf("%w: the stored key is for another", ErrAlg)
	}
	return key, nil
}

// FileStoreConfig says where encrypted key files lie and what opens them.
type FileStoreConfig struct {
	Dir        string // created with 0700 when absent
	Passphrase []byte // at least 8 bytes
	// Interactive lowers the scrypt cost from N=2^17 to 2^14 when the store is created: for tests, and for passphrases
	// that are random already. The cost is recorded in the folder.
	Interactive bool
}

// A FileStore keeps one file a key, sealed with AES-256-GCM under a random master key, which lies sealed under
// scrypt(passphrase) in store.json. All files are 0600; files open to others and unencrypted keys are refused.
type FileStore struct {
	dir    string
	master cipher.AEAD
}

// masterFile is store.json.
type masterFile struct {
	Format string `json:"format"` // dojang-key-store-1
	LogN   int    `json:"scrypt_log_n"`
	Salt   []byte `json:"salt"`
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"` // the 32-byte master key; additional data: format
}

// keyFile is <name>.key.
type keyFile struct {
	Format string `json:"format"` // dojang-key-1
	Name   string `json:"name"`
	Kind   string `json:"kind"` // ES256, EdDSA or secret
	Nonce  []byte `json:"nonce"`
	Sealed []byte `json:"sealed"` // PKCS#8, or the secret; additional data: format, name, kind
}

const (
	masterFormat = "dojang-key-store-1"
	keyFormat    = "dojang-key-1"
	masterName   = "store.json"
	kindSecret   = "secret"
	maxKeyFile   = 64 << 10
)

// NewFileStore opens the folder, or creates it with a new master key. Errors: ErrKey (passphrase too short or wrong),
// ErrMalformed, or of the file system.
func NewFileStore(cfg FileStoreConfig) (*FileStore, error) {
	if len(cfg.Passphrase) < 8 {
		return nil, fmt.Errorf("%w: passphrase shorter than 8 bytes", ErrKey)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create key store: %w", err)
	}
	path := filepath.Join(cfg.Dir, masterName)
	var m masterFile
	err := readSealed(path, &m)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createMaster(path, cfg); err != nil && !errors.Is(err, ErrExists) {
			return nil, err
		}
		err = readSealed(path, &m)
	}
	if err != nil {
		return nil, fmt.Errorf("open key store: %w", err)
	}
	if m.Format != masterFormat || m.LogN < 14 || m.LogN > 20 {
		return nil, fmt.Errorf("%w: key store format", ErrMalformed)
	}
	kek, err := m.passphraseKey(cfg.Passphrase)
	if err != nil {
		return nil, err
	}
	master, err := unseal(kek, m.Nonce, m.Sealed, []byte(m.Format))
	if err != nil {
		return nil, fmt.Errorf("%w: passphrase does not open the key store", ErrKey)
	}
	aead, err := newGCM(master)
	if err != nil {
		return nil, err
	}
	return &FileStore{dir: cfg.Dir, master: aead}, nil
}

func createMaster(path string, cfg FileStoreConfig) error {
	m := masterFile{Format: masterFormat, LogN: 17, Salt: make([]byte, 32)}
	if cfg.Interactive {
		m.LogN = 14
	}
	master := make([]byte, 32)
	rand.Read(m.Salt)
	rand.Read(master)
	kek, err := m.passphraseKey(cfg.Passphrase)
	if err != nil {
		return err
	}
	m.Nonce, m.Sealed = seal(kek, master, []byte(m.Format))
	return writeNew(path, m)
}

func (m masterFile) passphraseKey(passphrase []byte) (cipher.AEAD, error) {
	key, err := scrypt.Key(passphrase, m.Salt, 1<<m.LogN, 8, 1, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key from passphrase: %w", err)
	}
	return newGCM(key)
}

// Create implements Store.
func (s *FileStore) Create(name, alg string) (Signer, error) {
	key, err := generate(alg)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	if err := s.put(name, alg, der); err != nil {
		return nil, err
	}
	return NewSigner(key)
}

// Signer implements Store.
func (s *FileStore) Signer(name string) (Signer, error) {
	der, kind, err := s.get(name)
	if err != nil {
		return nil, err
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: stored key", ErrMalformed)
	}
	key, ok := any.(crypto.Signer)
	if !ok || kind == kindSecret {
		return nil, fmt.Errorf("%w: stored key cannot sign", ErrKey)
	}
	out, err := NewSigner(key)
	if err != nil {
		return nil, err
	}
	if out.Public().Alg() != kind {
		return nil, fmt.Errorf("%w: stored key", ErrMalformed)
	}
	return out, nil
}

// Secret gives 32 random bytes kept under name, made when absent (MAC keys, data keys).
func (s *FileStore) Secret(name string) ([]byte, error) {
	secret, kind, err := s.get(name)
	if errors.Is(err, ErrNotFound) {
		fresh := make([]byte, 32)
		rand.Read(fresh)
		if err := s.put(name, kindSecret, fresh); err != nil && !errors.Is(err, ErrExists) {
			return nil, err
		}
		secret, kind, err = s.get(name)
	}
	if err != nil {
		return nil, err
	}
	if kind != kindSecret {
		return nil, fmt.Errorf("%w: a signing key bears this name", ErrKey)
	}
	return secret, nil
}

func (s *FileStore) put(name, kind string, plain []byte) error {
	if !validName(name) {
		return fmt.Errorf("%w: key name", ErrMalformed)
	}
	f := keyFile{Format: keyFormat, Name: name, Kind: kind}
	f.Nonce, f.Sealed = seal(s.master, plain, f.bound())
	return writeNew(filepath.Join(s.dir, name+".key"), f)
}

func (s *FileStore) get(name string) (plain []byte, kind string, err error) {
	if !validName(name) {
		return nil, "", fmt.Errorf("%w: key name", ErrMalformed)
	}
	var f keyFile
	err = readSealed(filepath.Join(s.dir, name+".key"), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", ErrNotFound
	}
	if err != nil {
		return nil, "", fmt.Errorf("open key: %w", err)
	}
	if f.Format != keyFormat || f.Name != name {
		return nil, "", fmt.Errorf("%w: key file", ErrMalformed)
	}
	plain, err = unseal(s.master, f.Nonce, f.Sealed, f.bound())
	if err != nil {
		return nil, "", fmt.Errorf("%w: key file does not open", ErrKey)
	}
	return plain, f.Kind, nil
}

func (f keyFile) bound() []byte { return []byte(f.Format + "\n" + f.Name + "\n" + f.Kind) }

func validName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: master key", ErrMalformed)
	}
	return cipher.NewGCM(block)
}

func seal(aead cipher.AEAD, plain, bound []byte) (nonce, sealed []byte) {
	nonce = make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return nonce, aead.Seal(nil, nonce, plain, bound)
}

func unseal(aead cipher.AEAD, nonce, sealed, bound []byte) ([]byte, error) {
	if len(nonce) != aead.NonceSize() {
		return nil, ErrMalformed
	}
	return aead.Open(nil, nonce, sealed, bound)
}

// readSealed reads one of our JSON files; a plain key (PEM, JWK) does not parse as one and is refused.
func readSealed(path string, into any) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: a key file must be a regular file that only its owner can read", ErrKey)
	}
	if info.Size() > maxKeyFile {
		return fmt.Errorf("%w: key file", ErrLimit)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: not an encrypted key file", ErrMalformed)
	}
	return nil
}

// writeNew makes the file durable under a temporary name and then links it: the name never shows half a file and
// never replaces one. ErrExists when it is taken.
func writeNew(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return ErrExists
		}
		return fmt.Errorf("write key file: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync key store: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
