package orchestrator

import (
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// What is left is the loads that are, with what repeats took beside theirs.
func TestMeter(t *testing.T) {
	exp := &spec.Experiment{Cooldown: time.Second, Repeat: 2, Points: []spec.Point{
		{ID: "a", Loads: []spec.Load{{Phases: []spec.Phase{{Duration: 10 * time.Second}}}}},
		{ID: "b", Loads: []spec.Load{{Phases: []spec.Phase{{Duration: 20 * time.Second}, {Duration: 10 * time.Second}}}}},
	}}
	steps := []result.Step{{Point: "a", Repeat: 1}, {Point: "b", Repeat: 1}, {Point: "a", Repeat: 2}, {Point: "b", Repeat: 2}}
	run := &result.Run{Experiment: exp, Steps: steps, Repeats: []result.Repeat{{Step: steps[3], State: result.Finished}}} // of an attempt before
	m := &meter{exp: exp, run: run}
	now := time.Unix(0, 0)
	told := func(after time.Duration, p Progress) Standing {
		now = now.Add(after)
		return m.read(p, now)
	}
	begins := func(step int) Progress {
		return Progress{Point: run.Point(steps[step-1].Point), Step: step, Steps: 4, Repeat: steps[step-1].Repeat, Stage: Starting}
	}
	if got, want := told(0, begins(1)).Left, 10*time.Second+31*time.Second+11*time.Second; got != want {
		t.Errorf("at the beginning %v are left, want %v: the last repeat has finished before", got, want)
	}
	if s := told(4*time.Second, Progress{Point: run.Point("a"), Repeat: 1, Stage: Loading, Load: []byte(`{}`)}); s.Left != 48*time.Second || s.Step != 1 || s.Point != "a" || string(s.Load) != "{}" {
		t.Errorf("in the middle of the first: %+v", s)
	}
	told(8*time.Second, Progress{Stage: Ended}) // two more than its load
	run.Repeats = append(run.Repeats, result.Repeat{Step: steps[0], State: result.Failed})
	if s := told(time.Second, begins(2)); s.Left != 32*time.Second+13*time.Second || s.Failed != 1 {
		t.Errorf("at the second: %+v", s)
	}
	if s := told(time.Hour, Progress{Stage: Loading}); s.Left != 13*time.Second {
		t.Errorf("late in the second, %v are left", s.Left)
	}
}
