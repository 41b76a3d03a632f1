package spec

import (
	"encoding/json"
	"time"
)

// Quantiles summarises durations. Count 0 means none was seen: the other
// fields are then meaningless, and it is null in JSON.
type Quantiles struct {
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P95   time.Duration `json:"p95"`
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p999"`
	Max   time.Duration `json:"max"`
}

// MarshalJSON is null when nothing was seen.
func (q Quantiles) MarshalJSON() ([]byte, error) {
	if q.Count == 0 {
		return []byte("null"), nil
	}
	type plain Quantiles // without this method
	return json.Marshal(plain(q))
}

// Metrics is what one repeat of a load measured over some of its recorded calls.
type Metrics struct {
	Offered             int64            `json:"offered"`   // calls the schedule intended
	Completed           int64            `json:"completed"` // with status ok
	Failed              int64            `json:"failed"`    // every other status, dropped included
	Cold                int64            `json:"cold"`      // completed calls that waited for a sandbox made on demand
	Statuses            map[string]int64 `json:"statuses"`  // by status, those that occurred
	Duration            time.Duration    `json:"duration_ns"`
	ThroughputPerSecond float64          `json:"throughput_per_s"` // completed over duration
	Latency             Quantiles        `json:"latency_ns"`       // received - intended (or - sent, by measure_from), of completed calls
	Overhead            Quantiles        `json:"overhead_ns"`      // latency - execution, of completed calls
	Exec                Quantiles        `json:"exec_ns"`          // execution, of completed calls
	Queue               Quantiles        `json:"queue_ns"`         // queued to dequeued, of completed calls
	Start               Quantiles        `json:"start_ns"`         // dequeued to sandbox ready, of cold completed calls
	Lag                 Quantiles        `json:"lag_ns"`           // sent - intended, of all calls sent
}

// Group is metrics together and by function.
type Group struct {
	Metrics
	Functions map[string]Metrics `json:"functions,omitempty"`
}

// LoadMetrics is what one repeat of one load measured: all recorded phases
// together, and each phase, recorded or not.
type LoadMetrics struct {
	Group
	Phases map[string]Group `json:"phases,omitempty"`
}

// RepeatMetrics is the loads of one repeat by name.
type RepeatMetrics map[string]LoadMetrics

// Run is a run as assertions may name it.
type Run struct {
	ID      string
	Seed    uint64
	Started string // RFC 3339
}

// Assertion is an assert block with its verdict.
type Assertion struct {
	Name     string `json:"name"`
	Severity string `json:"severity"` // "error" or "warning"
	Point    string `json:"point,omitempty"`
	Repeat   int    `json:"repeat,omitempty"` // from 1, 0 when over all repeats
	Passed   bool   `json:"passed"`
	Message  string `json:"message,omitempty"` // of the error attribute, when it did not pass
	Source   string `json:"source"`            // the expression as written
	Values   string `json:"values,omitempty"`  // what the references in it evaluated to
}

// Output is an output block with its value.
type Output struct {
	Name        string `json:"name"`
	Point       string `json:"point,omitempty"`
	Description string `json:"description,omitempty"`
	Value       []byte `json:"-"` // JSON, or "(sensitive)"
}

// Facts is what a host is: read at plan, recorded in the manifest.
type Facts struct {
	Hostname      string  `json:"hostname"`
	BootID        string  `json:"boot_id"`
	Arch          string  `json:"arch"`
	OS            string  `json:"os"` // PRETTY_NAME
	Kernel        string  `json:"kernel"`
	Cmdline       string  `json:"cmdline"`
	Virt          string  `json:"virt,omitempty"`
	CPUModel      string  `json:"cpu_model"`
	Sockets       int     `json:"sockets"`
	PhysicalCores int     `json:"physical_cores"`
	LogicalCores  int     `json:"logical_cores"`
	NUMANodes     int     `json:"numa_nodes"`
	SMT           string  `json:"smt,omitempty"`      // "on", "off", "notsupported" ...
	Governor      string  `json:"governor,omitempty"` // "" when the host has no cpufreq
	Turbo         *bool   `json:"turbo"`              // null when unknown
	MemoryTotal   Bytes   `json:"memory_total"`
	SwapTotal     Bytes   `json:"swap_total"`
	THP           string  `json:"thp,omitempty"`
	Cgroup        string  `json:"cgroup"` // "v1", "v2", "hybrid" or "none"
	Load1         float64 `json:"load1"`
	UID           int     `json:"uid"`
	GoVersion     string  `json:"go_version"`
	// ClockOffset is how far the host's clock was ahead of that of whoever asked, nil
	// where nobody compared them. It is not what the host is.
	ClockOffset *time.Duration `json:"-"`
}
