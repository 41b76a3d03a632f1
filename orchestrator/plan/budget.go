package plan

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// CheckBudget refuses an experiment that would cost more than it may.
func CheckBudget(exp *spec.Experiment) error {
	cost := Estimate(exp)
	switch b := exp.Budget; {
	case b.Time > 0 && cost.Duration > b.Time:
		return fmt.Errorf("experiment %q takes %s, and its budget is %s: raise the budget, or lower repeat, the durations or the points",
			exp.Name, cost.Duration.Round(time.Second), b.Time)
	case b.Calls > 0 && cost.Calls > float64(b.Calls):
		return fmt.Errorf("experiment %q makes about %.0f calls, and its budget is %d: raise the budget, or lower repeat, the rates, the durations or the points",
			exp.Name, cost.Calls, b.Calls)
	}
	return nil
}
