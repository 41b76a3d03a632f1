package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/collect"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// collectGrace is how long a host may take to put together what is to be collected.
const collectGrace = 5 * time.Minute

// collectedFolder is where a collector puts what it keeps, in its own folder.
const collectedFolder = "collected"

// collectors keep what hosts tell beside the calls of a repeat.
type collectors struct {
	*deployment
	all []*collector
}

// collector is one on a host.
type collector struct {
	*daemon
	of spec.Collect
}

// folder is where what it keeps is in a repeat's folder.
func (c *collector) folder() string { return collection(c.of, c.on) }

func collection(c spec.Collect, host string) string {
	return filepath.Join("collect", url.PathEscape(c.Name), url.PathEscape(host))
}

// collect starts the collectors of the point, and returns when they have begun. What
// it returns is to be ended whatever happens.
func (d *deployment) collect(ctx context.Context) (*collectors, error) {
	cs := &collectors{deployment: d}
	for _, c := range d.point.Collects {
		for _, on := range c.From {
			if err := cs.start(ctx, c, on); err != nil {
				return cs, err
			}
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, collectGrace, fmt.Errorf("not ready after %v", collectGrace))
	defer cancel()
	for _, c := range cs.all {
		if _, err := c.serving(ctx); err != nil {
			return cs, err
		}
	}
	return cs, nil
}

func (cs *collectors) start(ctx context.Context, c spec.Collect, on string) error {
	host, ok := cs.Hosts[on]
	if !ok {
		return fmt.Errorf("collect %s: there is no host %q", c.Name, on)
	}
	had, err := cs.had(c, on)
	if err != nil {
		return err
	}
	config, err := json.Marshal(collect.Config{Collect: c, Run: cs.run, Most: max(0, c.MaxSize-had)})
	if err != nil {
		return err
	}
	p, err := startDaemon(ctx, on, host, fmt.Sprintf("collect %s on host %s", c.Name, on), node.Task{
		Run: cs.run, Name: cs.name + ".collect-" + strconv.Itoa(len(cs.all)+1), Args: []string{"collector", "--lifeline", "--dir", "{dir}/" + collectedFolder, "{dir}/config.json"},
		Files: map[string][]byte{"config.json": config}, Lease: lease, Grace: collectGrace,
	}, nil)
	if err == nil {
		cs.all = append(cs.all, &collector{p, c})
	}
	return err
}

// had is the size of what other repeats of the run have brought from a host.
func (cs *collectors) had(c spec.Collect, on string) (size spec.Bytes, err error) {
	points := os.DirFS(filepath.Dir(filepath.Dir(cs.results)))
	folders, err := fs.Glob(points, "*/*/"+collection(c, on))
	if err != nil {
		return 0, err
	}
	for _, folder := range folders {
		err := fs.WalkDir(points, folder, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil {
				size += spec.Bytes(info.Size())
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return size, nil
}

// end ends the collectors and brings what they have kept. What could not be had is
// added to the limitations, and makes no number invalid.
func (cs *collectors) end(limitations map[string][]string) {
	problems := make([][]string, len(cs.all))
	var ended errgroup.Group
	for i, c := range cs.all {
		ended.Go(func() error {
			problems[i] = cs.bring(c)
			return nil
		})
	}
	_ = ended.Wait() // what went wrong is in problems
	for i, c := range cs.all {
		if len(problems[i]) > 0 {
			limitations[c.label] = problems[i]
		}
	}
}

// bring ends a collector and copies what it has kept.
func (cs *collectors) bring(c *collector) (problems []string) {
	err := c.stop()
	if err == nil {
		err = errors.Join(c.err, c.exit.Err())
	}
	to := filepath.Join(cs.results, c.folder())
	if err == nil {
		err = cs.keepFolder(c.daemon, collectedFolder, to)
	}
	var items []collect.Item
	if err == nil {
		items, err = collect.ReadIndex(to)
	}
	if err != nil {
		return []string{errors.Join(err, cs.keepLog(c.daemon)).Error()}
	}
	return collect.Problems(items)
}
