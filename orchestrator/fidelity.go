package orchestrator

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Fidelity is how far a simulated load is from the live one at a point.
type Fidelity struct {
	Point   string         `json:"point"` // label
	Load    string         `json:"load"`
	Metrics []MetricError  `json:"metrics"`
	Latency Wasserstein    `json:"latency_distance"`
	Repeats FidelityCounts `json:"repeats"`
}

// FidelityCounts are the repeats of both sides.
type FidelityCounts struct {
	Simulated int `json:"simulated"`
	Live      int `json:"live"`
}

// MetricError is a metric on both sides: the means over repeats.
type MetricError struct {
	Metric    string  `json:"metric"` // "p50", "p90", "p99", "throughput" or "cold_ratio"
	Simulated float64 `json:"simulated"`
	Live      float64 `json:"live"` // ns, calls/s, or a share
	// Error is simulated/live - 1; for cold_ratio, which may be 0, it is simulated - live.
	Error float64 `json:"error"`
	// Low and High are the 95 % confidence interval of Error by bootstrap over repeats
	// (B. Efron, Bootstrap methods, 1979, doi:10.1214/aos/1176344552), null with fewer than three on a side.
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
}

// Wasserstein is the distance of order 1 between two distributions: the mean
// time by which one has to be moved to be the other (L. N. Vaserstein, 1969; for
// one dimension the area between the quantile functions, S. S. Vallender, 1974, doi:10.1137/1118101).
type Wasserstein struct {
	NS       float64 `json:"ns"`
	Relative float64 `json:"relative"` // to the live mean
}

// bootstraps is how often repeats are drawn again for a confidence interval.
const bootstraps = 2000

// Fidelities compares a simulated run to a live one, load by load at each point that both have.
func Fidelities(simulated, live *result.Run) ([]Fidelity, error) {
	if simulated.Manifest.Mode != result.Simulated || live.Manifest.Mode == result.Simulated {
		return nil, fmt.Errorf("want a simulated and a live run, got a %s and a %s one", simulated.Manifest.Mode, live.Manifest.Mode)
	}
	var all []Fidelity
	for i := range live.Experiment.Points {
		p := &live.Experiment.Points[i]
		j := slices.IndexFunc(simulated.Experiment.Points, func(q spec.Point) bool {
			return len(p.Axes) == 0 && len(q.Axes) == 0 || result.Label(&q) == result.Label(p)
		})
		if j < 0 {
			continue
		}
		for _, load := range p.Loads {
			a, err := sideOf(simulated, &simulated.Experiment.Points[j], load.Name)
			if err != nil {
				return nil, err
			}
			b, err := sideOf(live, p, load.Name)
			if err != nil {
				return nil, err
			}
			if len(a.metrics) > 0 && len(b.metrics) > 0 {
				all = append(all, compare(result.Label(p), load.Name, a, b))
			}
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the runs have no point and load in common that both measured")
	}
	return all, nil
}

// side is what one run measured of a load at a point.
type side struct {
	metrics []spec.Metrics // by repeat
	latency []int64        // of all repeats, in order
}

func sideOf(run *result.Run, p *spec.Point, load string) (s side, err error) {
	for _, rep := range run.Repeats {
		m, ok := rep.Metrics[load]
		if rep.Point != p.ID || !ok || m.Completed == 0 {
			continue
		}
		s.metrics = append(s.metrics, m.Metrics)
		calls, err := measure.ReadCalls(run.CallsPath(rep.Step))
		if errors.Is(err, fs.ErrNotExist) {
			return s, fmt.Errorf("run %s has no records of calls: simulate with --records all", run.Manifest.RunID)
		}
		if err != nil {
			return s, err
		}
		for i := range calls {
			if c := &calls[i]; c.Load == load && c.Record && c.Status == measure.OK {
				s.latency = append(s.latency, c.Latency())
			}
		}
	}
	slices.Sort(s.latency)
	return s, nil
}

// compared are the metrics that are compared, and how.
var compared = []struct {
	name string
	of   func(spec.Metrics) float64
	off  func(simulated, live float64) float64
}{
	{"p50", func(m spec.Metrics) float64 { return float64(m.Latency.P50) }, relative},
	{"p90", func(m spec.Metrics) float64 { return float64(m.Latency.P90) }, relative},
	{"p99", func(m spec.Metrics) float64 { return float64(m.Latency.P99) }, relative},
	{"throughput", func(m spec.Metrics) float64 { return m.ThroughputPerSecond }, relative},
	{"cold_ratio", func(m spec.Metrics) float64 { return float64(m.Cold) / float64(m.Completed) }, func(a, b float64) float64 { return a - b }},
}

func relative(simulated, live float64) float64 { return simulated/live - 1 }

func compare(point, load string, a, b side) Fidelity {
	f := Fidelity{Point: point, Load: load, Latency: distance(a.latency, b.latency), Repeats: FidelityCounts{len(a.metrics), len(b.metrics)}}
	for _, c := range compared {
		values := func(s side) (all []float64) {
			for _, m := range s.metrics {
				all = append(all, c.of(m))
			}
			return all
		}
		as, bs := values(a), values(b)
		e := MetricError{Metric: c.name, Simulated: mean(as), Live: mean(bs)}
		e.Error = c.off(e.Simulated, e.Live)
		if len(as) >= 3 && len(bs) >= 3 {
			rng := stream.New(0, "fidelity", point, load, c.name)
			again := func(of []float64) float64 {
				sum := 0.0
				for range of {
					sum += of[rng.IntN(len(of))]
				}
				return sum / float64(len(of))
			}
			errors := make([]float64, bootstraps)
			for i := range errors {
				errors[i] = c.off(again(as), again(bs))
			}
			slices.Sort(errors)
			e.Low, e.High = &errors[bootstraps*25/1000], &errors[bootstraps*975/1000]
		}
		f.Metrics = append(f.Metrics, e)
	}
	return f
}

func mean(of []float64) float64 {
	sum := 0.0
	for _, v := range of {
		sum += v
	}
	return sum / float64(len(of))
}

// distance is the Wasserstein distance of two sorted samples, neither of them empty.
func distance(a, b []int64) Wasserstein {
	var area, at float64
	for i, j := 0, 0; i < len(a) && j < len(b); {
		nextA, nextB := float64(i+1)/float64(len(a)), float64(j+1)/float64(len(b))
		next := min(nextA, nextB)
		area += (next - at) * math.Abs(float64(a[i]-b[j]))
		at = next
		if c := cmp.Compare(nextA, nextB); c <= 0 {
			i++
			if c == 0 {
				j++
			}
		} else {
			j++
		}
	}
	sum := 0.0
	for _, v := range b {
		sum += float64(v)
	}
	return Wasserstein{NS: area, Relative: area / (sum / float64(len(b)))}
}

// Limits are the largest errors that pass, as shares.
type Limits struct {
	P50, P90, P99, Throughput, Cold float64 // 0 is no limit
}

// Over says which errors of f are over the limits.
func (l Limits) Over(f Fidelity) (over []string) {
	limits := map[string]float64{"p50": l.P50, "p90": l.P90, "p99": l.P99, "throughput": l.Throughput, "cold_ratio": l.Cold}
	for _, m := range f.Metrics {
		if limit := limits[m.Metric]; limit > 0 && !(math.Abs(m.Error) <= limit) {
			over = append(over, fmt.Sprintf("%s at %s: the error of %s is %+.1f %%, over %g %%", f.Load, cmp.Or(f.Point, "the only point"), m.Metric, 100*m.Error, 100*limit))
		}
	}
	return over
}
