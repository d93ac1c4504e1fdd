package evidence

import (
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

// Attach adds the status part to an Evidence that has none: what a wallet staples, cut out of the whole list by itself.
// Nothing is verified; Check and Facts do. Errors: registry.ErrMalformed, registry.ErrLimit.
func Attach(evidence []byte, s Status) ([]byte, error) {
	p, err := parse(evidence)
	if err != nil {
		return nil, err
	}
	if p.status != nil {
		return nil, fmt.Errorf("%w: a status is attached already", registry.ErrMalformed)
	}
	r := reader{b: evidence}
	n := r.array(5, 6)
	if r.err != nil {
		return nil, r.err
	}
	b := append(putArray(make([]byte, 0, len(evidence)+2048), 7), r.b...)
	if n == 5 { // no points: an empty part stands for them
		b = putArray(putArray(putArray(b, 2), 0), 0)
	}
	if b = s.put(b); len(b) > MaxSize {
		return nil, registry.ErrLimit
	}
	return b, nil
}
