package sim

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
)

// AzureLike returns a point, and its model, of so many functions on so many
// workers of 16 cores, with a load like that of a public cloud for as long as it takes
// to make about this many calls; workers are behind a balancer of the policy ch_rlu where there are
// several.
//
// Durations are lognormal over functions, with -0.38 and 2.36 of the logarithm of
// seconds, and the busiest fifth of the functions has nearly all calls (M. Shahrad et al.,
// Serverless in the Wild, ATC 2020, sections 3.3 and 3.4); durations are cut at 10 s. Rates follow Zipf's law
// with 1.2, and together keep 70 % of the cores busy.
func AzureLike(functions, workers, calls int) (*spec.Point, Model) {
	const cores, busy, zipf = 16, 0.7, 1.2
	p := &spec.Point{ID: "azure"}
	for i := range workers {
		p.Workers = append(p.Workers, spec.Worker{
			Name: "w" + strconv.Itoa(i), MilliCPU: cores * 1000, Memory: 64 * spec.GiB,
			Queue: spec.Named{Name: "eedf"}, KeepAlive: spec.Named{Name: "lru"},
		})
	}
	target := p.Workers[0].Name
	if workers > 1 {
		target = "b"
		p.Balancer = &spec.Balancer{Name: target, Policy: spec.Named{Name: "ch_rlu"}}
		for _, w := range p.Workers {
			p.Balancer.Workers = append(p.Balancer.Workers, w.Name)
		}
	}
	overhead := spec.Dist{Kind: "uniform", Min: 30 * time.Microsecond, Max: 90 * time.Microsecond}
	draw := stream.New(1, "azure", "durations")
	m := Model{Functions: map[string]FunctionModel{}}
	var mix []spec.Weight
	var total, work float64 // of weights; seconds of a call of the mix, times total
	for i := range functions {
		name := fmt.Sprintf("f%03d", i)
		mean := min(10, math.Exp(-0.38+float64(2.36*draw.NormFloat64())))
		weight := math.Pow(float64(i+1), -zipf)
		total, work = total+weight, work+float64(weight*mean)
		p.Functions = append(p.Functions, spec.Function{Name: name, MilliCPU: 1000, Memory: 170 * spec.MiB, Timeout: time.Minute})
		m.Functions[name] = FunctionModel{
			Exec:  spec.Dist{Kind: "lognormal", Mean: time.Duration(mean * 1e9), CV: 0.5},
			Start: spec.Dist{Mean: 200 * time.Millisecond}, Overheads: Overheads{Request: overhead, Dispatch: overhead, Finish: overhead, Reply: overhead},
		}
		mix = append(mix, spec.Weight{Function: name, Weight: weight})
	}
	for i := range mix {
		mix[i].Weight /= total
	}
	rate := busy * cores * float64(workers) * total / work
	p.Loads = []spec.Load{{
		Name: "l", Target: target, Mix: mix, OnSaturation: "record", MeasureFrom: "intended",
		Phases: []spec.Phase{{
			Name: "main", Record: true, Duration: time.Duration(float64(calls) / rate * 1e9),
			Arrival: spec.Arrival{Model: "poisson", RatePerSecond: rate},
		}},
	}}
	return p, m
}
