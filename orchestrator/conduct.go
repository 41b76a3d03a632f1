package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// Job is a run for a host of its cluster to execute, so that it does not depend on
// whoever started it. Its result directory goes there and comes back.
type Job struct {
	Run        string             `json:"run"`
	Controller string             `json:"controller"` // the host that executes it
	Hosts      map[string]JobHost `json:"hosts"`      // by name
	Code       map[string]string  `json:"code"`       // by CodeKey: path in the run's folder
	Traces     map[string]string  `json:"traces"`     // by path in the experiment: path in the run's folder
}

// JobHost is how the controller reaches a host.
type JobHost struct {
	Supervisor string `json:"supervisor"` // host:port
	Address    string `json:"address"`    // for its daemons
	TLS        string `json:"tls"`        // folder on the host
}

// resultFolder is where the result directory is in the run's folder.
const resultFolder = "result"

// Conduct executes what is left of a job, whose folder is dir, and prints how it
// stands to out, a line each time. The attempt, from 1, is one more each time that
// it is conducted.
func Conduct(ctx context.Context, dir string, job Job, attempt int, store *oci.Store, out io.Writer) error {
	run, err := result.Reopen(filepath.Join(dir, resultFolder))
	if errors.Is(err, result.ErrComplete) {
		return nil
	}
	if err != nil {
		return err
	}
	site, err := job.site(dir, store)
	if err != nil {
		return errors.Join(err, run.Close())
	}
	hosts, closeHosts, err := job.connect(site.TLS)
	if err != nil {
		return errors.Join(err, run.Close())
	}
	for name, client := range hosts {
		site.Hosts[name] = Host{Host: client, Address: job.Hosts[name].Address, TLS: job.Hosts[name].TLS}
	}
	lines := json.NewEncoder(out)
	meter := &meter{exp: run.Experiment, run: run}
	x := &execution{exp: run.Experiment, run: run, Options: Options{Progress: func(p Progress) {
		_ = lines.Encode(meter.read(p, time.Now())) // the results are what counts
	}}}
	for i := range x.exp.Points {
		job.localize(dir, &x.exp.Points[i])
	}
	l := &live{Site: site, run: job.Run, attempt: attempt, progress: x.tell}
	x.engine = l
	first, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer within %v", startTimeout))
	defer cancel()
	if err = errors.Join(l.tidy(first, hosts), l.announce(first, x.exp)); err == nil {
		err = x.conduct(ctx, hosts)
	}
	return errors.Join(err, closeHosts(), run.Close())
}

// conduct executes what is left, with an eye on the clocks.
func (x *execution) conduct(ctx context.Context, hosts map[string]*node.Client) error {
	end, err := watchClocks(context.WithoutCancel(ctx), x.run, hosts)
	if err != nil {
		return err
	}
	err = x.steps(ctx)
	return errors.Join(err, end())
}

// tidy ends and removes what conductors that were killed left on the hosts: of this
// run, and of others whose results are on the controller.
func (l *live) tidy(ctx context.Context, hosts map[string]*node.Client) error {
	for name, host := range hosts {
		description, err := host.Describe(ctx)
		if err != nil {
			return err
		}
		for _, run := range description.Runs {
			switch {
			case name != l.Here:
				_, err = host.Forget(ctx, run.ID)
			case run.ID == l.run:
				err = stopAll(ctx, host, run)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// stopAll ends the daemons of a run but what executes it.
func stopAll(ctx context.Context, host *node.Client, run node.Run) error {
	for _, d := range run.Daemons {
		if d.Exit != nil || strings.HasPrefix(d.Name, conductPrefix) {
			continue
		}
		if _, err := host.Stop(ctx, run.ID, d.Name); err != nil {
			return err
		}
	}
	return nil
}

// site is where the job takes place, without its hosts.
func (j Job) site(dir string, store *oci.Store) (Site, error) {
	s := Site{Hosts: map[string]Host{}, Here: j.Controller, TLS: j.Hosts[j.Controller].TLS, Keep: true, Store: store, Code: map[string][]byte{}}
	for key, path := range j.Code {
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return s, err
		}
		s.Code[key] = content
	}
	return s, nil
}

// connect connects to the supervisors of all hosts, and notices when one is gone.
func (j Job) connect(tls string) (hosts map[string]*node.Client, closeAll func() error, err error) {
	_, creds, err := mtls.Load(tls)
	if err != nil {
		return nil, nil, err
	}
	hosts = map[string]*node.Client{}
	var conns []*grpc.ClientConn
	closeAll = func() error {
		errs := make([]error, len(conns))
		for i, conn := range conns {
			errs[i] = conn.Close()
		}
		return errors.Join(errs...)
	}
	for name, h := range j.Hosts {
		conn, err := grpc.NewClient("passthrough:///"+h.Supervisor, append(node.DialOptions(), grpc.WithTransportCredentials(creds))...)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("host %s: %w", name, err), closeAll())
		}
		conns = append(conns, conn)
		hosts[name] = node.NewClient(name, conn)
	}
	return hosts, closeAll, nil
}

// localize gives a point the files that the job brought.
func (j Job) localize(dir string, p *spec.Point) {
	for _, l := range p.Loads {
		for _, phase := range l.Phases {
			t := phase.Arrival.Trace
			if t == nil {
				continue
			}
			for _, path := range []*string{&t.Path, &t.Metadata} {
				if there, ok := j.Traces[*path]; ok {
					*path = filepath.Join(dir, there)
				}
			}
		}
	}
}
