package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"crypto/x509"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// A home folder, mode 0700:
//
//	genesis.json          the network's first state, the same on every node
//	validator_key.json    signs blocks; never copy it to a second running node
//	validator_state.json  what was signed last, fsynced before a signature leaves; never restore it from a backup
//	node_key.json         names this node to its peers
//	sponsor.pem           signs envelopes as a member (PKCS #8, Ed25519); development only
//	data/                 the engine's stores, the chain's state, and the headers that date its facts
//	snapshots/            states for newcomers (Snapshots)
//	status/               published status lists (StatusStore)
//	lock                  held by the process that runs on the home
const (
	genesisFile = "genesis.json"
	sponsorFile = "sponsor.pem"
	dataDir     = "data"
)

// An Identity is what a genesis and the other operators must know of a node. No secrets.
type Identity struct {
	Validator ed25519.PublicKey // votes on blocks
	PeerID    string            // hex, names the node to its peers
	Sponsor   ed25519.PublicKey // signs this node's envelopes
}

// ErrExists: the home folder already belongs to a network.
var ErrExists = errors.New("node: home already has a genesis")

// Init makes the keys of a new node in home, or reads those that are there, with a plain sponsor key: for development
// networks. Elsewhere InitValidator, and the sponsor key comes from a key store.
func Init(home string) (Identity, error) {
	id, err := InitValidator(home)
	if err != nil {
		return Identity{}, err
	}
	sponsor, err := loadSponsor(home)
	if errors.Is(err, fs.ErrNotExist) {
		sponsor, err = newSponsor(home)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("init node: %w", err)
	}
	id.Sponsor = sponsor.Public().(ed25519.PublicKey)
	return id, nil
}

// InitValidator makes the validator's and the node's own key in home, or reads those that are there; Identity.Sponsor
// stays empty.
func InitValidator(home string) (Identity, error) {
	if err := os.MkdirAll(filepath.Join(home, dataDir), 0o700); err != nil {
		return Identity{}, fmt.Errorf("init node: %w", err)
	}
	signer, err := loadSigner(home, true)
	if err != nil {
		return Identity{}, fmt.Errorf("init node: %w", err)
	}
	nodeKey, err := p2p.LoadOrGenNodeKey(filepath.Join(home, "node_key.json"))
	if err != nil {
		return Identity{}, fmt.Errorf("init node: %w", err)
	}
	return Identity{Validator: ed25519.PublicKey(signer.Key.PubKey.Bytes()), PeerID: string(nodeKey.ID())}, nil
}

// loadSigner reads the validator's key and sign state. Only a node that has neither may make them: a lost sign state
// must not come back empty. The library's own loader ends the process on any error; this one returns it.
func loadSigner(home string, create bool) (*privval.FilePV, error) {
	keyPath, statePath := filepath.Join(home, "validator_key.json"), filepath.Join(home, "validator_state.json")
	keyJSON, keyErr := os.ReadFile(keyPath)
	stateJSON, stateErr := os.ReadFile(statePath)
	if create && errors.Is(keyErr, fs.ErrNotExist) && errors.Is(stateErr, fs.ErrNotExist) {
		pv := privval.NewFilePV(cmted25519.GenPrivKey(), keyPath, statePath)
		pv.Save()
		return pv, nil
	}
	if err := errors.Join(keyErr, stateErr); err != nil {
		return nil, fmt.Errorf("validator key and sign state: %w", err)
	}
	var key privval.FilePVKey
	if err := cmtjson.Unmarshal(keyJSON, &key); err != nil || key.PrivKey == nil {
		return nil, errors.New("validator key: malformed file")
	}
	pv := privval.NewFilePV(key.PrivKey, keyPath, statePath)
	path := pv.LastSignState // keeps the unexported path
	if err := cmtjson.Unmarshal(stateJSON, &path); err != nil {
		return nil, errors.New("validator sign state: malformed file")
	}
	if !signStateHolds(&path, key.PrivKey.PubKey()) {
		return nil, errors.New("validator sign state: its parts contradict each other or the key")
	}
	pv.LastSignState = path
	return pv, nil
}

// signStateHolds reports whether the last thing that was signed is what the state says it was: a number that a disk has changed
// would let the validator sign a second time.
func signStateHolds(s *privval.FilePVLastSignState, key crypto.PubKey) bool {
	if s.Height == 0 {
		return s.Round == 0 && s.Step == 0 && len(s.SignBytes) == 0 && len(s.Signature) == 0
	}
	if !key.VerifySignature(s.SignBytes, s.Signature) {
		return false
	}
	if s.Step == signedProposal {
		var p cmtproto.CanonicalProposal
		return protoio.UnmarshalDelimited(s.SignBytes, &p) == nil && p.Type == cmtproto.ProposalType && p.Height == s.Height && p.Round == int64(s.Round)
	}
	want := map[int8]cmtproto.SignedMsgType{signedPrevote: cmtproto.PrevoteType, signedPrecommit: cmtproto.PrecommitType}[s.Step]
	var v cmtproto.CanonicalVote
	return want != 0 && protoio.UnmarshalDelimited(s.SignBytes, &v) == nil && v.Type == want && v.Height == s.Height && v.Round == int64(s.Round)
}

func newSponsor(home string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeFile(filepath.Join(home, sponsorFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func loadSponsor(home string) (ed25519.PrivateKey, error) {
	raw, err := os.ReadFile(filepath.Join(home, sponsorFile))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("sponsor key: not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("sponsor key: malformed")
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("sponsor key: not Ed25519")
	}
	return ed, nil
}

// durableSigner is the validator's key. The library writes its sign state synchronously and renames it into place, but
// leaves the folder to the kernel: a power cut could bring the older state back, and with it a second signature.
type durableSigner struct {
	*privval.FilePV
	dir string
}

var _ types.PrivValidator = durableSigner{}

// SignVote implements types.PrivValidator.
func (s durableSigner) SignVote(chainID string, vote *cmtproto.Vote) error {
	if err := s.FilePV.SignVote(chainID, vote); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// errSignedBefore: the last end came between the signature of a proposal and the log; the round goes on without one.
var errSignedBefore = errors.New("a proposal of this round, of another time, is signed already")

// SignProposal implements types.PrivValidator. For what differs in its time alone the library gives the old signature with the
// old time, of which the engine takes only the signature: its own peers would refuse it.
func (s durableSigner) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	at := proposal.Timestamp
	if err := s.FilePV.SignProposal(chainID, proposal); err != nil {
		return err
	}
	if !proposal.Timestamp.Equal(at) {
		return errSignedBefore
	}
	return syncDir(s.dir)
}

func loadGenesis(home string) (*types.GenesisDoc, error) {
	doc, err := types.GenesisDocFromFile(filepath.Join(home, genesisFile))
	if err != nil {
		return nil, fmt.Errorf("read genesis: %w", err)
	}
	return doc, nil
}
