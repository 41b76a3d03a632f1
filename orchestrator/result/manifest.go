package result

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Format is the version of the result directory and of JSON output.
const Format = "ainur/1"

// Mode is how a run's time passed.
type Mode string

// The modes.
const (
	Live      Mode = "live"
	Simulated Mode = "simulated"
)

// State is how far a run or a repeat has come.
type State string

// The states. A run goes from Running to Finished to Sealed; a killed run stays
// Running. A repeat goes from Running to Finished, Failed or Interrupted, or is
// Skipped.
const (
	Running     State = "running"
	Finished    State = "finished"
	Sealed      State = "sealed"
	Failed      State = "failed"
	Interrupted State = "interrupted"
	Skipped     State = "skipped"
)

// Manifest is everything needed to judge a run. The caller of Create gives
// Mode, Command and Git, and RunID and Started if it has chosen them; Create
// fills what follows from the experiment and the build, Finish the verdicts.
type Manifest struct {
	Format     string    `json:"format"`
	RunID      string    `json:"run_id"` // ULID
	State      State     `json:"state"`
	Mode       Mode      `json:"mode"`
	Experiment string    `json:"experiment"`
	Title      string    `json:"title"`
	Seed       uint64    `json:"seed"`
	Started    time.Time `json:"started"` // UTC
	Ended      time.Time `json:"ended,omitzero"`

	Validity          *Validity        `json:"validity"` // null until the run has finished
	Assertions        []spec.Assertion `json:"assertions"`
	Outputs           []Output         `json:"outputs"`
	Interrupted       bool             `json:"interrupted"`
	Error             string           `json:"error,omitempty"`               // why the run stopped early
	DecisionLogSHA256 string           `json:"decision_log_sha256,omitempty"` // simulated runs

	SemanticSHA256 string                `json:"semantic_sha256"` // of what is executed: equal for files that differ in comments only
	TextSHA256     string                `json:"text_sha256"`     // of the files as written
	Build          Build                 `json:"build"`
	Git            *Git                  `json:"git"`     // of the experiment's folder, null when not read
	Command        []string              `json:"command"` // as typed, secrets redacted by the caller
	Variables      []spec.Variable       `json:"variables"`
	Traces         []spec.Trace          `json:"traces"`
	Invalid        []string              `json:"invalid_reasons,omitempty"` // why the numbers are not valid, beside those of repeats
	Site           *Site                 `json:"site,omitempty"`            // null where the run was executed by who started it
	Hosts          map[string]spec.Facts `json:"hosts"`                     // as they were before the first repeat
	Limitations    map[string][]string   `json:"limitations"`               // by worker: what its isolation could not apply
}

// Site is where a run is executed when whoever started it may go away.
type Site struct {
	Cluster    string `json:"cluster"`
	Controller string `json:"controller"` // host that executes it
}

// Validity says whether a run's numbers can be trusted.
type Validity struct {
	Valid   bool     `json:"valid"`
	Reasons []string `json:"reasons"` // why not
}

// Output is an output block with its value as JSON.
type Output struct {
	spec.Output
	Value json.RawMessage `json:"value"`
}

// Build is the ainur that made a run.
type Build struct {
	Version  string            `json:"version"`          // module version, "(devel)" outside a release
	Commit   string            `json:"commit,omitempty"` // empty when built without version control
	Modified bool              `json:"modified"`         // built from a dirty tree
	Go       string            `json:"go"`
	Settings map[string]string `json:"settings"` // build flags, GOOS, GOARCH, CGO_ENABLED ...
}

// CurrentBuild is the running binary's.
func CurrentBuild() Build {
	b := Build{Version: "(unknown)", Go: runtime.Version(), Settings: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		default:
			b.Settings[s.Key] = s.Value
		}
	}
	return b
}

// Step is one execution in the plan: a repeat of a point.
type Step struct {
	Point  string `json:"point"`  // ID
	Repeat int    `json:"repeat"` // from 1
	Seed   uint64 `json:"seed"`
}

// StatusFile is the Repeat in the folder of a repeat.
const StatusFile = "status.json"

// Repeat is what became of a step: its StatusFile, and its metrics.json as Metrics.
type Repeat struct {
	Step
	State   State              `json:"state"`
	Reason  string             `json:"reason,omitempty"`          // of every state but running and finished
	Invalid []string           `json:"invalid_reasons,omitempty"` // why its numbers are not valid
	Started time.Time          `json:"started"`                   // UTC
	Ended   time.Time          `json:"ended,omitzero"`
	Metrics spec.RepeatMetrics `json:"-"` // nil when none were measured
}

// Entry is a line of ledger.jsonl.
type Entry struct {
	Time   time.Time `json:"t"`     // UTC; zero means now
	Event  string    `json:"event"` // what changed: "run", "repeat", "worker" ...
	State  State     `json:"state,omitempty"`
	Point  string    `json:"point,omitempty"`
	Repeat int       `json:"repeat,omitempty"`
	Detail string    `json:"detail,omitempty"`
}
