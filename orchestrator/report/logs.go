package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// LogLine is a line that a daemon of a run wrote.
type LogLine struct {
	Time      time.Time `json:"t"` // by the controller's clock; zero where the daemon gave none
	Host      string    `json:"host"`
	Component string    `json:"component"` // worker-1, balancer, load
	Point     string    `json:"point"`
	Repeat    int       `json:"repeat"`
	Level     string    `json:"level,omitempty"`
	Text      string    `json:"text"` // as it was written
}

// Logs are the lines of all daemons of a run in the order of time: each host's clock
// is corrected by how far it was ahead of the controller's.
func Logs(run *result.Run) (all []LogLine, err error) {
	clocks, err := run.Clocks()
	if err != nil {
		return nil, err
	}
	for _, rep := range run.Repeats {
		folder := filepath.Join(filepath.Dir(run.CallsPath(rep.Step)), "logs")
		files, err := filepath.Glob(filepath.Join(folder, "*.log"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			lines, err := readLog(file, *run.Point(rep.Point), rep, clocks)
			if err != nil {
				return nil, err
			}
			all = append(all, lines...)
		}
	}
	slices.SortStableFunc(all, func(a, b LogLine) int { return a.Time.Compare(b.Time) })
	return all, nil
}

// readLog reads the log of a daemon.
func readLog(file string, p spec.Point, rep result.Repeat, clocks result.Clocks) ([]LogLine, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	component := strings.TrimSuffix(filepath.Base(file), ".log")
	host := hostOf(p, component)
	log := Log{Host: host, Component: component, Point: rep.Point, Repeat: rep.Repeat, Last: rep.Started, Ahead: func(at time.Time) time.Duration { return clocks.Ahead(host, at) }}
	return append(log.Lines(content), log.Lines([]byte("\n"))...), nil
}

// Log is that of a daemon, as it grows.
type Log struct {
	Host, Component, Point string
	Repeat                 int
	Last                   time.Time                        // of the last line; one without a time belongs to the one before it
	Ahead                  func(at time.Time) time.Duration // how far the host's clock was

	rest []byte // of a line that has not ended
}

// Lines are those that more of the log completes, but empty ones.
func (l *Log) Lines(more []byte) (all []LogLine) {
	content := append(l.rest, more...)
	end := bytes.LastIndexByte(content, '\n') + 1
	l.rest = bytes.Clone(content[end:])
	for line := range bytes.Lines(content[:end]) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		var entry struct {
			Time  time.Time
			Level string
		}
		if json.Unmarshal(line, &entry) == nil && !entry.Time.IsZero() {
			l.Last = entry.Time.Add(-l.Ahead(entry.Time))
		}
		all = append(all, LogLine{l.Last.UTC(), l.Host, l.Component, l.Point, l.Repeat, strings.ToLower(entry.Level), string(line)})
	}
	return all
}

// hostOf is where a component of a point is, "" where the point does not say.
func hostOf(p spec.Point, component string) string {
	if component == "balancer" && p.Balancer != nil {
		return p.Balancer.Host
	}
	for i, w := range p.Workers {
		if component == "worker-"+strconv.Itoa(i+1) {
			return w.Host
		}
	}
	var generators []string
	for _, l := range p.Loads {
		generators = append(generators, p.Generators(l)...)
	}
	for i, host := range generators {
		if component == "load" || component == "load-"+strconv.Itoa(i+1) {
			return host
		}
	}
	return ""
}
