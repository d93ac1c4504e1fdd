package sdjwt

// A Held credential is a holder's own, verified when it was received and indexed for presenting.
type Held struct{}

// Open indexes a stored SD-JWT (without KB-JWT). It checks structure and digests, not the signature.
func Open(token string) (*Held, error) { return nil, errTODO }

// Claims is the whole processed payload, for showing to its holder and for matching a query.
func (h *Held) Claims() Value { return Value{} }

// Disclosable are the paths that the holder may reveal or keep, parents before children.
func (h *Held) Disclosable() []Path { return nil }

// Text is the stored SD-JWT.
func (h *Held) Text() string { return "" }

// Select gives the SD-JWT that reveals exactly what the paths name: each selected value whole, with its parents.
// Selecting what is always disclosed adds nothing; selecting what is not there is ErrSelection.
func (h *Held) Select(paths []Path) (string, error) { return "", errTODO }
