package hcl_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// measured is a repeat with n calls of which some failed, and a p99 of ms milliseconds.
func measured(n, failed int64, ms int) spec.RepeatMetrics {
	d := time.Duration(ms) * time.Millisecond
	m := spec.Metrics{
		Offered: n, Completed: n - failed, Failed: failed, Cold: 1, Statuses: map[string]int64{"ok": n - failed, "timeout": failed},
		ThroughputPerSecond: float64(ms), Overhead: spec.Quantiles{Count: n - failed, P99: d}, Latency: spec.Quantiles{Count: n - failed, P99: 2 * d},
	}
	return spec.RepeatMetrics{"l": {
		Group:  spec.Group{Metrics: m, Functions: map[string]spec.Metrics{"f": m}},
		Phases: map[string]spec.Group{"main": {Metrics: m}},
	}}
}

func TestConclude(t *testing.T) {
	for name, tt := range map[string]struct {
		assert string
		want   []string
	}{
		"median of quantiles": {
			"that = load.l.overhead.p99 < seconds(\"25ms\")", []string{`0 true "" load.l.overhead.p99 = 0.02`},
		},
		"message is evaluated": {
			"that = load.l.overhead.p99 < 0.01\nerror = \"p99 was ${load.l.overhead.p99 * 1000} ms\"",
			[]string{`0 false "p99 was 20 ms" load.l.overhead.p99 = 0.02`},
		},
		"message is made up": {
			"that = load.l.failed == 0", []string{`0 false "it does not hold that load.l.failed == 0" load.l.failed = 3`},
		},
		"counts are summed, ratios are of the sums": {
			"that = load.l.errors.count == 3 && load.l.errors.ratio == 0.01", []string{`0 true "" load.l.errors.count = 3, load.l.errors.ratio = 0.01`},
		},
		"each repeat": {
			"each = \"repeat\"\nthat = load.l.overhead.p99 < seconds(\"25ms\")",
			[]string{
				`1 true "" load.l.overhead.p99 = 0.01`, `2 false "it does not hold that load.l.overhead.p99 < seconds(\"25ms\")" load.l.overhead.p99 = 0.09`,
				`3 true "" load.l.overhead.p99 = 0.02`,
			},
		},
		"per function, phase and status": {
			"that = load.l.latency[\"f\"].p99 == 0.04 && load.l.phase.main.offered == 300 && load.l.status.timeout == 3 && load.l.status.crashed == 0",
			[]string{`0 true "" load.l.latency["f"].p99 = 0.04, load.l.phase.main.offered = 300, load.l.status.timeout = 3, load.l.status.crashed = 0`},
		},
		"nothing measured fails": {
			"that = load.l.start.p99 < 1", []string{`0 false "nothing was measured: load.l.start.p99 has no value" load.l.start.p99 = null`},
		},
		"null may be asked for": {
			"that = load.l.start.p99 == null", []string{`0 true "" load.l.start.p99 = null`},
		},
		"other experiments": {"experiment = experiment.other\nthat = false", nil},
	} {
		t.Run(name, func(t *testing.T) {
			m, diags := load(t, minimal+"assert \"a\" {\n"+tt.assert+"\n}\n"+`
experiment "other" {
  title   = "t"
  cluster = cluster.c
  worker  = worker.w
  load    = load.l
  seed    = 1
}
`)
			if diags = all(m, diags); diags.HasErrors() {
				t.Fatal(render(t, m, diags))
			}
			exp, _ := m.Experiment("e", 0)
			repeats := []spec.RepeatMetrics{measured(100, 0, 10), measured(100, 3, 90), measured(100, 0, 20)}
			asserts, _, diags := m.Conclude(exp, spec.Run{}, map[string][]spec.RepeatMetrics{exp.Points[0].ID: repeats})
			if len(diags) > 0 {
				t.Fatal(render(t, m, diags))
			}
			var got []string
			for _, a := range asserts {
				got = append(got, fmt.Sprintf("%d %t %q %s", a.Repeat, a.Passed, a.Message, a.Values))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("assertions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConcludeWithoutResults(t *testing.T) {
	m, exp := experiment(t, minimal+"assert \"a\" {\n  that = load.l.errors.ratio == 0\n}\n")
	asserts, _, diags := m.Conclude(exp, spec.Run{}, nil)
	if len(diags) > 0 || len(asserts) != 1 || asserts[0].Passed {
		t.Errorf("got %+v, %v", asserts, diags)
	}
}

func TestOutputs(t *testing.T) {
	m, exp := experiment(t, edit(t, "seed    = 1", "seed    = 1\nsweep = sweep.s", "on = cluster.c.host.h", "on = cluster.c.host.h\nqueue = sweep.s.point.queue")+`
sweep "s" {
  axis "queue" {
    values = ["fcfs", "sjf"]
  }
}
output "p99" {
  value       = { queue = sweep.s.point.queue, ms = load.l.overhead.p99 * 1000 }
  description = "d"
}
output "secret" {
  value     = load.l.offered
  sensitive = true
}
`)
	results := map[string][]spec.RepeatMetrics{}
	for i, p := range exp.Points {
		results[p.ID] = []spec.RepeatMetrics{measured(10, 0, i+1)}
	}
	_, outputs, diags := m.Conclude(exp, spec.Run{}, results)
	if len(diags) > 0 {
		t.Fatal(render(t, m, diags))
	}
	var got []string
	for _, o := range outputs {
		got = append(got, fmt.Sprintf("%s %t %s", o.Name, o.Point != "", o.Value))
	}
	want := []string{`p99 true {"ms":1,"queue":"fcfs"}`, `secret true "(sensitive)"`, `p99 true {"ms":2,"queue":"sjf"}`, `secret true "(sensitive)"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
}
