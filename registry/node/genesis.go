package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// A Genesis starts a network; every node of it writes the same one.
type Genesis struct {
	Chain      chain.Genesis
	Time       time.Time
	Validators []Validator
}

// A Validator of the first block. In the engine's genesis operator and site are its name, "operator@site".
type Validator struct {
	Name  string            // of the operator, a member's id
	Site  string            // where it stands; no site may get a third of the power
	Key   ed25519.PublicKey // Identity.Validator
	Power int64
}

// chainGenesis is the chain's half of a genesis, with the validators of the engine's.
func chainGenesis(doc *types.GenesisDoc) (chain.Genesis, error) {
	g, err := chain.ParseGenesis(doc.AppState)
	if err != nil {
		return chain.Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if doc.ConsensusParams != nil {
		g.Version = doc.ConsensusParams.Version.App
	}
	var set []registry.ValidatorFact
	for _, v := range doc.Validators {
		if len(v.PubKey.Bytes()) != ed25519.PublicKeySize || v.Power <= 0 {
			return chain.Genesis{}, fmt.Errorf("%w: validator", ErrGenesis)
		}
		operator, site, _ := strings.Cut(v.Name, "@")
		set = append(set, registry.ValidatorFact{Key: [32]byte(v.PubKey.Bytes()), Power: uint64(v.Power), Operator: operator, Site: site})
	}
	if g, err = g.WithValidators(set); err != nil {
		return chain.Genesis{}, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return g, checkGenesis(doc, g)
}

const (
	maxBlock     = 4 << 20             // bytes
	evidenceTime = 45 * 24 * time.Hour // longer than the trusting period: misbehaviour is punished while it can deceive
	evidenceSpan = 100_000             // blocks; both must be over, so the time decides
)

// ErrGenesis: the genesis contradicts itself.
var ErrGenesis = errors.New("node: genesis")

// Marshal is the genesis file. Error: ErrGenesis.
func (g Genesis) Marshal() ([]byte, error) {
	doc, err := g.document()
	if err != nil {
		return nil, err
	}
	raw, err := cmtjson.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return raw, nil
}

// Write puts the genesis into home. ErrExists when there is one; a network's beginning is never replaced.
func (g Genesis) Write(home string) error {
	raw, err := g.Marshal()
	if err != nil {
		return err
	}
	return WriteGenesis(home, raw)
}

// WriteGenesis puts a genesis file that came from elsewhere into home. Errors: ErrGenesis, ErrExists.
func WriteGenesis(home string, raw []byte) error {
	doc, err := types.GenesisDocFromJSON(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if _, err := chainGenesis(doc); err != nil {
		return err
	}
	path := filepath.Join(home, genesisFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrExists, err)
	}
	return writeFile(path, raw)
}

func (g Genesis) document() (*types.GenesisDoc, error) {
	app, err := g.Chain.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	if len(g.Validators) == 0 || g.Time.IsZero() {
		return nil, fmt.Errorf("%w: no time, or no validators", ErrGenesis)
	}
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlock
	params.Evidence.MaxAgeDuration = evidenceTime
	params.Evidence.MaxAgeNumBlocks = evidenceSpan
	params.Evidence.MaxBytes = maxBlock / 4
	params.Version.App = chain.AppVersion
	doc := &types.GenesisDoc{GenesisTime: g.Time.UTC().Round(0), ChainID: g.Chain.ChainID, InitialHeight: 1,
		ConsensusParams: params, AppState: app}
	for _, v := range g.Validators {
		if len(v.Key) != ed25519.PublicKeySize || v.Power <= 0 {
			return nil, fmt.Errorf("%w: validator without key or power", ErrGenesis)
		}
		key, name := cmted25519.PubKey(v.Key), validatorName(v.Name, v.Site)
		doc.Validators = append(doc.Validators, types.GenesisValidator{Address: key.Address(), PubKey: key, Power: v.Power, Name: name})
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	_, err = chainGenesis(doc)
	return doc, err
}

// checkGenesis holds the engine's and the chain's halves against each other. One validator is development, and
// development is one validator: readers drop the witness on that word (H13).
func checkGenesis(doc *types.GenesisDoc, g chain.Genesis) error {
	switch {
	case doc.ChainID != g.ChainID:
		return fmt.Errorf("%w: two chain ids", ErrGenesis)
	case g.Development != (len(doc.Validators) == 1):
		return fmt.Errorf("%w: one validator and development go together", ErrGenesis)
	}
	return nil
}
