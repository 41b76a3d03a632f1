package report

import (
	"bufio"
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

// readLog reads the log of a daemon. A line without a time belongs to the one before it.
func readLog(file string, p spec.Point, rep result.Repeat, clocks result.Clocks) (all []LogLine, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	component := strings.TrimSuffix(filepath.Base(file), ".log")
	host := hostOf(p, component)
	last := rep.Started
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Time  time.Time
			Level string
		}
		if json.Unmarshal(lines.Bytes(), &entry) == nil && !entry.Time.IsZero() {
			last = entry.Time.Add(-clocks.Ahead(host, entry.Time))
		}
		all = append(all, LogLine{last.UTC(), host, component, rep.Point, rep.Repeat, strings.ToLower(entry.Level), lines.Text()})
	}
	return all, lines.Err()
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
	return ""
}
