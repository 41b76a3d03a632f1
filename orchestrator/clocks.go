package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/node"
)

// clockSample is a line of env/clocks.jsonl: the clock of a host is Offset ahead of
// that of the controller, give or take Error.
type clockSample struct {
	Time   time.Time     `json:"t"` // of the controller
	Host   string        `json:"host"`
	Offset time.Duration `json:"offset_ns"`
	Error  time.Duration `json:"error_ns"`
}

// clockPause is between two looks at the clocks while a run goes on.
const clockPause = time.Minute

// watchClocks compares the clocks of hosts with this one's, at once, each minute and
// when it is told to end, and writes them below the result directory.
func watchClocks(ctx context.Context, dir string, hosts map[string]*node.Client) (end func() error, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "env"), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "env", "clocks.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	lines := json.NewEncoder(f)
	look := func() (err error) {
		for _, name := range slices.Sorted(maps.Keys(hosts)) {
			offset, within, sampled := hosts[name].Clock(ctx)
			if sampled != nil {
				continue // what is wrong with the host, whoever works with it says
			}
			err = errors.Join(err, lines.Encode(clockSample{time.Now().UTC(), name, offset, within}))
		}
		return err
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		failed := look()
		tick := time.NewTicker(clockPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				failed = errors.Join(failed, look())
			case <-stop:
				ended <- errors.Join(failed, look(), f.Close())
				return
			}
		}
	}()
	return func() error {
		close(stop)
		return <-ended
	}, nil
}
