package hcl

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// coordinated warns of assertions on a latency quantile of a closed loop.
func (l *linter) coordinated(s *scene) {
	for _, load := range s.loads {
		if !l.first(load.Block) {
			continue
		}
		for _, r := range s.study.readings[load.name] {
			name := r.statistic
			if q, higher := quantileOf(r); higher {
				name = q.name
			} else if name != "p50" && name != "max" {
				continue
			}
			if !r.site.asserts() || r.kind != "latency" {
				continue
			}
			if slices.ContainsFunc(load.spec.Phases, func(p spec.Phase) bool { return counts(p, r) && !p.Arrival.Open() }) {
				l.warn(s, diag.Problem{
					Summary: fmt.Sprintf("%s is a closed loop: its %s leaves out the calls that had to wait", load.Scope.Owner, name), At: &r.at,
					Related: []diag.Related{{At: load.Range, Label: "its clients wait for replies"}},
					Notes:   []diag.Note{diag.Help(`send on a schedule, with arrival "poisson" or "constant", or assert throughput`)},
				}, load.instance)
			}
		}
	}
}

// timesOfWork are the times that cold starts and empty caches lengthen.
var timesOfWork = []string{"latency", "overhead", "exec", "queue"}

// noWarmup warns of loads whose times are asserted from the first call on.
func (l *linter) noWarmup(s *scene) {
	for _, load := range s.loads {
		if !l.first(load.Block) {
			continue
		}
		for _, r := range s.study.readings[load.name] {
			if !r.site.asserts() || !slices.Contains(timesOfWork, r.kind) {
				continue
			}
			if warm, known := warmed(load, r); known && warm == 0 {
				l.warn(s, diag.Problem{
					Summary: load.Scope.Owner + " has no warm-up, and its times are asserted", At: &load.Range,
					Related: []diag.Related{{At: r.at, Label: "the first calls are in here"}},
					Notes:   []diag.Note{diag.Help(`write warmup = "30s", or begin with a phase that has record = false`)},
				}, load.instance)
				break
			}
		}
	}
}

// shortWarmup warns of cold starts that are counted before a sandbox can expire.
func (l *linter) shortWarmup(s *scene) {
	if len(s.made.Workers) == 0 {
		return
	}
	for _, load := range s.loads {
		if !l.first([2]any{load.Block, &s.made.Workers[0]}) {
			continue
		}
		i := slices.IndexFunc(s.study.readings[load.name], func(r reading) bool { return r.site.asserts() && r.kind == "cold" })
		if i < 0 {
			continue
		}
		r := s.study.readings[load.name][i]
		warm, known := warmed(load, r)
		for j, w := range s.made.Workers {
			idle, expires := idleTime(w)
			if !known || !expires || warm >= idle {
				continue
			}
			worker := s.workerBlocks()[j]
			at := load.Range
			if load.Attrs[warmup].Given {
				at = load.Attrs[warmup].Range
			}
			l.warn(s, diag.Problem{
				Summary: fmt.Sprintf("%s warms up for %s, and idle sandboxes live for %s", load.Scope.Owner, span(warm), span(idle)), At: &at,
				Related: []diag.Related{{At: r.at, Label: "cold starts are asserted here"}, {At: worker.Range, Label: "the keep-alive is that of this worker"}},
				Notes:   []diag.Note{diag.Help("write warmup = %q or more, or a shorter keepalive", span(idle))},
			}, load.instance, worker)
			break
		}
	}
}

// idleTime is how long a worker keeps an idle sandbox, where its policy has such
// a time and it is known.
func idleTime(w spec.Worker) (d time.Duration, ok bool) {
	var options struct {
		Idle *time.Duration `json:"idle"`
	}
	if err := json.Unmarshal(w.KeepAlive.Options, &options); err != nil || options.Idle == nil {
		return 0, false
	}
	return *options.Idle, true
}

// warmed is how long a load runs before the first call that a reading counts.
func warmed(load scheduled, r reading) (d time.Duration, known bool) {
	if load.Unknown(warmup) || slices.ContainsFunc(load.All("phase"), func(p *decode.Block) bool { return p.Unknown("record") }) {
		return 0, false
	}
	for _, p := range load.spec.Phases {
		if counts(p, r) {
			return d, true
		}
		if p.Duration <= 0 {
			return 0, false
		}
		d += p.Duration
	}
	return 0, false
}

// traceCut warns of loads that end before the trace they replay.
func (l *linter) traceCut(s *scene) {
	for _, load := range s.loads {
		if !l.first(load.Block) || len(load.traces) != 1 {
			continue
		}
		t := load.traces[0]
		length, at := lengthOf(t)
		played, known := replayed(load)
		if !known || length-played <= length/1000 { // a rounded duration is not cut
			continue
		}
		place := load.Range
		if load.Attrs["duration"].Given {
			place = load.Attrs["duration"].Range
		}
		l.warn(s, diag.Problem{
			Summary: fmt.Sprintf("%s replays %s of %s, which is %s long", load.Scope.Owner, span(played), t.in.Scope.Owner, span(length)), At: &place,
			Related: []diag.Related{{At: at, Label: "the trace is declared here"}},
			Notes:   []diag.Note{diag.Help("write duration = %s.duration, divided by speed, or raise speed", t.in.id)},
		}, load.instance, t.in)
	}
}

// lengthOf is how long a trace is, and where it says so; 0 when that is not known.
func lengthOf(t tracing) (time.Duration, hcl.Range) {
	if w := t.in.Attrs["window"]; w.Given {
		if times, _ := w.Go.([]string); len(times) == 2 {
			return clock(times[1]) - clock(times[0]), w.Range
		}
		return 0, w.Range
	}
	if t.spec == nil {
		return 0, t.in.Range
	}
	return t.spec.Duration, t.in.Range
}

// clock is a time of the day, "10:30", from midnight; 0 for anything else.
func clock(text string) time.Duration {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
}

// replayed is how much of its only trace a load plays, in time of the trace.
func replayed(load scheduled) (d time.Duration, known bool) {
	if load.Unknown(warmup) || load.Unknown(cooldown) {
		return 0, false
	}
	for _, p := range load.spec.Phases {
		if p.Arrival.Model != "trace" {
			continue
		}
		if p.Duration <= 0 || p.Arrival.Speed <= 0 {
			return 0, false
		}
		d += time.Duration(float64(p.Duration) * p.Arrival.Speed)
	}
	return d, true
}

// unhurried is how long a call is taken to be in flight where nothing limits it.
const unhurried = time.Second

// lowCap warns of caps that a load may reach: the calls in flight are its rate
// times the time that one of them may take.
func (l *linter) lowCap(s *scene) {
	for _, load := range s.loads {
		axes := around([]*instance{load.instance}, load.called)
		if !l.first([2]any{load.Block, s.point.key(axes)}) || !load.complete || load.spec.MaxInFlight == 0 || load.Unknown("timeout") {
			continue
		}
		most := 0.0
		for _, p := range load.spec.Phases {
			if _, peak := arrival.Rates(p.Arrival); p.Arrival.Trace == nil {
				most = max(most, peak*inFlight(load, p).Seconds())
			}
		}
		if most <= float64(load.spec.MaxInFlight) {
			continue
		}
		at := load.Range
		if load.Attrs["max_in_flight"].Given {
			at = load.Attrs["max_in_flight"].Range
		}
		l.warn(s, diag.Problem{
			Summary: fmt.Sprintf("about %s calls of %s may be in flight, and its cap is %s", grouped(rounded(int(most))), load.Scope.Owner, grouped(load.spec.MaxInFlight)), At: &at,
			Notes: []diag.Note{diag.Help("raise max_in_flight, or shorten the timeout of its functions")},
		}, append(load.called, load.instance)...)
	}
}

// inFlight is the mean time that a call of a phase may take: the timeout of its
// function where one is given, and that of the load.
func inFlight(load scheduled, p spec.Phase) time.Duration {
	mean := 0.0
	for _, w := range mixOf(load.spec, p) {
		d := unhurried
		i := slices.IndexFunc(load.called, func(f *instance) bool { return f.name == w.Function })
		if f := load.called[i]; f.Attrs["timeout"].Given {
			d = decode.Get[time.Duration](f.Block, "timeout")
		}
		if load.spec.Timeout > 0 {
			d = min(d, load.spec.Timeout)
		}
		mean += w.Weight * float64(d)
	}
	return time.Duration(mean)
}

// saturated warns of loads that go on when their generator cannot keep up.
func (l *linter) saturated(s *scene) {
	for _, load := range s.loads {
		if !l.first(load.Block) || load.spec.OnSaturation != "record" {
			continue
		}
		at := load.Attrs["on_saturation"].Range
		l.warn(s, diag.Problem{
			Summary: load.Scope.Owner + " counts also when its generator is saturated", At: &at,
			Notes: []diag.Note{diag.Help(`write "invalid", the default, which marks such a run`)},
		}, load.instance)
	}
}
