package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// clockPause is between two looks at the clocks while a run goes on.
const clockPause = time.Minute

// watchClocks compares the clocks of hosts with this one's, at once, each minute and
// when it is told to end, and keeps them with the run.
func watchClocks(ctx context.Context, run *result.Run, hosts map[string]*node.Client) (end func() error, err error) {
	f, err := run.AppendClocks()
	if err != nil {
		return nil, err
	}
	lines := json.NewEncoder(f)
	look := func() (err error) {
		for _, name := range slices.Sorted(maps.Keys(hosts)) {
			clock, sampled := hosts[name].Clock(ctx)
			if sampled != nil {
				continue // what is wrong with the host, whoever works with it says
			}
			err = errors.Join(err, lines.Encode(result.Clock{Time: time.Now().UTC(), Host: name, Offset: clock.Ahead, Error: clock.Within}))
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
