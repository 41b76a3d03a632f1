package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/report"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// followPause is between two looks at logs that grow.
const followPause = 500 * time.Millisecond

// grown is the logs of one host, and what of them was seen.
type grown struct {
	host  string
	ahead time.Duration // its clock
	// names are those of the daemons of the run that there are; under reports whether
	// the run may still go on here.
	names func(ctx context.Context) (names []string, under bool, err error)
	get   func(ctx context.Context, path string, offset int64, to io.Writer) error
	logs  map[string]*report.Log
	seen  map[string]int64 // bytes of each
}

// more is what has been written since.
func (g *grown) more(ctx context.Context) (all []report.LogLine, under bool, err error) {
	names, under, err := g.names(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, name := range names {
		log := g.logs[name]
		if log == nil {
			log = g.log(name)
			g.logs[name] = log
		}
		var text bytes.Buffer
		if err := g.get(ctx, name+".log", g.seen[name], &text); err != nil {
			if errors.Is(err, node.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
				continue // the run is over, and was taken away
			}
			return all, under, err
		}
		g.seen[name] += int64(text.Len())
		all = append(all, log.Lines(text.Bytes())...)
	}
	return all, under, nil
}

// log is that of a daemon, whose name is of the point, the repeat, the attempt and what it is.
func (g *grown) log(name string) *report.Log {
	l := &report.Log{Host: g.host, Component: name[strings.LastIndex(name, ".")+1:], Last: time.Now(), Ahead: func(time.Time) time.Duration { return g.ahead }}
	if parts := strings.Split(name, "."); len(parts) == 4 {
		l.Point = parts[0]
		l.Repeat, _ = strconv.Atoi(parts[1]) // 0 where it is none
	}
	return l
}

// followLogs shows what the daemons of a run say, until it ends.
func (c *cli) followLogs(ctx context.Context, run *result.Run, file string, f logFlags) (err error) {
	hosts, closeAll, err := c.growing(ctx, run, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	shown := []report.LogLine{}
	for under := true; ; {
		lines := make([][]report.LogLine, len(hosts))
		goes := make([]bool, len(hosts))
		var asked errgroup.Group
		for i, h := range hosts {
			asked.Go(func() (err error) {
				lines[i], goes[i], err = h.more(ctx)
				return err
			})
		}
		if err := asked.Wait(); err != nil && ctx.Err() == nil {
			return err
		}
		all := slices.Concat(lines...)
		slices.SortStableFunc(all, func(a, b report.LogLine) int { return a.Time.Compare(b.Time) })
		all, err := f.choose(all, time.Now())
		if err != nil {
			return err
		}
		shown = append(shown, all...)
		if c.output == "json" {
			c.data = map[string]any{"lines": shown}
		} else if err := c.printLogs(all); err != nil {
			return err
		}
		if !under || ctx.Err() != nil {
			return nil
		}
		now, err := result.Open(run.Dir, c.results)
		if err != nil {
			return err
		}
		under = now.Active || slices.Contains(goes, true) // where it is over, what was said last is still to be read
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
		}
	}
}

// growing are the logs of a run, where it is.
func (c *cli) growing(ctx context.Context, run *result.Run, file string) (hosts []*grown, closeAll func() error, err error) {
	id := run.Manifest.RunID
	if run.Manifest.Site == nil {
		return []*grown{growingHere(run)}, func() error { return nil }, nil
	}
	s, err := c.openRunOf(ctx, run, file)
	if err != nil {
		return nil, nil, err
	}
	closers := []func() error{}
	closeAll = func() error {
		var errs []error
		for _, close := range closers {
			errs = append(errs, close())
		}
		return errors.Join(append(errs, s.Close())...)
	}
	for _, h := range s.Hosts {
		client, closeClient, err := s.Supervisor(h)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll())
		}
		closers = append(closers, closeClient)
		hosts = append(hosts, &grown{
			host: h.Name, ahead: h.Facts.Offset, logs: map[string]*report.Log{}, seen: map[string]int64{},
			names: func(ctx context.Context) (names []string, under bool, err error) {
				d, err := client.Describe(ctx)
				for _, r := range d.Runs {
					if r.ID != id {
						continue
					}
					for _, s := range r.Daemons {
						names, under = append(names, s.Name), under || s.Exit == nil
					}
				}
				return names, under, err
			},
			get: func(ctx context.Context, path string, offset int64, to io.Writer) error {
				return client.Get(ctx, id, path, offset, to)
			},
		})
	}
	return hosts, closeAll, nil
}

// growingHere are the logs of a run of this machine, which one process executes.
func growingHere(run *result.Run) *grown {
	dir := filepath.Join(stateDir(), "runs", run.Manifest.RunID)
	return &grown{
		host: "", logs: map[string]*report.Log{}, seen: map[string]int64{},
		names: func(context.Context) (names []string, under bool, err error) { // whoever executes it works on the run
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, false, err
			}
			for _, e := range entries {
				if name, ok := strings.CutSuffix(e.Name(), ".log"); ok {
					names = append(names, name)
				}
			}
			return names, false, nil
		},
		get: func(_ context.Context, path string, offset int64, to io.Writer) error {
			f, err := os.Open(filepath.Join(dir, path))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(to, io.NewSectionReader(f, offset, 1<<62))
			return err
		},
	}
}
