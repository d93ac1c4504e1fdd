package registry

// A Transaction carries operations to the chain in the name of a sponsor, a member's gateway.
type Transaction struct {
	Network    string
	ChainID    string
	Sponsor    string // member id
	Nonce      uint64 // each once; within NonceWindow of the highest used
	Operations [][]byte
}

// Limits of a transaction.
const (
	MaxTransaction = 1 << 20 // bytes
	MaxOperations  = 1000
	NonceWindow    = 1024
)

// KindTransaction stands in external_aad where an operation has its kind.
const KindTransaction = "transaction"

type envelopeWire struct {
	V          uint64   `cbor:"v"`
	ChainID    string   `cbor:"chain_id"`
	Sponsor    string   `cbor:"sponsor"`
	Nonce      uint64   `cbor:"nonce"`
	Operations [][]byte `cbor:"operations"`
}

type transactionWire struct {
	_         struct{} `cbor:",toarray"`
	Payload   []byte
	Signature signatureWire
}

// Sign encodes the transaction. key.Role is ignored: the sponsor's id stands there. Errors: ErrMalformed, ErrLimit, ErrKey, ErrSignature.
func (t Transaction) Sign(key SigningKey) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	payload, err := Encode(envelopeWire{V: 1, ChainID: t.ChainID, Sponsor: t.Sponsor, Nonce: t.Nonce, Operations: t.Operations})
	if err != nil {
		return nil, err
	}
	key.Role = t.Sponsor
	sig, err := t.scope().sign(payload, key)
	if err != nil {
		return nil, err
	}
	out, err := Encode(transactionWire{Payload: payload, Signature: sig})
	if err == nil && len(out) > MaxTransaction {
		return nil, ErrLimit
	}
	return out, err
}

func (t Transaction) check() error {
	if len(t.Operations) == 0 || len(t.Operations) > MaxOperations {
		return ErrLimit
	}
	if !ValidFragment(t.Sponsor) || !onlyBytes(t.ChainID, 64, fragmentAlphabet) || t.Nonce == 0 {
		return ErrMalformed
	}
	return nil
}

func (t Transaction) scope() scope {
	return scope{Network: t.Network, ChainID: t.ChainID, Kind: KindTransaction}
}

// A SignedTransaction is a parsed transaction; its signature is not yet verified and its operations are not yet parsed.
type SignedTransaction struct {
	Transaction
	payload   []byte
	signature Signature
}

// ParseTransaction reads one transaction of a network strictly (the network is not on the wire, it is in the signed bytes).
// Errors: ErrMalformed, ErrLimit.
func ParseTransaction(b []byte, network string) (*SignedTransaction, error) {
	if len(b) > MaxTransaction {
		return nil, ErrLimit
	}
	var w transactionWire
	if err := DecodeCanonical(b, &w); err != nil {
		return nil, err
	}
	var e envelopeWire
	if err := DecodeCanonical(w.Payload, &e); err != nil {
		return nil, err
	}
	sig, err := w.Signature.parse()
	if err != nil {
		return nil, err
	}
	t := Transaction{Network: network, ChainID: e.ChainID, Sponsor: e.Sponsor, Nonce: e.Nonce, Operations: e.Operations}
	if e.V != 1 || sig.Role != e.Sponsor {
		return nil, ErrMalformed
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return &SignedTransaction{Transaction: t, payload: w.Payload, signature: sig}, nil
}

// Verify checks the sponsor's signature. Errors: ErrSignature, ErrKey.
func (s *SignedTransaction) Verify(key PublicKey) error {
	return verify(s.scope(), s.payload, &s.signature, key)
}
