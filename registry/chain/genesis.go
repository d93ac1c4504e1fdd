package chain

// A Genesis is the app state of a new chain. Times and heights do not occur in it.
type Genesis struct {
	Format        string          `json:"format"` // "dojang-genesis/1"
	Network       string          `json:"network"`
	ChainID       string          `json:"chain_id"`
	Development   bool            `json:"development"` // one validator, http on loopback
	Threshold     uint64          `json:"threshold"`   // k of the members
	QuotaOps      uint64          `json:"quota_operations"`
	QuotaBlocks   uint64          `json:"quota_blocks"`
	EpochInterval int64           `json:"epoch_interval_s"`
	Heartbeat     uint64          `json:"heartbeat_ms"`
	Members       []GenesisMember `json:"members"`
}

// A GenesisMember is a founding member.
type GenesisMember struct {
	ID            string            `json:"id"`
	Name          map[string]string `json:"name"`           // language tag to name
	GovernanceKey string            `json:"governance_key"` // Multikey of the offline key
	SponsorKey    string            `json:"sponsor_key"`    // Multikey of the gateway's key
}

// ParseGenesis reads the app state strictly.
func ParseGenesis(data []byte) (Genesis, error) { return Genesis{}, errTODO }

// Marshal is the app state.
func (g Genesis) Marshal() ([]byte, error) { return nil, errTODO }
