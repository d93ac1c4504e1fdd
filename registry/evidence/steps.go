package evidence

import (
	"errors"

	"github.com/dojang-id/dojang/registry"
)

// A Step is one part of Check. What follows a step that failed was not looked at.
type Step string

// The steps, in their order.
const (
	StepSize  Step = "size"  // within the limit
	StepShape Step = "shape" // the one permitted encoding; noticed wherever bytes are read
	StepChain Step = "chain" // the trusted chain
	StepTime  Step = "time"  // headers in order, none from the future
	StepState Step = "state" // the leaves hash to the header's app hash
	StepDates Step = "dates" // the points stand in the header tree
	StepAge   Step = "age"   // inside the trusting period
	StepSet   Step = "set"   // known validators
	StepVotes Step = "votes" // more than two thirds of their power, each vote valid
)

// Steps are all of them, in order.
func Steps() []Step {
	return []Step{StepSize, StepShape, StepChain, StepTime, StepState, StepDates, StepAge, StepSet, StepVotes}
}

// FailedStep is the step at which Check refused; "" for an error that is not of Check.
func FailedStep(err error) Step {
	for _, row := range []struct {
		err  error
		step Step
	}{
		{registry.ErrLimit, StepSize}, {registry.ErrMalformed, StepShape}, {errChain, StepChain}, {errHeader, StepTime}, {ErrClock, StepTime},
		{errState, StepState}, {errPoints, StepDates}, {ErrTooOld, StepAge}, {errSet, StepSet}, {errVotes, StepVotes},
	} {
		if errors.Is(err, row.err) {
			return row.step
		}
	}
	return ""
}
