package report

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// sandboxes is the table of how many executions had a sandbox that had served none before, cold or made ahead, and how
// many must have had one whatever the keep-alive policy: those of all repeats of a point together. It has no
// rows where no calls are kept, or their times are on several clocks.
func sandboxes(run *result.Run) (section, error) {
	t := Table{Columns: []Column{
		{Name: "keepalive"},
		{Name: "executions", Number: true},
		{Name: "in a new sandbox", Number: true},
		{Name: "offline bound", Number: true},
		{Name: "new", Unit: "%", Number: true},
		{Name: "bound", Unit: "%", Number: true},
	}}
	several := len(run.Experiment.Points) > 1
	if several {
		t.Columns = slices.Insert(t.Columns, 0, Column{Name: "point"})
	}
	for i := range run.Experiment.Points {
		p := &run.Experiment.Points[i]
		var all, fresh, bound int
		for _, rep := range run.Repeats {
			if rep.Point != p.ID {
				continue
			}
			calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return section{}, fmt.Errorf("report on run %s: %w", run.Manifest.RunID, err)
			}
			if len(p.Loads) > 1 && run.Manifest.Mode == result.Live || slices.ContainsFunc(calls, func(c measure.Call) bool { return c.Generator != calls[0].Generator }) {
				continue
			}
			n, made, least := made(p, calls)
			all, fresh, bound = all+n, fresh+made, bound+least
		}
		if all == 0 {
			continue
		}
		var policies []string
		for _, w := range p.Workers {
			if !slices.Contains(policies, w.KeepAlive.Name) {
				policies = append(policies, w.KeepAlive.Name)
			}
		}
		share := func(n int) string { return number(100 * float64(n) / float64(all)) }
		row := []string{strings.Join(policies, ", "), strconv.Itoa(all), strconv.Itoa(fresh), strconv.Itoa(bound), share(fresh), share(bound)}
		if several {
			row = slices.Insert(row, 0, result.Label(p))
		}
		t.Rows = append(t.Rows, row)
	}
	return section{"Sandboxes, beside the offline bound of keep-alive", t}, nil
}

// made is how many calls of a repeat executed, how many of them in a sandbox that had served none, and the lower bound of that
// over all workers.
func made(p *spec.Point, calls []measure.Call) (all, fresh, least int) {
	functions := map[string]int{}
	for _, w := range p.Workers {
		var uses []keepalive.Use
		for i := range calls {
			c := &calls[i]
			f := p.Function(c.Function)
			if c.Host != w.Name || c.ExecStart == measure.Missing || f == nil {
				continue
			}
			key := c.Function + " on " + c.Device
			if functions[key] == 0 {
				functions[key] = len(functions) + 1
			}
			u := keepalive.Use{Function: functions[key], Memory: int64(f.Memory), From: time.Duration(c.ExecStart), To: time.Duration(c.ExecStart)}
			if c.ExecEnd != measure.Missing {
				u.To, u.Again = time.Duration(c.ExecEnd), true
			}
			if uses = append(uses, u); c.ColdKind != "warm" {
				fresh++
			}
		}
		all += len(uses)
		least += keepalive.Offline(uses, int64(w.Memory))
	}
	return all, fresh, least
}
