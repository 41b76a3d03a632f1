package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/agent/image/push"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// startTimeout is how long daemons may take to serve, and functions to be prewarmed.
const startTimeout = 60 * time.Second

// BalancerConfig is the file that a balancer is started with.
type BalancerConfig struct {
	spec.Balancer
	Seed uint64 `json:"seed"` // of the repeat
}

// deployment is the daemons of one repeat.
type deployment struct {
	*live
	point     *spec.Point
	name      string // of the repeat, before those of its daemons
	results   string // the repeat's folder
	creds     credentials.TransportCredentials
	agents    []*daemon
	addresses []string // of workers
	balancer  *daemon
	target    string // where the load goes
	watch     context.Context
	lost      context.CancelCauseFunc // ends watch when a daemon ends by itself
	stopping  chan struct{}           // closed when daemons are meant to end
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
		var err error
		args := []string{"--http", fmt.Sprintf("127.0.0.1:%d", b.Port)}
		if d.balancer, err = d.serve(ctx, b.Host, "balancer "+b.Name, "balancer", "balancer", BalancerConfig{Balancer: *b, Seed: seed}, nil, args...); err != nil {
			return err
		}
		ready, err := d.ready(ctx, d.balancer)
		if err != nil {
			return err
		}
		d.target, join = ready.Address, []string{"--balancer", ready.Address}
	}
	for i, w := range d.point.Workers {
		env := make([]string, 0, len(w.Env))
		for _, key := range slices.Sorted(maps.Keys(w.Env)) {
			env = append(env, key+"="+w.Env[key])
		}
		args := append([]string{"--run", d.run, "--dir", "{dir}/agent"}, join...)
		agent, err := d.serve(ctx, w.Host, "worker "+w.Name, "agent", fmt.Sprintf("worker-%d", i+1), w, env, args...)
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
	}
	if err := d.healthy(ctx); err != nil || d.balancer == nil {
		return err
	}
	return d.joined(ctx)
}

// serve starts a role on a host, with its configuration and where to listen.
func (d *deployment) serve(ctx context.Context, on, label, role, name string, config any, env []string, args ...string) (*daemon, error) {
	b, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	host, ok := d.Hosts[on]
	if !ok {
		return nil, fmt.Errorf("start %s: there is no host %q", label, on)
	}
	args = append([]string{role, "--lifeline", "--listen", net.JoinHostPort(host.Address, "0"), "--tls", host.TLS}, args...)
	return startDaemon(ctx, on, host, label, node.Task{
		Run: d.run, Name: d.name + "." + name, Args: append(args, "{dir}/config.json"), Env: env, Files: map[string][]byte{"config.json": b}, Lease: lease,
	}, nil)
}

// ready waits until a daemon serves, and watches it from then on.
func (d *deployment) ready(ctx context.Context, p *daemon) (node.Ready, error) {
	ready, err := p.serving(ctx)
	if err != nil {
		return node.Ready{}, err
	}
	go func() {
		select {
		case <-d.stopping:
			return
		case <-p.ended:
		}
		select {
		case <-d.stopping:
		default:
			how := p.exit.How()
			if p.err != nil {
				how = p.err.Error()
			}
			d.lost(fmt.Errorf("%s %w (%s)", p.label, errLost, how))
		}
	}()
	return ready, nil
}

func (d *deployment) dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(d.creds), grpc.WithNoProxy())
}

// healthy waits until every agent says that it serves.
func (d *deployment) healthy(ctx context.Context) error {
	for i, address := range d.addresses {
		conn, err := d.dial(address)
		if err != nil {
			return err
		}
		reply, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true))
		if err := errors.Join(err, conn.Close()); err != nil {
			return fmt.Errorf("%s: health: %w", d.agents[i].label, err)
		}
		if reply.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("%s: health: %v", d.agents[i].label, reply.GetStatus())
		}
	}
	return nil
}

// joined waits until every worker is a member of the balancer.
func (d *deployment) joined(ctx context.Context) error {
	conn, err := d.dial(d.target)
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

// pushImages gives every worker the images of the functions.
func (d *deployment) pushImages(ctx context.Context) error {
	digests := images(d.point)
	if len(digests) == 0 {
		return nil
	}
	for i, address := range d.addresses {
		conn, err := d.dial(address)
		if err != nil {
			return err
		}
		if err := errors.Join(push.Images(ctx, conn, d.Store, digests), conn.Close()); err != nil {
			return fmt.Errorf("push images to %s: %w", d.agents[i].label, err)
		}
	}
	return nil
}

// register adds the functions at the target and makes the sandboxes they want ahead.
func (d *deployment) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not prewarmed after %v", startTimeout))
	defer cancel()
	conn, err := d.dial(d.target)
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
		if _, err := functions.Register(ctx, &pb.RegisterRequest{FunctionJson: j, Code: d.Code[CodeKey(f)]}); err != nil {
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
		conn, err := d.dial(address)
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

// traces is a point with the files of its traces where a host has them.
func (d *deployment) traces(on string, p spec.Point) (spec.Point, error) {
	if on == d.Here {
		return p, nil
	}
	p.Loads = slices.Clone(p.Loads)
	for i := range p.Loads {
		p.Loads[i].Phases = slices.Clone(p.Loads[i].Phases)
		for j := range p.Loads[i].Phases {
			t := p.Loads[i].Phases[j].Arrival.Trace
			if t == nil {
				continue
			}
			there := *t
			for _, path := range []*string{&there.Path, &there.Metadata} {
				if *path == "" {
					continue
				}
				name := "traces/" + t.SHA256 + "-" + filepath.Base(*path)
				if err := d.give(on, name, *path); err != nil {
					return p, fmt.Errorf("trace %s: %w", t.Name, err)
				}
				*path = filepath.Join("..", name)
			}
			p.Loads[i].Phases[j].Arrival.Trace = &there
		}
	}
	return p, nil
}

// give puts a file of this host into the run's folder on another, once.
func (d *deployment) give(on, name, path string) error {
	host := d.Hosts[on]
	have, err := host.Files(d.watch, d.run, name)
	if err != nil || len(have) > 0 {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return host.Put(d.watch, d.run, name, f)
}

// stop ends the daemons, and keeps what they and their sandboxes printed.
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
	for _, p := range daemons {
		errs = append(errs, d.keepLog(p))
	}
	for _, p := range d.agents {
		errs = append(errs, d.keepFolder(p, "agent/logs", filepath.Join(d.results, "logs", d.short(p))))
	}
	return errors.Join(errs...)
}

// short is the name of a daemon in the results.
func (d *deployment) short(p *daemon) string { return strings.TrimPrefix(p.task.Name, d.name+".") }

// keepLog copies what a daemon said into the results.
func (d *deployment) keepLog(p *daemon) error {
	log := p.task.Name + ".log"
	return d.keep(p.host, log, func(string) string { return filepath.Join(d.results, "logs", d.short(p)+".log") })
}

// keepFolder copies the files below a folder of a daemon's into a folder of the results.
func (d *deployment) keepFolder(p *daemon, folder, to string) error {
	prefix := p.task.Name + "/" + folder
	return d.keep(p.host, prefix, func(path string) string { return filepath.Join(to, strings.TrimPrefix(path, prefix+"/")) })
}

// collectTimeout bounds the copying of what one daemon left.
const collectTimeout = 10 * time.Minute

// maxKept bounds a file that a daemon left, in bytes.
const maxKept = 16 << 30

// keep copies a file of a host's, or all below a folder, to where each belongs. They
// are whole: their content is what the host says it is.
func (d *deployment) keep(host Host, path string, to func(path string) string) error {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	files, err := host.Files(ctx, d.run, path)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Size > maxKept {
			return fmt.Errorf("%s is of %d bytes, more than the %d that are kept", f.Path, f.Size, int64(maxKept))
		}
		if err := fetch(ctx, host, d.run, f, to(f.Path)); err != nil {
			return fmt.Errorf("keep %s: %w", f.Path, err)
		}
	}
	return nil
}
