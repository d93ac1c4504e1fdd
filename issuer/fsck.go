package issuer

import "context"

// A Row is one invariant's result.
type Row struct {
	ID         string `json:"id"`
	Checked    int64  `json:"checked"`
	Violations int64  `json:"violations"`
}

// Fsck checks I1 to I6 as far as a store can know them, without changing anything.
func Fsck(ctx context.Context, s Store) ([]Row, error) { return nil, errTODO }
