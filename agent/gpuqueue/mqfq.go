package gpuqueue

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/queue"
)

// MQFQ is multi-queue fair queueing: each function is a flow whose items have tags
//
//	S = max(V, F of the flow's last)    F = S + c/w
//
// with c the predicted execution, w the weight, and V the virtual time, the least start tag that waits. A flow whose first
// start tag is more than Overrun after V is throttled. Of the others any may be chosen: those whose
// sandboxes are on the device, that is the sticky part, or by another rule of Choose. While two functions wait, what each
// was given by its weight differs by at most 2·(Overrun + c/w) with the larger c/w, for their start tags
// never differ by more than half of that (M. Hedayati et al., Multi-queue fair queueing, ATC 2019, section 3).
//
// A flow of which nothing waits or runs stays active for a time TTL, in which its sandbox is likely to be used again.
//
// Other than in Ilúvatar (its gpu_mqfq.rs): `finish` and `select_*` prefer the least finish tag and not the
// greatest, as its own prediction assumes; what `flows` is a fraction of is counted when it is asked for; the
// mean time that a flow is active is (n·mean + t)/(n + 1) and does not grow without bound; a throttled flow
// whose last item was taken ends as an active one does; each item that starts ends once in the count of those
// in flight; nothing is started, and then put back, for want of cores; the regressions are of the wait rather
// than of a response that has the execution counted twice, and keep sums and no history.
type MQFQ struct {
	Overrun      time.Duration      `hcl:"overrun,optional" json:"overrun" doc:"virtual time by which a function may be ahead of the one that is furthest behind"`
	Service      time.Duration      `hcl:"service,optional" json:"service,omitempty" doc:"what each item costs; 0s: its predicted execution"`
	TTL          time.Duration      `hcl:"ttl,optional" json:"ttl" doc:"how long a function of which nothing waits or runs stays active"`
	TTLIntervals float64            `hcl:"ttl_intervals,optional" json:"ttl_intervals,omitempty" doc:"the same in mean times between two calls of the function; 0: ttl"`
	Weights      map[string]float64 `hcl:"weights,optional" json:"weights,omitempty" doc:"share of each function, by its name; 1 where it has none"`
	Choose       string             `hcl:"choose,optional" json:"choose" doc:"which active function: warm, sticky, longest, wait, random, finish, or select_rand, select_out, select_service, select_len, select_out_len"`
	Flows        float64            `hcl:"flows,optional" json:"flows,omitempty" doc:"of select_*, how many of the least finish tags are chosen from, up to 1 a share of the active; 0: as many as run at a time"`
	Estimate     string             `hcl:"estimate,optional" json:"estimate" doc:"how a wait is predicted: replay, sum, flow, load, regression, function_regression or fallback_regression"`
	Correct      bool               `hcl:"correct,optional" json:"correct,omitempty" doc:"add to a predicted wait by how much those of the function were too short"`
}

var mqfqDefaults = MQFQ{Overrun: 10 * time.Second, TTL: 2 * time.Second, Choose: "warm", Estimate: "replay"}

var (
	chooses   = []string{"warm", "sticky", "longest", "wait", "random", "finish", "select_rand", "select_out", "select_service", "select_len", "select_out_len"}
	estimates = []string{"replay", "sum", "flow", "load", "regression", "function_regression", "fallback_regression"}
)

func (p MQFQ) check() error {
	switch {
	case p.Overrun <= 0:
		return fmt.Errorf("overrun is %v, want a positive duration", p.Overrun)
	case p.Service < 0 || p.TTL < 0:
		return fmt.Errorf("service is %v and ttl %v, want 0s or more", p.Service, p.TTL)
	case !(p.TTLIntervals >= 0 && p.TTLIntervals <= 1e6):
		return fmt.Errorf("ttl_intervals is %g, want 0 to 1e6", p.TTLIntervals)
	case !(p.Flows >= 0 && p.Flows <= 1e6):
		return fmt.Errorf("flows is %g, want 0 to 1e6", p.Flows)
	case !slices.Contains(chooses, p.Choose):
		return fmt.Errorf("choose is %q, want one of %q", p.Choose, chooses)
	case !slices.Contains(estimates, p.Estimate):
		return fmt.Errorf("estimate is %q, want one of %q", p.Estimate, estimates)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Weights)) {
		if w := p.Weights[name]; !(w > 0 && w <= 1e6) {
			return fmt.Errorf("the weight of %s is %g, want a positive number up to 1e6", name, w)
		}
	}
	return nil
}

// New returns a queue in which nobody has been served.
func (p MQFQ) New(tokens int, random *rand.Rand) Queue {
	return &mqfq{MQFQ: p, tokens: tokens, random: random, all: newRegression()}
}

// newRegression is of waits by the load, in ns, that items found.
func newRegression() estimate.Estimator { return estimate.Regression{Memory: 0.99}.New() }

type mqfq struct {
	MQFQ
	tokens   int
	random   *rand.Rand
	flows    []*flow // by function - 1, nil where never seen
	now      time.Duration
	len      int
	work     time.Duration // predicted, of what waits
	last     int           // function that was chosen last
	inFlight time.Duration // predicted time of what runs
	all      estimate.Estimator
}

type state int

const (
	inactive state = iota
	active
	throttled
)

type flow struct {
	items         []tagged
	start, finish time.Duration
	inFlight      int
	state         state
	served        time.Duration // when something last was taken or ended
	since         time.Duration // it is active, or throttled
	interval      time.Duration
	periods       float64
	meanActive    float64 // ns
	waits         estimate.Estimator
	short         estimate.Estimator // by how much predictions were too short
}

type tagged struct {
	item          queue.Item
	start, finish time.Duration
	load          time.Duration // when it came
	predicted     time.Duration // wait
}

func (q *mqfq) cost(it queue.Item) time.Duration {
	switch {
	case q.Service > 0:
		return q.Service
	case it.Known && it.Exec > 0:
		return it.Exec
	default:
		return max(1, q.Overrun/10)
	}
}

func (q *mqfq) charge(it queue.Item) time.Duration {
	weight := 1.0
	if w, ok := q.Weights[it.Name]; ok {
		weight = w
	}
	return max(1, time.Duration(float64(q.cost(it))/weight))
}

func (q *mqfq) Push(now time.Duration, it queue.Item) {
	for len(q.flows) < it.Function {
		q.flows = append(q.flows, nil)
	}
	f := q.flows[it.Function-1]
	if f == nil {
		f = &flow{waits: newRegression(), short: estimate.EWMA{Weight: 0.1}.New()}
		q.flows[it.Function-1] = f
	}
	t := tagged{item: it, load: q.work + q.inFlight}
	if q.Correct {
		t.predicted = q.Wait(now, it)
	}
	t.start = max(q.virtual(), f.finish)
	t.finish = t.start + q.charge(it)
	f.finish = t.finish
	f.interval = it.Interval
	f.items = append(f.items, t)
	q.len++
	q.work += q.cost(it)
	if len(f.items) > 1 {
		return
	}
	f.start = t.start
	if f.state == inactive {
		f.since, f.state = now, active
	}
}

// virtual is the least start tag that waits, the last there was where none does.
func (q *mqfq) virtual() time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, f := range q.flows {
		if f != nil && len(f.items) > 0 {
			least = min(least, f.start)
		}
	}
	if least < math.MaxInt64 {
		q.now = least
	}
	return q.now
}

// refresh brings the states up to date.
func (q *mqfq) refresh(now time.Duration) {
	v := q.virtual()
	for _, f := range q.flows {
		switch {
		case f == nil:
		case len(f.items) == 0:
			q.grace(now, f)
		case f.start-v > q.Overrun:
			f.state = throttled
		default:
			f.state = active
		}
	}
}

// grace ends the activity of a flow that had nothing to do for long enough.
func (q *mqfq) grace(now time.Duration, f *flow) {
	ttl := q.TTL
	if q.TTLIntervals > 0 && f.interval > 0 {
		ttl = time.Duration(q.TTLIntervals * float64(f.interval))
	}
	if len(f.items)+f.inFlight > 0 || f.state == inactive || now-f.served < ttl {
		return
	}
	f.state = inactive
	f.meanActive = (f.periods*f.meanActive + float64(now-f.since)) / (f.periods + 1)
	f.periods++
}

// choosable are the functions that may be chosen, of which the least start tag always is one.
func (q *mqfq) choosable() (all []int) {
	for i, f := range q.flows {
		if f != nil && f.state == active && len(f.items) > 0 {
			all = append(all, i+1)
		}
	}
	return all
}

func (q *mqfq) Choose(now time.Duration, warm func(function int) bool) (function int, ok bool) {
	q.refresh(now)
	all := q.choosable()
	if len(all) == 0 {
		return 0, false
	}
	q.last = q.pick(all, warm)
	return q.last, true
}

func (q *mqfq) pick(all []int, warm func(function int) bool) int {
	of := func(function int) *flow { return q.flows[function-1] }
	start := func(function int) time.Duration { return of(function).start }
	switch q.MQFQ.Choose {
	case "warm":
		if held := slices.DeleteFunc(slices.Clone(all), func(function int) bool { return !warm(function) }); len(held) > 0 {
			all = held
		}
		return least(all, start)
	case "sticky":
		if slices.Contains(all, q.last) {
			return q.last
		}
		return least(all, start)
	case "longest":
		return least(all, func(function int) int { return -len(of(function).items) })
	case "wait":
		return least(all, func(function int) time.Duration { return of(function).start - of(function).finish })
	case "random":
		return all[q.random.IntN(len(all))]
	case "finish":
		return least(all, func(function int) time.Duration { return of(function).finish })
	}
	few := slices.SortedStableFunc(slices.Values(all), func(a, b int) int { return cmp.Compare(of(a).finish, of(b).finish) })
	few = few[:min(len(few), q.few())]
	switch q.MQFQ.Choose {
	case "select_rand":
		return few[q.random.IntN(len(few))]
	case "select_out":
		return least(few, func(function int) int { return of(function).inFlight })
	case "select_service":
		return least(few, func(function int) time.Duration { return of(function).served })
	case "select_len":
		return least(few, func(function int) int { return -len(of(function).items) })
	default: // select_out_len
		slices.SortStableFunc(few, func(a, b int) int { return len(of(b).items) - len(of(a).items) })
		return least(few, func(function int) int { return of(function).inFlight })
	}
}

// few is from how many select_* chooses.
func (q *mqfq) few() int {
	n := q.Flows
	if n > 0 && n <= 1 {
		actives := 0
		for _, f := range q.flows {
			if f != nil && f.state == active {
				actives++
			}
		}
		n *= float64(actives)
	}
	return max(q.tokens, int(math.Ceil(n)))
}

// least is the first of all with the least key.
func least[K cmp.Ordered](all []int, key func(int) K) int {
	return slices.MinFunc(all, func(a, b int) int { return cmp.Compare(key(a), key(b)) })
}

func (q *mqfq) Take(now time.Duration, function int, dst []queue.Item) []queue.Item {
	f := q.flows[function-1]
	t := f.items[0]
	f.items = append(f.items[:0], f.items[1:]...)
	q.len--
	q.work -= q.cost(t.item)
	f.inFlight++
	q.inFlight += q.cost(t.item)
	f.served = now
	f.next()
	wait := now - t.item.Arrived
	q.all.Add(int(t.load), wait)
	f.waits.Add(int(t.load), wait)
	f.short.Add(0, wait-t.predicted)
	q.refresh(now)
	return append(dst, t.item)
}

// next moves the start of a flow to its first item.
func (f *flow) next() {
	f.start = f.finish
	if len(f.items) > 0 {
		f.start = f.items[0].start
	}
}

// Remove gives back what the item was charged: those behind it move up.
func (q *mqfq) Remove(it queue.Item) {
	f := q.flows[it.Function-1]
	at := slices.IndexFunc(f.items, func(t tagged) bool { return t.item.Seq == it.Seq })
	charged := f.items[at].finish - f.items[at].start
	f.items = append(f.items[:at], f.items[at+1:]...)
	for i := at; i < len(f.items); i++ {
		f.items[i].start -= charged
		f.items[i].finish -= charged
	}
	f.finish -= charged
	q.len--
	q.work -= q.cost(it)
	f.next()
}

func (q *mqfq) Done(now time.Duration, it queue.Item) {
	f := q.flows[it.Function-1]
	f.inFlight--
	q.inFlight -= q.cost(it)
	f.served = now
	q.grace(now, f)
}

func (q *mqfq) Len() int { return q.len }

func (q *mqfq) Work() time.Duration { return q.work }

// Warm is the chance that a call comes while the flow is active: 1 − exp(−t/i) with t the mean time that it was, and i the
// mean time between calls, where they come as a Poisson process.
func (q *mqfq) Warm(function int, interval time.Duration) float64 {
	if function > len(q.flows) || q.flows[function-1] == nil || interval <= 0 {
		return 0
	}
	return 1 - math.Exp(-q.flows[function-1].meanActive/float64(interval))
}

func (q *mqfq) Wait(now time.Duration, it queue.Item) time.Duration {
	q.refresh(now)
	var own *flow
	if it.Function <= len(q.flows) {
		own = q.flows[it.Function-1]
	}
	d := time.Duration(q.tokens)
	var wait time.Duration
	regress := func(e estimate.Estimator) bool {
		at, ok := e.At(int(q.work + q.inFlight))
		wait = at
		return ok
	}
	switch q.Estimate {
	case "sum":
		wait = q.work / d
	case "flow":
		wait = q.ofFlow(own) / d
	case "load":
		wait = 2 * (q.work + q.inFlight)
	case "regression":
		regress(q.all)
	case "function_regression":
		if own != nil {
			regress(own.waits)
		}
	case "fallback_regression":
		if own == nil || !regress(own.waits) {
			regress(q.all)
		}
	default:
		wait = q.replay(it) / d
	}
	if q.Correct && own != nil && q.len > 0 {
		more, _ := own.short.At(0)
		wait += more
	}
	return max(0, wait)
}

// ofFlow is the work before an item of a flow: that of its own flow, and of all that are active where it is throttled.
func (q *mqfq) ofFlow(own *flow) (sum time.Duration) {
	if own == nil || own.state == inactive {
		return 0
	}
	for _, f := range q.flows {
		if f == own || f != nil && own.state == throttled && f.state == active {
			for _, t := range f.items {
				sum += q.cost(t.item)
			}
		}
	}
	return sum
}

// replay serves a copy of the flows, least finish tag first, until the item would be.
func (q *mqfq) replay(it queue.Item) (sum time.Duration) {
	type copied struct {
		start, finish time.Duration
		len           int
	}
	v := q.virtual()
	flows := make([]copied, max(len(q.flows), it.Function))
	for i, f := range q.flows {
		if f != nil {
			flows[i] = copied{f.start, f.finish, len(f.items)}
		}
	}
	own := &flows[it.Function-1]
	if own.len == 0 {
		own.start = max(v, own.finish)
		own.finish = own.start
	}
	own.len++
	own.finish += q.charge(it)
	for {
		v, next := time.Duration(math.MaxInt64), (*copied)(nil)
		for i := range flows {
			if flows[i].len > 0 {
				v = min(v, flows[i].start)
			}
		}
		for i := range flows {
			if f := &flows[i]; f.len > 0 && f.start-v <= q.Overrun && (next == nil || f.finish < next.finish) {
				next = f
			}
		}
		if next == own && own.len == 1 {
			return sum
		}
		took := (next.finish - next.start) / time.Duration(next.len)
		sum += took
		next.start += took
		next.len--
	}
}
