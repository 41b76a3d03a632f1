package result

import (
	"encoding/json"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Data is the answer of run and simulate in JSON output. Its arrays and objects
// are never null; a quantile of nothing is.
type Data struct {
	RunID             string      `json:"run_id"`
	ResultsDir        string      `json:"results_dir"`
	Valid             bool        `json:"valid"`
	InvalidReasons    []string    `json:"invalid_reasons"`
	Assertions        Tally       `json:"assertions"`
	Points            []DataPoint `json:"points"`
	Outputs           []Output    `json:"outputs,omitempty"`
	DecisionLogSHA256 string      `json:"decision_log_sha256,omitempty"`
}

// Tally counts assertions. One of severity "warning" that does not hold is
// neither passed nor failed.
type Tally struct {
	Passed int `json:"passed"`
	Failed int `json:"failed"`
}

// DataPoint is a point with the repeats begun.
type DataPoint struct {
	ID      string                     `json:"id"`
	Axes    map[string]json.RawMessage `json:"axes"`
	Repeats []DataRepeat               `json:"repeats"`
}

// DataRepeat is a repeat with its loads by name.
type DataRepeat struct {
	Seed  uint64              `json:"seed"`
	Loads map[string]DataLoad `json:"loads"`
}

// DataLoad is what a load measured in its recorded phases.
type DataLoad struct {
	Offered             int64         `json:"offered"`
	Completed           int64         `json:"completed"`
	Failed              int64         `json:"failed"`
	Cold                int64         `json:"cold"`
	ThroughputPerSecond float64       `json:"throughput_per_s"`
	Latency             DataQuantiles `json:"latency_ns"`
	Overhead            DataQuantiles `json:"overhead_ns"`
	Lag                 DataLag       `json:"lag_ns"`
}

// DataQuantiles is nanoseconds, null when nothing was seen.
type DataQuantiles struct {
	P50  *time.Duration `json:"p50"`
	P90  *time.Duration `json:"p90"`
	P99  *time.Duration `json:"p99"`
	P999 *time.Duration `json:"p999"`
	Max  *time.Duration `json:"max"`
}

// DataLag is nanoseconds, null when nothing was sent.
type DataLag struct {
	P50 *time.Duration `json:"p50"`
	P99 *time.Duration `json:"p99"`
	Max *time.Duration `json:"max"`
}

// Document is the run as the data of JSON output.
func Document(r *Run) Data {
	m := &r.Manifest
	valid, reasons := r.Verdict()
	d := Data{
		RunID: m.RunID, ResultsDir: r.Dir, Valid: valid, InvalidReasons: append([]string{}, reasons...),
		Assertions: r.Tally(), Points: []DataPoint{}, Outputs: m.Outputs, DecisionLogSHA256: m.DecisionLogSHA256,
	}
	for _, p := range r.Experiment.Points {
		dp := DataPoint{ID: p.ID, Axes: map[string]json.RawMessage{}, Repeats: []DataRepeat{}}
		for _, a := range p.Axes {
			dp.Axes[a.Name] = a.Value
		}
		for _, rep := range r.Repeats {
			if rep.Point != p.ID {
				continue
			}
			dr := DataRepeat{Seed: rep.Seed, Loads: map[string]DataLoad{}}
			for name, load := range rep.Metrics {
				dr.Loads[name] = dataLoad(load.Metrics)
			}
			dp.Repeats = append(dp.Repeats, dr)
		}
		d.Points = append(d.Points, dp)
	}
	return d
}

// Tally counts the assertions by verdict.
func (r *Run) Tally() (t Tally) {
	for _, a := range r.Manifest.Assertions {
		switch {
		case a.Passed:
			t.Passed++
		case a.Severity != "warning":
			t.Failed++
		}
	}
	return t
}

func dataLoad(m spec.Metrics) DataLoad {
	lag := dataQuantiles(m.Lag)
	return DataLoad{
		Offered: m.Offered, Completed: m.Completed, Failed: m.Failed, Cold: m.Cold, ThroughputPerSecond: m.ThroughputPerSecond,
		Latency: dataQuantiles(m.Latency), Overhead: dataQuantiles(m.Overhead), Lag: DataLag{lag.P50, lag.P99, lag.Max},
	}
}

func dataQuantiles(q spec.Quantiles) DataQuantiles {
	if q.Count == 0 {
		return DataQuantiles{}
	}
	return DataQuantiles{&q.P50, &q.P90, &q.P99, &q.P999, &q.Max}
}
