package orchestrator

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Standing is how a run stands, as its controller prints it, a line each time.
type Standing struct {
	Point   string          `json:"point,omitempty"`
	Step    int             `json:"step,omitempty"` // from 1
	Steps   int             `json:"steps,omitempty"`
	Repeat  int             `json:"repeat,omitempty"`
	Stage   Stage           `json:"stage"`
	Failed  int             `json:"failed,omitempty"`  // repeats until now
	Left    time.Duration   `json:"left_ns,omitempty"` // until the end, by the loads that are left and what repeats took beside theirs
	Load    json.RawMessage `json:"load,omitempty"`    // of Loading: the load generator's own progress
	Message string          `json:"message,omitempty"`
}

// meter follows what an execution tells.
type meter struct {
	exp      *spec.Experiment
	run      *result.Run
	last     Standing
	begun    time.Time // the current repeat
	length   time.Duration
	ended    int           // repeats, since this execution began
	overhead time.Duration // of these together, beside their loads
	later    time.Duration // loads of the steps after this one
	steps    int           // after this one
}

// read is how the run stands with what was told at a time.
func (m *meter) read(p Progress, now time.Time) Standing {
	s := &m.last
	s.Stage, s.Load, s.Message = p.Stage, p.Load, p.Message
	switch p.Stage {
	case Starting:
		s.Point, s.Step, s.Steps, s.Repeat = p.Point.ID, p.Step, p.Steps, p.Repeat
		m.begun, m.length, m.later, m.steps, s.Failed = now, plan.Length(p.Point), 0, 0, 0
		for _, rep := range m.run.Repeats {
			if rep.State == result.Failed {
				s.Failed++
			}
		}
		for _, left := range m.run.Left() {
			if slices.Index(m.run.Steps, left) >= p.Step {
				m.later += plan.Length(m.run.Point(left.Point)) + m.exp.Cooldown
				m.steps++
			}
		}
	case Ended:
		m.ended++
		m.overhead += max(0, now.Sub(m.begun)-m.length)
	}
	beside := m.overhead / time.Duration(max(1, m.ended))
	s.Left = max(0, m.length+beside-now.Sub(m.begun)) + m.later + beside*time.Duration(m.steps)
	return *s
}

// Conducted is the run that is executed on a host, with the daemon that does it and
// the lines that it has printed; ok is false where there is none.
func Conducted(d node.Description) (run, daemon string, lines int, ok bool) {
	for _, r := range d.Runs {
		for _, s := range r.Daemons {
			if s.Exit == nil && strings.HasPrefix(s.Name, conductPrefix) {
				return r.ID, s.Name, s.Lines, true
			}
		}
	}
	return "", "", 0, false
}

// Watch calls tell with how a run stands from a line of its conductor on, until that ends.
func Watch(ctx context.Context, on node.Host, run, daemon string, from int, tell func(Standing)) (node.Exit, error) {
	return on.Follow(ctx, run, daemon, max(1, from), func(text []byte) { // the first says that it is ready
		var s Standing
		if json.Unmarshal(text, &s) == nil {
			tell(s)
		}
	})
}
