package client

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

// parts has several generators make a load together, from start on, and merges what they measured.
func parts(t *testing.T, whole Job, n int, start time.Duration) (Outcome, []measure.Call) {
	t.Helper()
	var generators errgroup.Group
	zero, folders := Outcome{}, []string{}
	for i := range n {
		part := whole
		part.Host, part.Dir, part.Part = fmt.Sprintf("g%d", i), t.TempDir(), Part{i, n}
		folders, zero.Generators = append(folders, part.Dir), append(zero.Generators, Generator{Host: part.Host})
		generators.Go(func() error {
			r, err := Prepare(t.Context(), part)
			if err == nil {
				_, err = r.Run(t.Context(), start, nil)
			}
			return err
		})
	}
	if err := generators.Wait(); err != nil {
		t.Fatal(err)
	}
	o, calls, err := Merge(whole.Point.Loads[0], zero, folders)
	if err != nil {
		t.Fatal(err)
	}
	return o, calls
}

// scheduled is what of a call the schedule says.
type scheduled struct {
	Seq, Intended        int64
	Phase, Function, TID string
}

func schedule(calls []measure.Call) (all []scheduled) {
	for _, c := range calls {
		all = append(all, scheduled{c.Seq, c.Intended, c.Phase, c.Function, c.TID})
	}
	return all
}

// What several generators send together is, call for call, what one sends.
func TestPartsAreTheWhole(t *testing.T) {
	f := newTarget(t)
	load := constant(150, 200*time.Millisecond, "hello", "raises", "slow")
	poisson := load.Phases[0]
	poisson.Name, poisson.Arrival.Model, poisson.Record = "warmup", "poisson", false
	ramp := load.Phases[0]
	ramp.Name, ramp.Arrival = "ramp", spec.Arrival{Model: "ramp", FromPerSecond: 10, ToPerSecond: 400}
	load.Phases = []spec.Phase{poisson, load.Phases[0], ramp}
	j := job(t, f.address, load)
	_, one := run(t, t.Context(), j)
	o, several := parts(t, j, 3, mono.Now()+200*time.Millisecond)
	if diff := gocmp.Diff(schedule(one), schedule(several)); diff != "" {
		t.Errorf("one generator and three:\n%s", diff)
	}
	for _, g := range o.Generators {
		n := 0
		for _, c := range several {
			if c.Generator == g.Host {
				n++
			}
		}
		if n == 0 || n != g.Calls || n > len(several)/3+1 {
			t.Errorf("%s made %d calls of %d, and says %d", g.Host, n, len(several), g.Calls)
		}
	}
	if o.Metrics.Offered == 0 || o.Stopped != 600*time.Millisecond || o.Interrupted || o.Late > 0 || len(o.Reasons) > 0 {
		t.Errorf("outcome %+v", o)
	}
}

// The clients of a closed loop are shared out, and each does what it would anyway.
func TestPartsOfAClosedLoop(t *testing.T) {
	f := newTarget(t)
	load := constant(1, 200*time.Millisecond, "never")
	load.Timeout = 400 * time.Millisecond // each client makes one call
	load.Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 5, Think: spec.Dist{Kind: "uniform", Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}}
	j := job(t, f.address, load)
	first := func(calls []measure.Call) (at []int64) {
		for _, c := range calls {
			at = append(at, c.Intended)
		}
		slices.SortFunc(at, cmp.Compare[int64])
		return at
	}
	_, one := run(t, t.Context(), j)
	_, several := parts(t, j, 3, mono.Now()+200*time.Millisecond)
	if diff := gocmp.Diff(first(one), first(several)); diff != "" || len(one) != 5 {
		t.Errorf("one generator and three:\n%s", diff)
	}
}

// Who begins after the agreed time makes the numbers invalid.
func TestLatePartIsTold(t *testing.T) {
	f := newTarget(t)
	o, _ := parts(t, job(t, f.address, constant(100, 200*time.Millisecond, "hello")), 2, mono.Now()-100*time.Millisecond)
	late := 0
	for _, r := range o.Reasons {
		if r.ID == "late" && strings.Contains(r.Message, "host g") {
			late++
		}
	}
	if late != 2 || o.Late < 100*time.Millisecond {
		t.Errorf("late by %v: %+v", o.Late, o.Reasons)
	}
}

// The parts together may have as much in flight as the whole, and each some.
func TestCap(t *testing.T) {
	for _, limit := range []int{3, 10, 1000} {
		sum := 0
		for i := range 3 {
			sum += Part{i, 3}.cap(limit)
		}
		if sum != limit {
			t.Errorf("of %d, the parts may have %d", limit, sum)
		}
	}
	if got := (Part{2, 3}).cap(1); got != 1 {
		t.Errorf("of 1, a part may have %d", got)
	}
	if got := (Part{}).cap(7); got != 7 {
		t.Errorf("of 7, the only one may have %d", got)
	}
}

// A part that gave up is why the others were told to stop: nobody interrupted the load.
func TestMergeOfAnAbortedLoad(t *testing.T) {
	load := constant(100, time.Second, "hello")
	load.OnSaturation = "abort"
	merge := func(endings ...measure.Ending) Outcome {
		t.Helper()
		var folders []string
		var zero Outcome
		for _, e := range endings {
			folders, zero.Generators = append(folders, t.TempDir()), append(zero.Generators, Generator{})
			if err := Write(folders[len(folders)-1], []Outcome{{Ending: e}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		o, _, err := Merge(load, zero, folders)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	gaveUp, stopped := measure.Ending{Stopped: 100 * time.Millisecond}, measure.Ending{Stopped: 120 * time.Millisecond, Interrupted: true}
	if o := merge(gaveUp, stopped); o.Interrupted || o.Stopped != gaveUp.Stopped {
		t.Errorf("one gave up: %+v", o.Ending)
	}
	if o := merge(stopped, stopped); !o.Interrupted {
		t.Errorf("all were interrupted: %+v", o.Ending)
	}
}
