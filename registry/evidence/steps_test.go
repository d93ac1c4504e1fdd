package evidence_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Check's refusals name their step.
func TestFailedStep(t *testing.T) {
	c, _, q := world(t, 4)
	raw := c.Evidence(q)
	for _, r := range []struct {
		name  string
		raw   []byte
		trust func(*evidence.Trust)
		late  time.Duration
		want  evidence.Step
	}{
		{"too large", make([]byte, evidence.MaxSize+1), nil, 0, evidence.StepSize},
		{"a byte more", append(slices.Clone(raw), 0), nil, 0, evidence.StepShape},
		{"another chain", raw, func(tr *evidence.Trust) { tr.ChainID = "other" }, 0, evidence.StepChain},
		{"from the future", raw, nil, -time.Hour, evidence.StepTime},
		{"out of order", raw, func(tr *evidence.Trust) { tr.Height = 1 << 40 }, 0, evidence.StepTime},
		{"too old", raw, nil, 31 * 24 * time.Hour, evidence.StepAge},
		{"unknown validators", raw, func(tr *evidence.Trust) { tr.Validators = tr.Validators[:1] }, 0, evidence.StepSet},
	} {
		t.Run(r.name, func(t *testing.T) {
			trust := c.Trust()
			if r.trust != nil {
				r.trust(&trust)
			}
			_, err := evidence.Check(r.raw, trust, c.Now().Add(r.late))
			if got := evidence.FailedStep(err); got != r.want || !slices.Contains(evidence.Steps(), got) {
				t.Errorf("%v: step %q, want %q", err, got, r.want)
			}
		})
	}
	for _, err := range []error{nil, errors.New("x"), registry.ErrUntrusted} {
		if got := evidence.FailedStep(err); got != "" {
			t.Errorf("%v: step %q", err, got)
		}
	}
	if evidence.FailedStep(fmt.Errorf("while reading: %w", registry.ErrMalformed)) != evidence.StepShape {
		t.Error("a wrapped error lost its step")
	}
}
