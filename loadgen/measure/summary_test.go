package measure_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// oneSecond is a load of one recorded phase of a second.
func oneSecond() spec.Load {
	return spec.Load{
		Name: "l", MaxInFlight: 100, OnSaturation: "invalid", LagLimit: time.Millisecond, MeasureFrom: "intended",
		Phases: []spec.Phase{{Name: "main", Duration: time.Second, Record: true}},
	}
}

// every is n calls, evenly in a second, that take 10 ms each.
func every(n int64) (calls []measure.Call) {
	for i := range n {
		calls = append(calls, done(i, i*int64(time.Second)/n, ms/10, 6*ms))
	}
	return calls
}

func TestSummarize(t *testing.T) {
	calls := every(10)
	cold := &calls[0]
	cold.ColdKind = "cold"
	for _, at := range []*int64{&cold.SandboxReady, &cold.ExecStart, &cold.ExecEnd, &cold.Replied, &cold.Received} {
		*at += 200 * ms
	}
	calls[1].Status, calls[1].ExecStart, calls[1].ExecEnd = measure.Refused, no, no
	calls[3].ExecStart, calls[3].ExecEnd = no, no // completed, but nobody knows how long it ran
	calls = append(calls, blank(10, 950*ms))

	m := measure.Summarize(calls, oneSecond()).Metrics(time.Second)
	each := time.Duration(ms)
	exec := spec.Quantiles{Count: 8, Mean: 6 * each, P50: 6 * each, P90: 6 * each, P95: 6 * each, P99: 6 * each, P999: 6 * each, Max: 6 * each}
	start := spec.Quantiles{Count: 1, Mean: 200 * each, P50: 200 * each, P90: 200 * each, P95: 200 * each, P99: 200 * each, P999: 200 * each, Max: 200 * each}
	if m.Offered != 11 || m.Completed != 9 || m.Failed != 2 || m.Cold != 1 || m.Duration != time.Second || m.ThroughputPerSecond != 9 {
		t.Errorf("counts %+v", m.Metrics)
	}
	if diff := cmp.Diff(map[string]int64{"ok": 9, "refused": 1, "dropped": 1}, m.Statuses); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct{ got, want spec.Quantiles }{"exec": {m.Exec, exec}, "start": {m.Start, start}} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if m.Latency.Count != 9 || m.Latency.P50 != 10100*time.Microsecond || m.Latency.Max != 210100*time.Microsecond {
		t.Errorf("latency %+v", m.Latency)
	}
	if m.Overhead.Count != 8 || m.Overhead.P50 != 4100*time.Microsecond {
		t.Errorf("overhead %+v, want 8: the one without execution time is left out", m.Overhead)
	}
	if m.Lag.Count != 10 || m.Lag.Max != 100*time.Microsecond {
		t.Errorf("lag %+v, want 10: the dropped call has none", m.Lag)
	}

	load := oneSecond()
	load.MeasureFrom = "actual"
	if m := measure.Summarize(calls, load).Metrics(time.Second); m.Latency.P50 != 10*each || m.Overhead.P50 != 4*each {
		t.Errorf("measured from the actual time: latency p50 %v, overhead p50 %v", m.Latency.P50, m.Overhead.P50)
	}
}

func TestSummarizePhasesAndFunctions(t *testing.T) {
	load := oneSecond()
	load.Phases = []spec.Phase{
		{Name: "warmup", Duration: time.Second},
		{Name: "low", Duration: 2 * time.Second, Record: true},
		{Name: "high", Duration: time.Second, Record: true},
	}
	var calls []measure.Call
	for i, phase := range []string{"warmup", "low", "low", "high", "high", "high"} {
		c := done(int64(i), int64(i)*int64(time.Second)/2, 0, 6*ms)
		c.Phase, c.Record, c.Function = phase, phase != "warmup", []string{"f", "g"}[i%2]
		calls = append(calls, c)
	}
	m := measure.Summarize(calls, load).Metrics(4 * time.Second)
	got := map[string]string{"all": fmt.Sprint(m.Offered, m.Duration)}
	for name, p := range m.Phases {
		got[name] = fmt.Sprint(p.Offered, p.Duration)
	}
	for name, f := range m.Functions {
		got["function "+name] = fmt.Sprint(f.Offered, f.Duration, f.Latency.Count)
	}
	want := map[string]string{
		"all": "5 3s", "warmup": "1 1s", "low": "2 2s", "high": "3 1s",
		"function f": "2 3s 2", "function g": "3 3s 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestThroughputOfASystemThatFallsBehind(t *testing.T) {
	calls := every(100)
	for i := range calls {
		calls[i].Received += calls[i].Intended // 50 a second, so the last ends at 2 s
	}
	m := measure.Summarize(calls, oneSecond()).Metrics(time.Second)
	if m.ThroughputPerSecond < 49 || m.ThroughputPerSecond > 51 {
		t.Errorf("throughput %g/s over %v, want 50/s", m.ThroughputPerSecond, m.Duration)
	}
}

func TestSummaryConserves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		calls := rapid.SliceOfN(rapid.Custom(drawCall), 0, 40).Draw(rt, "calls")
		m := measure.Summarize(calls, oneSecond()).Metrics(time.Second)
		check := func(name string, m spec.Metrics) {
			var sum int64
			for _, n := range m.Statuses {
				sum += n
			}
			if m.Completed+m.Failed != m.Offered || sum != m.Offered || m.Completed != m.Statuses[measure.OK] {
				rt.Fatalf("%s: %+v", name, m)
			}
			for _, q := range []spec.Quantiles{m.Latency, m.Overhead, m.Exec, m.Queue, m.Start} {
				if q.Count > m.Completed || q.P50 > q.P90 || q.P90 > q.P95 || q.P95 > q.P99 || q.P99 > q.P999 || q.P999 > q.Max {
					rt.Fatalf("%s: %+v", name, q)
				}
			}
		}
		check("all", m.Metrics)
		var offered int64
		for name, f := range m.Functions {
			check(name, f)
			offered += f.Offered
		}
		if offered != m.Offered || m.Offered != int64(len(calls)) {
			rt.Fatalf("functions have %d calls, all %d, given %d", offered, m.Offered, len(calls))
		}
	})
}

func TestValidate(t *testing.T) {
	late := func(by int64) []measure.Call {
		calls := every(1000)
		for i := range calls {
			calls[i].Sent += by
			calls[i].Received += by
		}
		return calls
	}
	dropped := every(1000)
	for i := range dropped {
		if i >= 998 {
			dropped[i] = blank(int64(i), dropped[i].Intended)
		}
	}
	slow := every(1000)
	for i := range slow {
		slow[i].Sent += slow[i].Intended / 20
	}
	warmup := every(3)
	for i := range warmup {
		warmup[i].Record = false
	}
	finished := measure.Ending{Stopped: time.Second}
	for name, tt := range map[string]struct {
		calls  []measure.Call
		change func(*spec.Load)
		end    measure.Ending
		want   []string // the beginnings of messages, with ids
	}{
		"valid":            {every(1000), nil, finished, nil},
		"lag at its limit": {late(9 * ms / 10), nil, finished, nil},
		"lag over its limit": {late(ms), nil, finished, []string{
			"lag: load l: lag p99 is 1.1ms, over lag_limit = 1ms",
		}},
		"no lag limit": {late(5 * ms), func(l *spec.Load) { l.LagLimit = 0 }, finished, nil},
		"dropped": {dropped, nil, finished, []string{
			"dropped: load l: 2 of 1000 calls were not sent because max_in_flight = 100 was reached: lower the rate, or raise max_in_flight",
		}},
		"saturation is the point": {dropped, func(l *spec.Load) { l.OnSaturation = "record" }, finished, nil},
		"aborted": {dropped, func(l *spec.Load) { l.OnSaturation = "abort" }, measure.Ending{Stopped: 999 * time.Millisecond}, []string{
			"dropped: load l: 2 of 1000 calls were not sent because max_in_flight = 100 was reached, and the load was aborted after 999ms of 1s",
		}},
		"generator too slow": {slow, nil, finished, []string{
			"rate: load l: sent 953.2 calls/s of the 1000.0/s offered, 4.7 % less where 1 % is allowed", "lag: load l: lag p99 is 49.5",
		}},
		"only warm-up": {warmup, nil, finished, []string{"no_calls: load l: no call was recorded"}},
		"nothing":      {nil, nil, finished, []string{"no_calls: load l: no call was recorded"}},
		"interrupted": {every(1000)[:400], nil, measure.Ending{Stopped: 400 * time.Millisecond, Interrupted: true}, []string{
			"interrupted: load l: interrupted after 400ms of 1s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			load := oneSecond()
			if tt.change != nil {
				tt.change(&load)
			}
			var got []string
			for _, r := range measure.Summarize(tt.calls, load).Validate(tt.end) {
				got = append(got, r.ID+": "+r.Message)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got  %s\nwant %s", got[i], tt.want[i])
				}
			}
		})
	}
}

// A Summary that keeps few times, or is made in any order, tells the same counts and means as
// one that keeps all, and quantiles within 0.1 % of it.
func TestSummaryOfManyCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		calls := rapid.SliceOfN(rapid.Custom(drawCall), 0, 200).Draw(rt, "calls")
		for i := range calls {
			calls[i].Function = rapid.SampledFrom([]string{"f", "g"}).Draw(rt, "function")
		}
		few := measure.NewSummary(oneSecond(), rapid.IntRange(0, 60).Draw(rt, "keep"))
		for _, i := range rapid.Permutation(indices(len(calls))).Draw(rt, "order") {
			few.Add(&calls[i])
		}
		near := cmp.FilterPath(func(p cmp.Path) bool {
			switch p.Last().String() {
			case ".P50", ".P90", ".P95", ".P99", ".P999":
				return true
			}
			return false
		}, cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() <= max(a, b)/1000 }))
		if diff := cmp.Diff(measure.Summarize(calls, oneSecond()).Metrics(time.Second), few.Metrics(time.Second), near); diff != "" {
			rt.Fatal(diff)
		}
		all := measure.Summarize(calls, oneSecond()).Validate(measure.Ending{Stopped: time.Second})
		if got := few.Validate(measure.Ending{Stopped: time.Second}); len(got) != len(all) {
			rt.Fatalf("reasons %v and %v", got, all)
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// Memory ends to grow once the times have gone into buckets.
func TestSummaryIsBounded(t *testing.T) {
	s := measure.NewSummary(oneSecond(), 10)
	calls := every(1000)
	for i := range calls {
		s.Add(&calls[i])
	}
	if n := testing.AllocsPerRun(10, func() {
		for i := range calls {
			s.Add(&calls[i])
		}
	}); n != 0 {
		t.Errorf("%v allocations for 1000 more calls", n)
	}
}
