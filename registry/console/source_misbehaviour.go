package console

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/dojang-id/dojang/registry"
)

const misbehaviourPrefix = "gov/misbehaviour/"

// Misbehaviours implements Council. Whoever is let in again and signs twice again is listed again.
func (s *ChainSource) Misbehaviours(context.Context) ([]Misbehaviour, error) {
	var out []Misbehaviour
	err := s.each(misbehaviourPrefix, strings.TrimSuffix(misbehaviourPrefix, "/")+"0", func(key string, value []byte) (bool, error) {
		name, _, _ := strings.Cut(strings.TrimPrefix(key, misbehaviourPrefix), "/")
		fact, leaf, err := decodeLeaf[registry.MisbehaviourFact](value)
		if err != nil {
			return false, err
		}
		m := Misbehaviour{Key: name, Operator: fact.Operator, Height: fact.Height, Power: fact.Power, Left: fact.Left, At: Moment{Height: leaf.Since}}
		if raw, err := hex.DecodeString(name); err == nil && len(raw) == 32 && registry.MisbehaviourFamily([32]byte(raw)).Has([]byte(key)) {
			out = append(out, m)
		}
		return len(out) < maxWalk, nil
	})
	slices.SortStableFunc(out, func(a, b Misbehaviour) int { return int(b.At.Height) - int(a.At.Height) })
	for i := range out {
		out[i].At = s.moment(out[i].At.Height)
	}
	return out, err
}
