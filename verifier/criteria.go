package verifier

import (
	"fmt"
	"time"

	"github.com/google/cel-go/cel"
)

// kst is Korean standard time; Korea has had no daylight saving since 1988.
var kst = time.FixedZone("KST", 9*60*60)

// compile type-checks every rule once: a rule that is not a boolean expression refuses the policy.
func (p *Policy) compile() error {
	env, err := cel.NewEnv(
		cel.Variable("claims", cel.MapType(cel.StringType, cel.MapType(cel.StringType, cel.DynType))),
		cel.Variable("params", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("today", cel.StringType),
	)
	if err != nil {
		return fmt.Errorf("verifier: open rule language: %w", err)
	}
	for _, c := range p.spec.Criteria {
		ast, issues := env.Compile(c.Rule)
		if issues != nil && issues.Err() != nil {
			return fmt.Errorf("verifier: policy %s: criterion %s: %w", p.spec.Name, c.Name, issues.Err())
		}
		if t := ast.OutputType(); t != cel.BoolType && t != cel.DynType {
			return fmt.Errorf("verifier: policy %s: criterion %s is not a condition", p.spec.Name, c.Name)
		}
		program, err := env.Program(ast, cel.CostLimit(maxRuleCost))
		if err != nil {
			return fmt.Errorf("verifier: policy %s: criterion %s: %w", p.spec.Name, c.Name, err)
		}
		p.programs = append(p.programs, program)
	}
	return nil
}

// criteria evaluates the rules in order; the first that is not true is the finding. A rule that cannot be evaluated
// (a claim is missing, cost exceeded) is not true.
func (p *Policy) criteria(claims map[string]map[string]any, now time.Time) *finding {
	if len(p.programs) == 0 {
		return nil
	}
	vars := map[string]any{"claims": claims, "params": p.spec.Params, "today": now.In(kst).Format(time.DateOnly)}
	for i, program := range p.programs {
		out, _, err := program.Eval(vars)
		if err == nil && out.Value() == true {
			continue
		}
		// CEL's error may quote a value: it is not kept.
		return &finding{reason: ReasonQuery, detail: p.spec.Criteria[i].Name}
	}
	return nil
}
