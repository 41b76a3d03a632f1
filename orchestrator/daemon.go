package orchestrator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/node"
)

// lease is how long a daemon of a run lives on when nobody follows it any more.
const lease = 2 * node.Patience

// daemon is a role that runs on a host, followed from its start to its end.
type daemon struct {
	label string // for people: worker pool["w1"]
	host  Host
	on    string // name of the host
	task  node.Task
	ready chan node.Ready // gets one, before lines
	ended chan struct{}   // closed when exit and err are known
	exit  node.Exit
	err   error // of following it
}

// startDaemon starts a task and follows it until ctx ends. Its first line is its
// Ready, and lines gets those after it; it may be nil.
func startDaemon(ctx context.Context, on string, host Host, label string, t node.Task, lines func([]byte)) (*daemon, error) {
	if err := host.Start(ctx, t); err != nil {
		return nil, fmt.Errorf("start %s: %w", label, err)
	}
	d := &daemon{label: label, host: host, on: on, task: t, ready: make(chan node.Ready, 1), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		first := true
		d.exit, d.err = host.Follow(context.WithoutCancel(ctx), t.Run, t.Name, 0, func(line []byte) {
			var ready node.Ready
			switch {
			case !first && lines != nil:
				lines(line)
			case first && json.Unmarshal(line, &ready) == nil:
				d.ready <- ready
			}
			first = false
		})
	}()
	return d, nil
}

// serving waits until the daemon is ready.
func (d *daemon) serving(ctx context.Context) (node.Ready, error) {
	select {
	case ready := <-d.ready:
		return ready, nil
	case <-d.ended:
		return node.Ready{}, fmt.Errorf("%s did not start: %w", d.label, d.end())
	case <-ctx.Done():
		return node.Ready{}, fmt.Errorf("%s is not ready: %w", d.label, context.Cause(ctx))
	}
}

// end is how it went, after ended: never nil.
func (d *daemon) end() error {
	if d.err != nil {
		return d.err
	}
	if err := d.exit.Err(); err != nil {
		return err
	}
	return errors.New("it ended")
}

// stop asks the daemon to end, and ends it after a while. It returns when the
// daemon is gone, with an error if it did not go well.
func (d *daemon) stop() error {
	select {
	case <-d.ended: // on its own, which its watcher has reported
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(d.task.Grace, node.StopGrace)+node.Patience)
	defer cancel()
	exit, err := d.host.Stop(ctx, d.task.Run, d.task.Name)
	if err == nil {
		err = exit.Err()
	}
	if err != nil {
		return fmt.Errorf("%s ended badly: %w", d.label, err)
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(node.Patience):
		return fmt.Errorf("%s has ended, and its last output is not to be had", d.label)
	}
}
