package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// clocksFile has a line for each look at a clock.
const clocksFile = "clocks.jsonl"

// Clock is a look at the clock of a host: it is Offset ahead of that of the
// controller, give or take Error.
type Clock struct {
	Time   time.Time     `json:"t"` // of the controller
	Host   string        `json:"host"`
	Offset time.Duration `json:"offset_ns"`
	Error  time.Duration `json:"error_ns"`
}

// AppendClocks opens the looks at clocks to add to them.
func (r *Run) AppendClocks() (*os.File, error) {
	if err := os.MkdirAll(r.path("env"), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(r.path("env", clocksFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
}

// Clocks are how far clocks of hosts were ahead, by host, in the order of time.
type Clocks map[string][]Clock

// Clocks are none where all was on one machine.
func (r *Run) Clocks() (Clocks, error) {
	content, err := os.ReadFile(r.path("env", clocksFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := Clocks{}
	for d := json.NewDecoder(bytes.NewReader(content)); d.More(); {
		var c Clock
		if err := d.Decode(&c); err != nil {
			return nil, err
		}
		all[c.Host] = append(all[c.Host], c)
	}
	return all, nil
}

// Ahead is how far a host's clock was ahead at a time: between two looks at it in
// proportion, before the first and after the last as then.
func (c Clocks) Ahead(host string, at time.Time) time.Duration {
	looks := c[host]
	i := slices.IndexFunc(looks, func(s Clock) bool { return s.Time.After(at) })
	switch {
	case len(looks) == 0:
		return 0
	case i == 0:
		return looks[0].Offset
	case i < 0:
		return looks[len(looks)-1].Offset
	}
	a, b := looks[i-1], looks[i]
	share := float64(at.Sub(a.Time)) / float64(b.Time.Sub(a.Time))
	return a.Offset + time.Duration(share*float64(b.Offset-a.Offset))
}
