package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// Calibration is a Model that was measured on a worker, as a file has it.
type Calibration struct {
	Version   int                 `json:"version"` // 1
	Run       string              `json:"run"`     // id of the run that measured
	Worker    string              `json:"worker"`
	Host      string              `json:"host"` // what its CPU is called
	Slowdown  []float64           `json:"slowdown"`
	Functions map[string]Measured `json:"functions"`
}

// Measured are durations of the phases of a function, from least to greatest.
type Measured struct {
	MeasuredOverheads
	Start    []time.Duration `json:"start_ns"`
	Exec     []time.Duration `json:"exec_ns"`
	GPUStart []time.Duration `json:"gpu_start_ns,omitempty"` // on a GPU
	GPUExec  []time.Duration `json:"gpu_exec_ns,omitempty"`  // likewise; without any as on CPU

	Crowded []MeasuredOverheads `json:"crowded,omitempty"` // by how many executions ran on the worker, 1 first
}

// MeasuredOverheads are durations of Overheads, from least to greatest.
type MeasuredOverheads struct {
	Lag      []time.Duration `json:"lag_ns,omitempty"`
	Request  []time.Duration `json:"request_ns"`
	Dispatch []time.Duration `json:"dispatch_ns"`
	Finish   []time.Duration `json:"finish_ns"`
	Reply    []time.Duration `json:"reply_ns"`
}

func (m *MeasuredOverheads) all() [][]time.Duration {
	return [][]time.Duration{m.Lag, m.Request, m.Dispatch, m.Finish, m.Reply}
}

func (m *MeasuredOverheads) model() Overheads {
	return Overheads{
		Lag: empirical(m.Lag), Request: empirical(m.Request), Dispatch: empirical(m.Dispatch), Finish: empirical(m.Finish), Reply: empirical(m.Reply),
	}
}

func empirical(d []time.Duration) spec.Dist {
	if len(d) == 0 {
		return spec.Dist{}
	}
	return spec.Dist{Kind: "empirical", Samples: d}
}

// Model draws from what was measured.
func (m Measured) Model() FunctionModel {
	var gpu *GPUModel
	if len(m.GPUExec) > 0 {
		gpu = &GPUModel{Start: empirical(m.GPUStart), Exec: empirical(m.GPUExec)}
	}
	model := FunctionModel{Overheads: m.model(), Start: empirical(m.Start), Exec: empirical(m.Exec), GPU: gpu}
	for i := range m.Crowded {
		model.Crowded = append(model.Crowded, m.Crowded[i].model())
	}
	return model
}

// Model is what simulations take.
func (c *Calibration) Model() *Model {
	m := &Model{Functions: map[string]FunctionModel{}, Slowdown: c.Slowdown}
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		m.Functions[name] = c.Functions[name].Model()
	}
	return m
}

// Write makes the file.
func (c *Calibration) Write(path string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return atomicfile.Have(path, 0o644, append(text, '\n'))
}

// ReadCalibration reads a file that Write made.
func ReadCalibration(path string) (*Calibration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Calibration{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s is no calibration: %w", path, err)
	}
	return c, c.check(path)
}

func (c *Calibration) check(path string) error {
	if c.Version != 1 {
		return fmt.Errorf("calibration %s has version %d, this ainur reads 1: calibrate again", path, c.Version)
	}
	if len(c.Functions) == 0 {
		return fmt.Errorf("calibration %s has no functions", path)
	}
	for i, s := range c.Slowdown {
		if !(s > 0) || s > 1e6 {
			return fmt.Errorf("calibration %s: slowdown of %d executions is %g, want a positive number", path, i+1, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Functions)) {
		f := c.Functions[name]
		if len(f.Exec)+len(f.GPUExec) == 0 {
			return fmt.Errorf("calibration %s: function %q has no exec_ns", path, name)
		}
		measured := append(f.all(), f.Start, f.Exec, f.GPUStart, f.GPUExec)
		for i := range f.Crowded {
			measured = append(measured, f.Crowded[i].all()...)
		}
		for _, all := range measured {
			for _, d := range all {
				if d < 0 {
					return fmt.Errorf("calibration %s: function %q has a duration of %v", path, name, d)
				}
			}
		}
	}
	return nil
}

// IsCalibration reports whether path is a file, and not the folder or name of a run.
func IsCalibration(path string) bool {
	info, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && err == nil && info.Mode().IsRegular()
}
