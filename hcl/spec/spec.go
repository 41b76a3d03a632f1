// Package spec is the experiment as plain data: what the language produces,
// what the manifest records, what travels to agents, balancers and load
// generators. It imports no HCL. Every field has a JSON name, durations are
// nanoseconds, sizes are bytes, and times are offsets unless said otherwise.
package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Bytes is a size in bytes.
type Bytes int64

// Sizes in powers of two.
const (
	KiB Bytes = 1 << (10 * (iota + 1))
	MiB
	GiB
)

// Named is a policy chosen by name, with its options, defaults filled in.
type Named struct {
	Name    string          `json:"name"`
	Options json.RawMessage `json:"options,omitempty"` // null means all defaults
}

// Decode fills the options struct at into; an agent builds its policy with it.
func (n Named) Decode(into any) error {
	if len(n.Options) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(n.Options))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("options of %s: %w", n.Name, err)
	}
	return nil
}

// Experiment is everything a run needs: it is frozen before the first call.
type Experiment struct {
	Name        string        `json:"name"`
	Title       string        `json:"title"`
	Description string        `json:"description,omitempty"`
	Seed        uint64        `json:"seed"`
	Repeat      int           `json:"repeat"`            // executions of each point, at least 1
	Order       string        `json:"order"`             // "interleaved", "nested" or "random"
	Cooldown    time.Duration `json:"cooldown_ns"`       // pause between two repeats
	Timeout     time.Duration `json:"timeout_ns"`        // of one repeat, 0 = none
	OnFailure   string        `json:"on_failure"`        // "continue" or "stop" at a failed repeat
	Points      []Point       `json:"points"`            // at least one; without a sweep exactly one
	Sources     []Source      `json:"sources"`           // the files the experiment was read from
	Variables   []Variable    `json:"variables"`         // with origins; sensitive values are redacted
	Skipped     []Skipped     `json:"skipped,omitempty"` // combinations left out by exclude
	Budget      Budget        `json:"budget,omitzero"`
	Simulate    Simulate      `json:"simulate,omitzero"`
}

// Simulate is how an experiment runs in virtual time.
type Simulate struct {
	Jobs    int    `json:"jobs,omitempty"`    // repeats at a time, 0 = as many as there are cores
	Records string `json:"records,omitempty"` // "all", also when "", or "aggregate"
	// Calibration is the file that durations are drawn from, "" = the functions' profiles.
	Calibration string `json:"calibration,omitempty"`
	// Speeds are of hosts by name, relative to profiles and calibrations; a host without one has 1.
	Speeds    map[string]float64 `json:"speeds,omitempty"`
	Network   Network            `json:"network,omitzero"`
	ColdStart *Dist              `json:"cold_start,omitempty"` // how long starts take; nil: as profiles say
}

// Network is what lies between two hosts. The zero value takes no time.
type Network struct {
	RTT       time.Duration `json:"rtt_ns"`
	Bandwidth int64         `json:"bandwidth"` // bits per second; 0 is without limit
}

// Budget is what an experiment may cost; 0 is no limit.
type Budget struct {
	Time  time.Duration `json:"time_ns,omitempty"` // of load and pauses of the whole run
	Calls int64         `json:"calls,omitempty"`   // of all repeats
}

// Source is a file that the experiment was read from.
type Source struct {
	Path   string `json:"path"`   // as given, relative to the working directory
	SHA256 string `json:"sha256"` // hex
	Bytes  []byte `json:"-"`
}

// Variable is the value of an input variable and where it came from.
type Variable struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value"`  // "(sensitive)" where declared so
	Origin string          `json:"origin"` // "default", "--var", "AINUR_VAR_x", or a file name
}

// Redacted stands for a value that is never shown.
const Redacted = "(sensitive)"

// Sensitive reports whether the value was declared so, and was redacted.
func (v Variable) Sensitive() bool { return string(v.Value) == `"`+Redacted+`"` }

// Skipped is a combination of axis values that an exclude block removed.
type Skipped struct {
	Axes   []AxisValue `json:"axes"`
	Reason string      `json:"reason,omitempty"`
}

// AxisValue is the value one sweep axis has at a point.
type AxisValue struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// Point is one combination of sweep axes with everything evaluated for it.
type Point struct {
	ID        string      `json:"id"`   // first 8 hex digits of the hash of its axes and content
	Axes      []AxisValue `json:"axes"` // empty without a sweep
	Cluster   Cluster     `json:"cluster"`
	Workers   []Worker    `json:"workers"`            // at least one
	Balancer  *Balancer   `json:"balancer,omitempty"` // nil: the load goes to the single worker
	Functions []Function  `json:"functions"`
	Loads     []Load      `json:"loads"` // run at the same time
	Collects  []Collect   `json:"collects,omitempty"`
}

// Collect is what to bring from hosts beside the results.
type Collect struct {
	Name     string        `json:"name"`
	From     []string      `json:"from"`              // names of hosts
	Files    []string      `json:"files,omitempty"`   // absolute paths with * and ?
	Journal  []string      `json:"journal,omitempty"` // systemd units
	Metrics  []string      `json:"metrics,omitempty"` // sampled during each repeat
	Interval time.Duration `json:"interval_ns"`       // between samples
	MaxSize  Bytes         `json:"max_size"`          // of all of it in a run, per host
	Compress string        `json:"compress"`          // "zstd" or "none"
	Commands []Command     `json:"commands,omitempty"`
	Packets  *Packets      `json:"packets,omitempty"`
}

// Command is one whose output is kept.
type Command struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"` // program and arguments
	When string   `json:"when"` // "before", "during" or "after" the load
}

// Packets is what tcpdump records.
type Packets struct {
	Interface  string `json:"interface"`
	Filter     string `json:"filter"`
	SnapLength int    `json:"snap_length"` // bytes of each packet
}

// Generators are the hosts that make a load: those that it names, else all with the
// role load, else that of the balancer, else that of the first worker.
func (p *Point) Generators(l Load) []string {
	if len(l.From) > 0 {
		return l.From
	}
	var all []string
	for _, h := range p.Cluster.Hosts {
		if slices.Contains(h.Roles, "load") {
			all = append(all, h.Name)
		}
	}
	switch {
	case len(all) > 0:
		return all
	case p.Balancer != nil:
		return []string{p.Balancer.Host}
	default:
		return []string{p.Workers[0].Host}
	}
}

// Worker is one agent's configuration.
type Worker struct {
	Name        string            `json:"name"` // "node", or pool["w1"] for an instance of for_each
	Host        string            `json:"host"`
	Isolation   string            `json:"isolation"`            // "process", "wasm", "containerd" or "docker"
	MilliCPU    int64             `json:"milli_cpu"`            // capacity; 1000 = one core
	Memory      Bytes             `json:"memory"`               // capacity for sandboxes
	FreeBuffer  Bytes             `json:"free_buffer,omitzero"` // of it, what idle sandboxes leave free
	Queue       Named             `json:"queue"`
	KeepAlive   Named             `json:"keepalive"`
	Concurrency Named             `json:"concurrency,omitzero"`
	Dispatch    Named             `json:"dispatch,omitzero"`
	Prewarm     Named             `json:"prewarm,omitzero"`
	Estimate    Named             `json:"estimate,omitzero"`
	GPU         GPU               `json:"gpu,omitzero"`
	GPUQueue    Named             `json:"gpu_queue,omitzero"` // of a worker with GPUs, as Placement
	Placement   Named             `json:"placement,omitzero"`
	LogLevel    string            `json:"log_level"` // "debug", "info", "warn" or "error"
	Env         map[string]string `json:"env,omitempty"`
	Container   Container         `json:"container,omitzero"`
}

// GPU is the GPUs of a worker. The zero value is none.
type GPU struct {
	Count     int   `json:"count"`
	Slots     int   `json:"slots"`               // sandboxes that each holds
	Tokens    int   `json:"tokens"`              // invocations that run on each at a time
	Memory    Bytes `json:"memory,omitempty"`    // of each; 0 is as much as is asked for
	Simulated bool  `json:"simulated,omitempty"` // devices that are names alone
}

// Container is how sandboxes are made. The zero value is the plainest way: no
// technique that makes cold starts faster.
type Container struct {
	Network     string `json:"network,omitempty"`     // "host", "none" or "bridge"; "" is "host" for isolation process, else "none"
	Zygote      bool   `json:"zygote,omitempty"`      // process: fork python3 sandboxes from one that has imported the code; takes root
	Socket      string `json:"socket,omitempty"`      // of the containerd or docker daemon; "" is where they listen
	OCIRuntime  string `json:"oci_runtime,omitempty"` // containerd: "runc" or "crun", "" is the first that is installed of crun and runc; docker: one of the daemon's, "" is its default
	Snapshotter string `json:"snapshotter,omitempty"` // containerd: "" is overlayfs
	Namespaces  int    `json:"namespaces,omitempty"`  // network namespaces kept ready, with network "bridge"
	StemCells   int    `json:"stem_cells,omitempty"`  // containerd, and process and docker as root: sandboxes kept ready that become of any function with the same runtime and image; with Zygote, forks of each zygote
	Creations   int    `json:"creations,omitempty"`   // made at a time; 0 is as many as pay
}

// Balancer is the cluster's entry point.
type Balancer struct {
	Name    string   `json:"name"`
	Host    string   `json:"host"`
	Workers []string `json:"workers"` // names
	Policy  Named    `json:"policy"`
	Port    int      `json:"port"` // of the HTTP front, 0 = any free one
}

// Function is code with its limits.
type Function struct {
	Name         string            `json:"name"`
	Builtin      string            `json:"builtin,omitempty"`      // "hello", "busy", "sleep" or "memory"
	Runtime      string            `json:"runtime,omitempty"`      // "python3", "go", "exec" or "wasm", with Source
	Image        string            `json:"image,omitempty"`        // reference of a container image that is the function; the path in it is absolute
	Base         string            `json:"base,omitempty"`         // reference of the image that Source is put on; "" is the files of the host
	Requirements string            `json:"requirements,omitempty"` // absolute path of a file for pip; what it names is put on Base
	Digest       string            `json:"digest,omitempty"`       // of the manifest that Image or Base stood for when the run began
	Server       string            `json:"server,omitempty"`       // protocol that Image speaks: "" is ainur's, "http" and "unix" are Ilúvatar's
	Source       string            `json:"source,omitempty"`       // absolute path of a folder (of a file for exec)
	SourceSHA256 string            `json:"source_sha256,omitempty"`
	Memory       Bytes             `json:"memory"`
	MilliCPU     int64             `json:"milli_cpu"`
	Compute      string            `json:"compute,omitempty"`    // "" is CPU, "gpu", or "both"
	GPUMemory    Bytes             `json:"gpu_memory,omitempty"` // of a GPU, held by a sandbox on it
	Timeout      time.Duration     `json:"timeout_ns"`           // of one execution, not counting queueing and start-up
	Prewarm      int               `json:"prewarm"`              // sandboxes made before the load starts
	Env          map[string]string `json:"env,omitempty"`
	Args         json.RawMessage   `json:"args,omitempty"` // JSON object sent when the load has no payload
	Profile      *Profile          `json:"profile,omitempty"`
}

// Profile models a function in virtual time.
type Profile struct {
	Warm   Dist  `json:"warm"`   // execution time in a warm sandbox
	Cold   Dist  `json:"cold"`   // time to make a sandbox ready, without the execution
	Memory Bytes `json:"memory"` // 0: the function's limit

	GPU *GPUProfile `json:"gpu,omitempty"` // on a GPU; nil is as on CPU
}

// GPUProfile models a function on a GPU.
type GPUProfile struct {
	Warm Dist `json:"warm"`
	Cold Dist `json:"cold"`
}

// Dist is a distribution of durations. The zero value is the constant 0.
type Dist struct {
	Kind    string          `json:"kind,omitempty"`       // "" or "constant", "exponential", "lognormal", "uniform" or "empirical"
	Mean    time.Duration   `json:"mean_ns,omitempty"`    // constant, exponential, lognormal
	CV      float64         `json:"cv,omitempty"`         // lognormal: standard deviation over mean
	Min     time.Duration   `json:"min_ns,omitempty"`     // uniform
	Max     time.Duration   `json:"max_ns,omitempty"`     // uniform
	Samples []time.Duration `json:"samples_ns,omitempty"` // empirical: sorted; drawn uniformly
}

// Trace is a recorded workload.
type Trace struct {
	Name     string            `json:"name"`
	Format   string            `json:"format"`   // "iluvatar"
	Path     string            `json:"path"`     // absolute, of the invocations
	Metadata string            `json:"metadata"` // absolute, of the functions
	SHA256   string            `json:"sha256"`   // of the invocations file
	Map      map[string]string `json:"map"`      // trace function -> function that serves it
	Calls    int               `json:"calls"`
	Duration time.Duration     `json:"duration_ns"`
}

// Load is what one load generator sends. Target is the balancer when the
// point has one, else the worker.
type Load struct {
	Name         string        `json:"name"`
	Target       string        `json:"target"`         // name of a worker or balancer
	From         []string      `json:"from,omitempty"` // names of the hosts that generate it; none: see Point.Generators
	Mix          []Weight      `json:"mix"`            // sorted by function; weights sum to 1; empty for a trace
	Phases       []Phase       `json:"phases"`
	Timeout      time.Duration `json:"timeout_ns"`    // client deadline of a call; 0: function timeout + 30 s for start-up
	MaxInFlight  int           `json:"max_in_flight"` // a safety cap: calls over it are recorded as dropped
	OnSaturation string        `json:"on_saturation"` // "invalid", "abort" or "record"
	LagLimit     time.Duration `json:"lag_limit_ns"`  // p99 of lag above it makes the run invalid
	MeasureFrom  string        `json:"measure_from"`  // "intended" or "actual"
}

// Weight is a function's share of a load.
type Weight struct {
	Function string  `json:"function"`
	Weight   float64 `json:"weight"`
}

// Phase is a stretch of load. Warm-up and cool-down are phases named "warmup"
// and "cooldown" with Record false.
type Phase struct {
	Name     string        `json:"name"` // "main" when the load declares no phases
	Duration time.Duration `json:"duration_ns"`
	Record   bool          `json:"record"` // false: kept in the calls, left out of statistics
	Mix      []Weight      `json:"mix,omitempty"`
	Arrival  Arrival       `json:"arrival"`
}

// Arrival is an arrival model with its parameters.
type Arrival struct {
	Model         string        `json:"model"` // "constant", "poisson", "ramp", "trace" or "closed"
	RatePerSecond float64       `json:"rate_per_second,omitempty"`
	Clients       int           `json:"clients,omitempty"` // closed
	Think         Dist          `json:"think,omitzero"`    // closed
	Trace         *Trace        `json:"trace,omitempty"`   // trace
	Speed         float64       `json:"speed,omitempty"`   // trace: 10 replays ten times faster
	Start         time.Duration `json:"start_ns,omitempty"`
	FromPerSecond float64       `json:"from_per_second,omitempty"` // ramp: at the beginning
	ToPerSecond   float64       `json:"to_per_second,omitempty"`   // ramp: at the end
	Shape         string        `json:"shape,omitempty"`           // ramp: of the rate in between, "" or "linear", or "exponential"
	Even          bool          `json:"even,omitempty"`            // ramp: spaced without chance; false is a Poisson process
}

// Open reports whether calls are sent on a schedule rather than after replies.
func (a Arrival) Open() bool { return a.Model != "closed" }

// Function returns the function called name, or nil.
func (p *Point) Function(name string) *Function {
	for i := range p.Functions {
		if p.Functions[i].Name == name {
			return &p.Functions[i]
		}
	}
	return nil
}
