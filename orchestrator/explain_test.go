package orchestrator

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// Calls on two workers: who ran, who went before, who after, and who came later and went first.
func TestExplain(t *testing.T) {
	call := func(tid, host string, queued, dequeued, replied int64) measure.Call {
		return measure.Call{
			TID: tid, Host: host, Function: "f", Status: measure.OK, Intended: queued, Sent: queued, Accepted: queued, Queued: queued, Dequeued: dequeued,
			SandboxReady: dequeued, ExecStart: dequeued, ExecEnd: replied, Replied: replied, Received: replied,
		}
	}
	calls := []measure.Call{
		call("ended", "w", 0, 0, 5), call("runs", "w", 1, 2, 20), call("ahead", "w", 3, 20, 30), call("overtaken", "w", 4, 60, 70),
		call("it", "w", 10, 40, 50), call("overtook", "w", 12, 30, 40), call("later", "w", 13, 50, 60),
		call("elsewhere", "v", 2, 2, 30), call("elsewhere ended", "v", 2, 2, 9),
		{TID: "refused", Host: "w", Accepted: 8, Queued: measure.Missing, Dequeued: measure.Missing, Replied: 9},
	}
	p := &spec.Point{
		ID: "p", Workers: []spec.Worker{{Name: "w", Queue: spec.Named{Name: "eedf", Options: []byte(`{"weight":2}`)}, KeepAlive: spec.Named{Name: "lru"}}, {Name: "v"}},
		Balancer: &spec.Balancer{Policy: spec.Named{Name: "ch_rlu"}, Workers: []string{"v", "w"}},
	}
	e := explain(p, 1, calls, calls[4])
	tids := func(of []Neighbour) (all []string) {
		for _, n := range of {
			all = append(all, n.TID)
		}
		return all
	}
	got := map[string][]string{"running": tids(e.Running), "ahead": tids(e.Ahead), "overtaken": tids(e.Overtaken), "overtook": tids(e.Overtook)}
	want := map[string][]string{"running": {"runs"}, "ahead": {"ahead"}, "overtaken": {"overtaken"}, "overtook": {"overtook"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Candidate{{"v", 1, false}, {"w", 3, true}}, e.Candidates); diff != "" {
		t.Error(diff)
	}
	if e.Queue != `eedf {"weight":2}` || e.Ahead[0].Waited != 7 || e.Overtook[0].Waited != -2 || e.Overtook[0].Exec != 10 {
		t.Errorf("%+v", e)
	}
	if e := explain(p, 1, calls, calls[9]); len(e.Running)+len(e.Ahead) > 0 {
		t.Errorf("it never was in the queue: %+v", e)
	}
}
