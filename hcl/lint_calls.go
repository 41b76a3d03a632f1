package hcl

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// quantile is one that results have. Of so many calls, one is expected beyond it.
type quantile struct {
	statistic string
	name      string
	calls     int
}

// quantiles that rest on few observations, from the highest. The median of a
// few calls is one of them and needs no tail: it is only offered instead.
var quantiles = []quantile{{"p999", "p99.9", 1000}, {"p99", "p99", 100}, {"p95", "p95", 20}, {"p90", "p90", 10}, {"p50", "p50", 2}}

// beyond is how many observations a quantile needs beyond it.
const beyond = 10

// quantileOf is the quantile that a reading is, if it is one that needs a tail.
func quantileOf(r reading) (q quantile, higher bool) {
	i := slices.IndexFunc(quantiles, func(q quantile) bool { return q.statistic == r.statistic })
	if i < 0 || quantiles[i].statistic == "p50" {
		return q, false
	}
	return quantiles[i], true
}

// nearly makes up for durations that are rounded: what is so close is enough.
const nearly = 1 + 1e-6

// ofEachCall are the times that every completed call has.
var ofEachCall = []string{"latency", "overhead", "exec", "queue", "lag"}

// quantiles warns of those that too few calls of one repeat stand for.
func (l *linter) quantiles(s *scene) {
	for _, load := range s.loads {
		if !l.first(load.Block) || !load.complete {
			continue
		}
		for _, r := range s.study.readings[load.name] {
			q, ok := quantileOf(r)
			if !ok || r.vague || !slices.Contains(ofEachCall, r.kind) {
				continue
			}
			calls, known := expected(load, r)
			if need := beyond * q.calls; known && calls*nearly < float64(need) {
				l.warn(s, rare(load, r, q, calls), load.instance)
			}
		}
	}
}

// rare is the warning about a quantile of so many calls.
func rare(load scheduled, r reading, q quantile, calls float64) diag.Problem {
	n, of := int(calls*nearly), ""
	if r.function != "" {
		of = " of " + r.function
	}
	need := beyond * q.calls
	help := fmt.Sprintf("%s (%s calls%s put about %d beyond %s)", longer(load, r, float64(need)/calls), grouped(need), of, beyond, q.name)
	for _, lower := range quantiles {
		if lower.calls < q.calls && n >= beyond*lower.calls {
			help = fmt.Sprintf("use %s, or %s", lower.name, help)
			break
		}
	}
	rests := "rests on less than one observation"
	if n >= q.calls {
		rests = "rests on about " + counted(min(int(math.Round(calls/float64(q.calls))), beyond-1), "observation")
	}
	return diag.Problem{
		Summary: fmt.Sprintf("%s of about %s calls%s cannot be estimated", q.name, grouped(rounded(n)), of), At: &r.at,
		Label: rests, Notes: []diag.Note{diag.Help("%s", help)},
	}
}

// longer says how to get so many times the calls that a reading counts.
func longer(load scheduled, r reading, times float64) string {
	var total time.Duration
	var last spec.Phase
	n := 0
	for _, p := range load.spec.Phases {
		if counts(p, r) {
			total, last = total+p.Duration, p
			n++
		}
	}
	seconds := total.Seconds() * times
	if seconds > maxSeconds { // no call of the function at all, or next to none
		return "call it more often"
	}
	d := span(lasting(seconds))
	switch {
	case last.Arrival.Trace != nil:
		return fmt.Sprintf("replay %s or more of such a trace", d)
	case n > 1:
		return fmt.Sprintf("raise the duration of its phases to %s or more together", d)
	case last.Name == mainName:
		return fmt.Sprintf("raise duration to %s or more", d)
	}
	return fmt.Sprintf("raise duration of phase %q to %s or more", last.Name, d)
}

// maxSeconds is the longest duration that is proposed: 30 days.
const maxSeconds = 30 * 24 * 3600

// lasting is a duration in full minutes, or seconds where it is short, rounded up.
func lasting(seconds float64) time.Duration {
	unit := time.Minute
	if seconds <= 60 {
		unit = time.Second
	}
	d := time.Duration(seconds * float64(time.Second))
	return (d + unit - time.Millisecond).Truncate(unit) // an estimate: less than a millisecond over is nothing
}

// span writes a duration without the parts that are 0: 4m, 2h47m.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// counts reports whether the calls of a phase are among those of a reading.
func counts(p spec.Phase, r reading) bool {
	if r.phase != "" {
		return p.Name == r.phase
	}
	return p.Record
}

// expected is how many calls of one repeat a reading counts, on average: rate
// times duration of its phases, and the share of its function. It is not known
// of closed loops, of one function of a trace, and where something is unknown.
func expected(load scheduled, r reading) (calls float64, known bool) {
	for _, p := range load.spec.Phases {
		if !counts(p, r) {
			continue
		}
		mean, _ := arrival.Rates(p.Arrival)
		share, ok := shareOf(load.spec, p, r.function)
		if mean <= 0 || p.Duration <= 0 || !ok {
			return 0, false
		}
		calls += mean * p.Duration.Seconds() * share
		known = true
	}
	return calls, known
}

// shareOf is the part of a phase's calls that go to a function; to all of them
// when it is "".
func shareOf(load spec.Load, p spec.Phase, function string) (share float64, known bool) {
	if function == "" {
		return 1, true
	}
	if p.Arrival.Trace != nil {
		return 0, false
	}
	for _, w := range mixOf(load, p) {
		if w.Function == function {
			share = w.Weight
		}
	}
	return share, true
}

// mixOf is what a phase calls: its own mix, or that of its load.
func mixOf(load spec.Load, p spec.Phase) []spec.Weight {
	if len(p.Mix) > 0 {
		return p.Mix
	}
	return load.Mix
}

// grouped writes a number with its digits in threes: 10 000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// rounded leaves the first three digits of n and makes the rest 0.
func rounded(n int) int {
	unit := 1
	for n/unit >= 1000 {
		unit *= 10
	}
	return n / unit * unit
}

// counted is a number with what it is of: 1 observation, 3 observations.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}
