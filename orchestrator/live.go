package orchestrator

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// startTimeout is how long daemons may take to serve, and functions to be prewarmed.
const startTimeout = 60 * time.Second

// Local is the host that this process runs on.
type Local struct {
	Executable string // this binary
	State      *State
	Store      *oci.Store // images, from where they are pushed to workers
	// Reclaim removes what the agents of these workers left behind of a run, and names it.
	Reclaim func(runID, dir string, workers []spec.Worker) (removed []string, err error)
}

// Run executes exp live. Functions are built before anything is started.
func Run(ctx context.Context, exp *spec.Experiment, host Local, o Options) (*result.Run, hcl.Diagnostics, error) {
	if err := host.reclaim(o); err != nil {
		return nil, nil, err
	}
	code, err := stage(ctx, exp, host.Store)
	if err != nil {
		return nil, nil, err
	}
	x, steps, err := begin(ctx, exp, o, result.Live)
	if err != nil {
		return nil, nil, err
	}
	dir, err := host.State.Run(x.run.Manifest.RunID)
	if err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	workers := allWorkers(exp)
	if err := writeWorkers(dir, workers); err != nil {
		return nil, nil, errors.Join(err, x.run.Close())
	}
	x.engine = &live{host: host, runID: x.run.Manifest.RunID, dir: dir, workers: workers, code: code, progress: x.progress}
	return x.execute(ctx, steps)
}

// reclaim removes the leftovers of runs that ended without cleaning up, and tells.
func (h Local) reclaim(o Options) error {
	return h.leftovers(func(id string, removed []string) {
		if o.Progress != nil {
			o.Progress(Progress{Stage: Reclaiming, Message: fmt.Sprintf("run %s was killed; reclaimed %s", id, listed(removed))})
		}
	})
}

// Clean removes the leftovers of runs that ended without cleaning up, and names them.
func (h Local) Clean() (removed []string, err error) {
	err = h.leftovers(func(id string, names []string) {
		removed = append(append(removed, names...), "the folder of run "+id)
	})
	return removed, err
}

// leftovers removes those of each run that is still there: we hold the lock, so it
// has ended without cleaning up.
func (h Local) leftovers(tell func(id string, removed []string)) error {
	ids, err := h.State.Leftovers()
	if err != nil {
		return err
	}
	for _, id := range ids {
		dir, err := h.State.Run(id)
		if err != nil {
			return err
		}
		workers, err := readWorkers(dir)
		if err != nil {
			return fmt.Errorf("reclaim what run %s left: %w", id, err)
		}
		removed, err := h.Reclaim(id, dir, workers)
		if err != nil {
			return fmt.Errorf("reclaim what run %s left: %w", id, err)
		}
		if err := h.State.Forget(id); err != nil {
			return fmt.Errorf("reclaim what run %s left: %w", id, err)
		}
		tell(id, removed)
	}
	return nil
}

func listed(removed []string) string {
	if len(removed) == 0 {
		return "its folder"
	}
	return strings.Join(removed, ", ")
}

// workersFile tells whoever reclaims a run what it was made with.
const workersFile = "workers.json"

// allWorkers are those of every point.
func allWorkers(exp *spec.Experiment) (all []spec.Worker) {
	for _, p := range exp.Points {
		all = append(all, p.Workers...)
	}
	return all
}

func writeWorkers(dir string, workers []spec.Worker) error {
	b, err := json.Marshal(workers)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, workersFile), b, 0o600)
}

// readWorkers is what writeWorkers wrote; nothing was started before that.
func readWorkers(dir string) (workers []spec.Worker, err error) {
	b, err := os.ReadFile(filepath.Join(dir, workersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &workers)
	}
	return workers, err
}

// stage builds the code of every function that has a source, once for each, and
// puts images into the store: a function is pinned to the digest from then on.
func stage(ctx context.Context, exp *spec.Experiment, store *oci.Store) (map[string][]byte, error) {
	code, digests := map[string][]byte{}, map[string]string{}
	for i := range exp.Points {
		for j := range exp.Points[i].Functions {
			f := &exp.Points[i].Functions[j]
			if ref := cmp.Or(f.Image, f.Base); ref != "" {
				key := ref + " " + f.Requirements
				if digests[key] == "" {
					digest, err := store.Pull(ctx, ref)
					if err == nil && f.Requirements != "" {
						digest, err = store.WithPackages(ctx, digest, f.Requirements)
					}
					if err != nil {
						return nil, fmt.Errorf("function %s: %w", f.Name, err)
					}
					digests[key] = digest
				}
				f.Digest = digests[key]
			}
			if f.Source == "" {
				continue
			}
			key := codeKey(*f)
			if code[key] == nil {
				staged, _, err := image.Stage(ctx, *f)
				if err != nil {
					return nil, fmt.Errorf("function %s: %w", f.Name, err)
				}
				code[key] = staged
			}
		}
	}
	return code, nil
}

func codeKey(f spec.Function) string { return f.Runtime + " " + f.Source }

// live is the engine of real time on this host.
type live struct {
	host     Local
	runID    string
	dir      string
	workers  []spec.Worker     // of all points
	code     map[string][]byte // by codeKey
	progress func(Progress)
}

func (*live) decisions() (string, bool) { return "", false }

// close removes what the run used, and what an agent that was killed has left.
func (l *live) close() error {
	_, err := l.host.Reclaim(l.runID, l.dir, l.workers)
	return errors.Join(err, l.host.State.Forget(l.runID))
}

// deployment is the daemons of one repeat.
type deployment struct {
	*live
	point     *spec.Point
	dir       string // for sockets, code and configuration; removed at the end
	results   string // the repeat's folder
	agents    []*daemon
	addresses []string // of workers
	balancer  *daemon
	target    string // where the load goes
	watch     context.Context
	lost      context.CancelCauseFunc // ends watch when a daemon ends by itself
	stopping  chan struct{}           // closed when daemons are meant to end
}

func (l *live) repeat(ctx context.Context, point *spec.Point, step plan.Step, dir string) (out outcome, err error) {
	d := &deployment{live: l, point: point, results: dir, stopping: make(chan struct{})}
	if d.dir, err = os.MkdirTemp(l.dir, "rep-"); err != nil {
		return outcome{}, err
	}
	d.watch, d.lost = context.WithCancelCause(ctx)
	defer d.lost(nil)
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.start(d.watch, step.Seed); err != nil {
		return outcome{}, d.cause(err)
	}
	if err := d.pushImages(d.watch); err != nil {
		return outcome{}, d.cause(err)
	}
	if err := d.register(d.watch); err != nil {
		return outcome{}, d.cause(err)
	}
	if out.limitations, err = d.limitations(d.watch); err != nil {
		return out, d.cause(err)
	}
	out.metrics = spec.RepeatMetrics{}
	for i := range point.Loads {
		got, err := d.load(point.Loads[i], step)
		if err != nil {
			return out, d.cause(err)
		}
		out.metrics[got.Load] = got.Metrics
		for _, reason := range got.Reasons {
			out.reasons = append(out.reasons, reason.Message)
		}
	}
	if d.watch.Err() != nil && ctx.Err() == nil {
		return out, context.Cause(d.watch)
	}
	return out, nil
}

// cause is the loss of a daemon where that is behind err.
func (d *deployment) cause(err error) error {
	if lost := context.Cause(d.watch); errors.Is(lost, errLost) {
		return lost
	}
	return err
}

var errLost = errors.New("ended in the middle of the run")

// start starts the balancer, whose chance comes from seed, and the agents and
// waits until they serve.
func (d *deployment) start(ctx context.Context, seed uint64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()
	var join []string
	if b := d.point.Balancer; b != nil {
		config, err := d.config("balancer", BalancerConfig{Balancer: *b, Seed: seed})
		if err != nil {
			return err
		}
		d.balancer, err = d.daemon("balancer "+b.Name, "balancer", nil, "balancer", "--lifeline", "--http", fmt.Sprintf("127.0.0.1:%d", b.Port), config)
		if err != nil {
			return err
		}
		ready, err := d.ready(ctx, d.balancer)
		if err != nil {
			return err
		}
		d.target, join = ready.Address, []string{"--balancer", ready.Address}
	}
	for i, w := range d.point.Workers {
		name := fmt.Sprintf("worker-%d", i+1)
		config, err := d.config(name, w)
		if err != nil {
			return err
		}
		env := make([]string, 0, len(w.Env))
		for _, key := range slices.Sorted(maps.Keys(w.Env)) {
			env = append(env, key+"="+w.Env[key])
		}
		args := append([]string{"agent", "--lifeline", "--run", d.runID, "--dir", filepath.Join(d.dir, name)}, join...)
		agent, err := d.daemon("worker "+w.Name, name, env, append(args, config)...)
		if err != nil {
			return err
		}
		d.agents = append(d.agents, agent)
	}
	for _, w := range d.agents {
		ready, err := d.ready(ctx, w)
		if err != nil {
			return err
		}
		d.addresses = append(d.addresses, ready.Address)
	}
	if d.balancer == nil {
		d.target = d.addresses[0]
		return d.healthy(ctx)
	}
	if err := d.healthy(ctx); err != nil {
		return err
	}
	return d.joined(ctx)
}

func (d *deployment) config(name string, v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	path := filepath.Join(d.dir, name+".json")
	return path, os.WriteFile(path, b, 0o600)
}

// daemon starts a role.
func (d *deployment) daemon(name, log string, env []string, args ...string) (*daemon, error) {
	return startDaemon(d.host.Executable, name, filepath.Join(d.results, "logs", log+".log"), env, args...)
}

// ready waits until a daemon serves, and watches it from then on.
func (d *deployment) ready(ctx context.Context, p *daemon) (Ready, error) {
	ready, err := p.ready(ctx)
	if err != nil {
		return Ready{}, err
	}
	go func() {
		<-p.exited
		select {
		case <-d.stopping:
		default:
			d.lost(fmt.Errorf("%s %w (%s)", p.name, errLost, ending(p)))
		}
	}()
	return ready, nil
}

func ending(p *daemon) string {
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return p.cmd.ProcessState.String()
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// healthy waits until every agent says that it serves.
func (d *deployment) healthy(ctx context.Context) error {
	for i, address := range d.addresses {
		conn, err := dial(address)
		if err != nil {
			return err
		}
		reply, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err := errors.Join(err, conn.Close()); err != nil {
			return fmt.Errorf("%s: health: %w", d.agents[i].name, err)
		}
		if reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("%s: health: %v", d.agents[i].name, reply.GetStatus())
		}
	}
	return nil
}

// joined waits until every worker is a member of the balancer.
func (d *deployment) joined(ctx context.Context) error {
	conn, err := dial(d.target)
	if err != nil {
		return err
	}
	defer conn.Close()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		reply, err := pb.NewMembershipClient(conn).Members(ctx, &pb.MembersRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return fmt.Errorf("balancer: %w", err)
		}
		if len(reply.GetMembers()) >= len(d.agents) {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d workers joined the balancer: %w", len(reply.GetMembers()), len(d.agents), context.Cause(ctx))
		}
	}
}

// register adds the functions at the target and makes the sandboxes they want ahead.
func (d *deployment) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not prewarmed after %v", startTimeout))
	defer cancel()
	conn, err := dial(d.target)
	if err != nil {
		return err
	}
	defer conn.Close()
	functions := pb.NewFunctionsClient(conn)
	for _, f := range d.point.Functions {
		j, err := json.Marshal(f)
		if err != nil {
			return err
		}
		if _, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: j, Code: d.code[codeKey(f)]}); err != nil {
			return fmt.Errorf("register function %s: %w", f.Name, err)
		}
	}
	var warm errgroup.Group
	warm.SetLimit(4)
	for _, f := range d.point.Functions {
		if f.Prewarm == 0 {
			continue
		}
		warm.Go(func() error {
			_, err := functions.Prewarm(ctx, &pb.PrewarmRequest{Function: f.Name, Count: int32(f.Prewarm)})
			if err != nil {
				return fmt.Errorf("prewarm function %s: %w", f.Name, err)
			}
			return nil
		})
	}
	return warm.Wait()
}

// limitations asks each agent what its isolation could not apply.
func (d *deployment) limitations(ctx context.Context) (map[string][]string, error) {
	limits := map[string][]string{}
	for _, address := range d.addresses {
		conn, err := dial(address)
		if err != nil {
			return nil, err
		}
		reply, err := pb.NewAgentClient(conn).Status(ctx, &pb.StatusRequest{})
		if err := errors.Join(err, conn.Close()); err != nil {
			return nil, fmt.Errorf("status of %s: %w", address, err)
		}
		limits[reply.GetWorker()] = slices.Clone(reply.GetLimitations())
	}
	return limits, nil
}

// load runs a load generator to its end. When the watch ends it is told to
// stop, and what it measured is kept.
func (d *deployment) load(load spec.Load, step plan.Step) (client.Outcome, error) {
	path, err := d.config("load", client.Job{
		Point: *d.point, Load: load.Name, RunID: d.runID, Repeat: step.Repeat, Seed: step.Seed, Target: d.target, Dir: d.results,
	})
	if err != nil {
		return client.Outcome{}, err
	}
	p, err := startDaemon(d.host.Executable, "load "+load.Name, filepath.Join(d.results, "logs", "load.log"), nil, "load", "--lifeline", path)
	if err != nil {
		return client.Outcome{}, err
	}
	stop := context.AfterFunc(d.watch, func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	lines := bufio.NewScanner(p.lines)
	for lines.Scan() {
		d.progress(Progress{Point: d.point, Repeat: step.Repeat, Stage: Loading, Load: slices.Clone(lines.Bytes())})
	}
	<-p.exited
	if err := p.release(); err != nil {
		return client.Outcome{}, err
	}
	if p.err != nil {
		return client.Outcome{}, fmt.Errorf("%s: %w%s", p.name, p.err, p.lastWords())
	}
	b, err := os.ReadFile(filepath.Join(d.results, "load.json"))
	if err != nil {
		return client.Outcome{}, err
	}
	var out client.Outcome
	return out, json.Unmarshal(b, &out)
}

// stop ends the daemons, keeps what sandboxes printed, and removes the rest.
func (d *deployment) stop() error {
	close(d.stopping)
	daemons := d.agents
	if d.balancer != nil {
		daemons = append(slices.Clone(daemons), d.balancer)
	}
	errs := make([]error, len(daemons))
	var stopped errgroup.Group
	for i, p := range daemons {
		stopped.Go(func() error {
			errs[i] = p.stop()
			return nil
		})
	}
	_ = stopped.Wait() // errors are in errs, all of them
	for i := range d.agents {
		errs = append(errs, d.keepLogs(fmt.Sprintf("worker-%d", i+1)))
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// keepLogs copies the logs of a worker's sandboxes into the repeat's folder.
// Functions can reach the folder: what is no plain file there is not a log.
func (d *deployment) keepLogs(worker string) error {
	from, to := filepath.Join(d.dir, worker, "logs"), filepath.Join(d.results, "logs", worker)
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err, os.MkdirAll(to, 0o755)}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, e.Name()))
		errs = append(errs, err)
		if err == nil {
			errs = append(errs, os.WriteFile(filepath.Join(to, e.Name()), content, 0o644))
		}
	}
	return errors.Join(errs...)
}
