package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// The points and phases of an experiment that calibrates. A machine is not equally fast from minute
// to minute, so the load comes before, between and after the others.
const (
	warmPoint = "calibrate-warm" // executions of warm sandboxes, by how many run at a time
	coldPoint = "calibrate-cold" // each in a new sandbox
	loadPoint = "calibrate-load" // as the experiment calls; with a number after it
	warmup    = "warmup"
	alone     = "alone"
)

// together is the phase in which so many executions run at a time.
func together(n int) string { return fmt.Sprintf("together_%d", n) }

// CalibrationOf is the experiment that measures what simulations of exp take: the
// functions of its first point on the first worker, each as often as any other, one call after another,
// then as many at a time as the worker has cores, up to 16; then every call in a new
// sandbox; and before, between and after these the first point as it is, with other arrivals. Each of these takes so long.
func CalibrationOf(exp *spec.Experiment, each time.Duration) (*spec.Experiment, error) {
	from := exp.Points[0]
	if len(from.Workers) == 0 || len(from.Functions) == 0 || len(from.Loads) == 0 {
		return nil, errors.New("there is nothing to calibrate: the experiment needs a worker, a load and functions")
	}
	worker := from.Workers[0]
	load := from.Loads[0]
	load.Name, load.Target, load.Mix, load.OnSaturation, load.LagLimit = "calibrate", worker.Name, nil, "record", 0
	for _, f := range from.Functions {
		load.Mix = append(load.Mix, spec.Weight{Function: f.Name, Weight: 1 / float64(len(from.Functions))})
	}
	phase := func(name string, clients int, think, d time.Duration) spec.Phase {
		a := spec.Arrival{Model: "closed", Clients: clients}
		if think > 0 {
			a.Think = spec.Dist{Kind: "exponential", Mean: think}
		}
		return spec.Phase{Name: name, Duration: d, Record: name != warmup, Arrival: a}
	}
	warm, cold := from, from
	warm.ID, warm.Axes, warm.Balancer, warm.Workers = warmPoint, nil, nil, []spec.Worker{worker}
	cold.ID, cold.Axes, cold.Balancer, cold.Workers = coldPoint, nil, nil, []spec.Worker{worker}

	warmLoad := load
	warmLoad.Phases = []spec.Phase{phase(warmup, 1, 0, each/4), phase(alone, 1, 5*time.Millisecond, each)}
	for n := range coresOf(worker) {
		warmLoad.Phases = append(warmLoad.Phases, phase(together(n+1), n+1, 0, each/2))
	}
	warm.Loads = []spec.Load{warmLoad}
	warm.Workers[0].KeepAlive = spec.Named{Name: "lru"}

	coldLoad := load
	coldLoad.Phases = []spec.Phase{phase("cold", 1, 5*time.Millisecond, each)}
	cold.Loads = []spec.Load{coldLoad}
	cold.Workers[0].KeepAlive = spec.Named{Name: "ttl", Options: []byte(`{"idle":0}`)}

	own := func(n int) spec.Point {
		p := from
		p.ID, p.Axes, p.Loads = loadPoint+strconv.Itoa(n), nil, slices.Clone(from.Loads)
		for i := range p.Loads {
			shorten(&p.Loads[i], each)
		}
		return p
	}

	c := *exp
	c.Title, c.Repeat, c.Points, c.Budget = "Calibration of "+exp.Name, 1, []spec.Point{own(1), warm, own(2), cold, own(3)}, spec.Budget{}
	c.Seed = stream.Derive(exp.Seed, "calibrate")
	for _, i := range []int{1, 3} {
		c.Points[i].Functions = slices.Clone(from.Functions)
		for j := range c.Points[i].Functions {
			c.Points[i].Functions[j].Prewarm = 0
		}
	}
	return &c, nil
}

// shorten lets a load take no longer than so long, all of its phases alike, and accepts whatever
// becomes of it.
func shorten(l *spec.Load, most time.Duration) {
	var total time.Duration
	for _, p := range l.Phases {
		total += p.Duration
	}
	l.OnSaturation, l.LagLimit, l.Phases = "record", 0, slices.Clone(l.Phases)
	for i := range l.Phases {
		if p := &l.Phases[i]; total > most {
			p.Duration = time.Duration(float64(p.Duration) * (most.Seconds() / total.Seconds()))
		}
	}
}

// Calibrate makes the calibration of a run of CalibrationOf.
func Calibrate(run *result.Run) (*sim.Calibration, error) {
	if !slices.ContainsFunc(run.Experiment.Points, func(p spec.Point) bool { return p.ID == warmPoint }) {
		return nil, fmt.Errorf("run %s calibrates nothing", run.Manifest.RunID)
	}
	byPoint := map[string][]measure.Call{}
	for _, rep := range run.Repeats {
		calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("run %s did not finish: %s", run.Manifest.RunID, rep.Reason)
		}
		if err != nil {
			return nil, err
		}
		byPoint[rep.Point] = calls
	}
	point := run.Experiment.Points[0]
	worker := point.Workers[0]
	c := &sim.Calibration{Version: 1, Run: run.Manifest.RunID, Worker: worker.Name, Functions: map[string]sim.Measured{}}
	for _, facts := range run.Manifest.Hosts {
		c.Host = facts.CPUModel
	}
	warm, cold := byPoint[warmPoint], byPoint[coldPoint]
	own := crowdOf(worker, byPoint[loadPoint+"1"], byPoint[loadPoint+"2"], byPoint[loadPoint+"3"])
	mean := map[string]float64{} // of executions alone, ns
	for _, f := range point.Functions {
		var s samples
		for i := range warm {
			if one := &warm[i]; one.Function == f.Name && one.Phase == alone && one.ColdKind != "cold" && whole(one) {
				s.add(one)
			}
		}
		if len(s.exec)+len(s.gpuExec) == 0 {
			return nil, fmt.Errorf("function %s did not complete a call in a warm sandbox: calibrate for longer (--each)", f.Name)
		}
		for i := range cold {
			if one := &cold[i]; one.Function == f.Name && one.ColdKind == "cold" && whole(one) {
				start, _ := s.of(one)
				*start = append(*start, time.Duration(one.SandboxReady-one.Dequeued))
			}
		}
		if len(s.start)+len(s.gpuStart) == 0 {
			return nil, fmt.Errorf("function %s did not complete a call in a new sandbox: calibrate for longer (--each)", f.Name)
		}
		for _, took := range s.exec {
			mean[f.Name] += float64(took) / float64(len(s.exec))
		}
		c.Functions[f.Name] = s.measured()
	}
	c.Slowdown = own.fit(mean, slowdown(warm, own.cores))
	for name, alone := range c.Functions {
		c.Functions[name] = own.of(name, alone)
	}
	return c, nil
}

// coresOf is how many executions at a time a calibration knows of.
func coresOf(w spec.Worker) int { return max(1, min(16, int(w.MilliCPU/1000))) }

// whole reports whether a call completed and has all its phases.
func whole(c *measure.Call) bool { return c.Status == measure.OK && c.Exec() != measure.Missing }

// slowdown is how many times as long as alone executions took when n ran at a
// time: of the functions that ran in both phases, the sums of their mean times
// divided by each other, so that each weighs as its time does.
func slowdown(calls []measure.Call, cores int) []float64 {
	means := func(phase string) map[string]float64 {
		sum, n := map[string]float64{}, map[string]float64{}
		for i := range calls {
			if c := &calls[i]; c.Phase == phase && whole(c) {
				sum[c.Function] += float64(c.Exec())
				n[c.Function]++
			}
		}
		for f := range sum {
			sum[f] /= n[f]
		}
		return sum
	}
	base := means(together(1))
	curve := []float64{1}
	for n := 2; n <= cores; n++ {
		var with, without float64
		for f, mean := range means(together(n)) {
			if base[f] > 0 {
				with, without = with+mean, without+base[f]
			}
		}
		if without == 0 {
			break
		}
		curve = append(curve, max(1, with/without))
	}
	return curve
}
