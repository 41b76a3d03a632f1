package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/ainur-faas/ainur/agent/bench"
	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/client"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

// warmFlags are those of bench warm.
type warmFlags struct {
	sandboxes []string
	functions []string
	clients   []int
	rounds    int
	each      time.Duration
	socket    string
}

// shares of the highest rate that an open loop has.
var shares = []float64{0.2, 0.5, 0.8}

func (c *cli) benchWarmCommand() *cobra.Command {
	flags := warmFlags{sandboxes: []string{"process"}, functions: []string{"go", "python"}, clients: []int{1, 2, 4, 16}, rounds: 5, each: time.Second}
	serve := ""
	cmd := &cobra.Command{
		Use:   "warm",
		Short: "How long a warm invocation takes on each part of its path, beside an echo",
		Long: `Measures, in turn and again in each round, the medians of which are shown:

  echo      a frame to another process and back over a Unix socket pair: the floor
  grpc      a unary call to another process on loopback
  agent     the agent's side of an invocation, to a sandbox and back
  client    load generator, agent, sandbox, and back
  balancer  load generator, balancer, agent, sandbox, and back

in a closed loop with so many clients, and in an open loop at 20, 50 and 80 % of the most that
was found, with the echo at the same rates. Everything runs on this host, and shares its cores.`,
		Example: `  ainur bench warm
  ainur bench warm --function python --clients 1,1000 --each 5s -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch serve {
			case "echo":
				return bench.ServeEcho()
			case "grpc":
				return serveHealth()
			}
			if flags.rounds < 1 || flags.each < 100*time.Millisecond || slices.ContainsFunc(flags.clients, func(n int) bool { return n < 1 }) {
				return exit(exitUsage, errors.New("--rounds and --clients are 1 or more, --each is 100ms or more"))
			}
			return c.benchWarm(cmd.Context(), flags)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&flags.sandboxes, "sandbox", flags.sandboxes, "kinds of isolation: process, containerd, docker")
	f.StringSliceVar(&flags.functions, "function", flags.functions, "what is called: go, python")
	f.IntSliceVar(&flags.clients, "clients", flags.clients, "that call at a time")
	f.IntVar(&flags.rounds, "rounds", flags.rounds, "times that each is measured")
	f.DurationVar(&flags.each, "each", flags.each, "how long each is measured in a round")
	f.StringVar(&flags.socket, "socket", "", "of the daemon, where that is not where it usually listens")
	f.StringVar(&serve, "serve", "", "be the other side of echo or grpc, on descriptor 3")
	if err := f.MarkHidden("serve"); err != nil {
		panic(err)
	}
	return cmd
}

// warmPath is a part of the path with a way to measure it.
type warmPath struct {
	bench.WarmRow
	closed func(ctx context.Context, clients int) (bench.WarmRow, error)
	open   func(ctx context.Context, rate float64) (bench.WarmRow, error) // nil: it has none
	most   float64                                                        // calls per second that were reached
}

func (c *cli) benchWarm(ctx context.Context, flags warmFlags) (err error) {
	dir, err := os.MkdirTemp("", "ainur-bench-warm-")
	if err != nil {
		return err
	}
	var closers []func() error
	closers = append(closers, func() error { return os.RemoveAll(dir) })
	defer func() {
		for _, f := range slices.Backward(closers) {
			err = errors.Join(err, f())
		}
	}()
	here, err := openHere()
	if err != nil {
		return err
	}
	closers = append(closers, here.Close)
	if err := orchestrator.Leftovers(ctx, here, func(string, []string) {}); err != nil {
		return err
	}
	b := &warmBench{cli: c, here: here, flags: flags, dir: dir, opened: func(f func() error) { closers = append(closers, f) }}
	paths, err := b.paths(ctx)
	if err != nil {
		return err
	}
	rows, err := b.measure(ctx, paths)
	if err != nil {
		return err
	}
	c.data = map[string]any{"rows": rows}
	if c.output == "json" {
		return nil
	}
	return writeWarm(c, rows)
}

// warmBench measures warm invocations.
type warmBench struct {
	*cli
	flags  warmFlags
	dir    string
	here   *node.Supervisor
	opened func(closer func() error)
}

// key is what rows of several rounds have in common.
type key struct {
	path, sandbox, function string
	clients                 int
	share                   float64 // of the most of the path client or balancer
	of                      string
}

func (b *warmBench) measure(ctx context.Context, paths []*warmPath) ([]bench.WarmRow, error) {
	var order []key
	seen := map[key][]bench.WarmRow{}
	add := func(k key, r bench.WarmRow) {
		if seen[k] == nil {
			order = append(order, k)
		}
		seen[k] = append(seen[k], r)
	}
	for round := range b.flags.rounds {
		for _, n := range b.flags.clients {
			for _, p := range paths {
				b.say("round %d: %s %s %s, %d clients", round+1, p.Path, p.Sandbox, p.Function, n)
				r, err := p.closed(ctx, n)
				if err != nil {
					return nil, fmt.Errorf("%s %s %s: %w", p.Path, p.Sandbox, p.Function, err)
				}
				p.most = max(p.most, r.Throughput)
				add(key{p.Path, p.Sandbox, p.Function, n, 0, ""}, r)
			}
		}
	}
	for round := range b.flags.rounds {
		for _, p := range paths[1:] {
			if p.open == nil {
				continue
			}
			for _, share := range shares {
				b.say("round %d: %s %s %s, open loop at %g of the most", round+1, p.Path, p.Sandbox, p.Function, share)
				for _, one := range []*warmPath{p, paths[0]} {
					r, err := one.open(ctx, share*p.most)
					if err != nil {
						return nil, err
					}
					add(key{one.Path, one.Sandbox, one.Function, 0, share, p.Path + p.Sandbox + p.Function}, r)
				}
			}
		}
	}
	echoes := map[key]int64{}
	rows := make([]bench.WarmRow, 0, len(order))
	for _, k := range order {
		r := median(seen[k])
		if k.path == "echo" {
			echoes[key{clients: k.clients, share: k.share, of: k.of}] = r.P50
		}
		rows = append(rows, r)
	}
	for i, k := range order {
		of := k.of
		rows[i].Ratio = float64(rows[i].P50) / float64(echoes[key{clients: k.clients, share: k.share, of: of}])
	}
	return rows, nil
}

func (b *warmBench) say(format string, args ...any) {
	if !b.quiet {
		fmt.Fprintf(b.stderr, format+"\n", args...)
	}
}

// median has of each figure the median over rounds.
func median(rounds []bench.WarmRow) bench.WarmRow {
	r := rounds[0]
	mid := func(of func(*bench.WarmRow) float64) float64 {
		var all []float64
		for i := range rounds {
			all = append(all, of(&rounds[i]))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	for _, at := range []func(*bench.WarmRow) *int64{
		func(r *bench.WarmRow) *int64 { return &r.P50 }, func(r *bench.WarmRow) *int64 { return &r.P90 },
		func(r *bench.WarmRow) *int64 { return &r.P99 }, func(r *bench.WarmRow) *int64 { return &r.P999 },
		func(r *bench.WarmRow) *int64 { return &r.Max }, func(r *bench.WarmRow) *int64 { return &r.CPU },
	} {
		*at(&r) = int64(mid(func(r *bench.WarmRow) float64 { return float64(*at(r)) }))
	}
	r.Throughput = mid(func(r *bench.WarmRow) float64 { return r.Throughput })
	r.Allocations = mid(func(r *bench.WarmRow) float64 { return r.Allocations })
	return r
}

// paths makes all that is measured ready; the echo is the first.
func (b *warmBench) paths(ctx context.Context) ([]*warmPath, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	echo, err := bench.NewEcho(slices.Max(b.flags.clients), executable, "bench", "warm", "--serve", "echo")
	if err != nil {
		return nil, err
	}
	b.opened(func() error { echo.Close(); return nil })
	few, err := bench.NewEcho(2, executable, "bench", "warm", "--serve", "echo")
	if err != nil {
		return nil, err
	}
	b.opened(func() error { few.Close(); return nil })
	all := []*warmPath{loop("echo", "", "", b.flags.each, echo.Call)}
	all[0].open = func(ctx context.Context, rate float64) (bench.WarmRow, error) {
		r := bench.WarmRow{Path: "echo", Rate: rate}
		s, err := few.Open(ctx, rate, b.flags.each, 1)
		s.Fill(&r)
		return r, err
	}
	unary, err := b.grpc(ctx, executable)
	if err != nil {
		return nil, err
	}
	all = append(all, unary)
	for _, kind := range b.flags.sandboxes {
		for _, function := range b.flags.functions {
			some, err := b.subject(ctx, kind, function)
			if err != nil {
				return nil, fmt.Errorf("%s in %s: %w", function, kind, err)
			}
			all = append(all, some...)
		}
	}
	return all, nil
}

func loop(name, sandbox, function string, each time.Duration, call func(client int) error) *warmPath {
	p := &warmPath{WarmRow: bench.WarmRow{Path: name, Sandbox: sandbox, Function: function}}
	p.closed = func(_ context.Context, n int) (bench.WarmRow, error) {
		r := p.WarmRow
		r.Clients = n
		s, err := bench.Loop(n, each, call)
		s.Fill(&r)
		return r, err
	}
	return p
}

// grpc is a health check of another process, without whom there is nothing
// between two ends of gRPC.
func (b *warmBench) grpc(ctx context.Context, executable string) (*warmPath, error) {
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	socket, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	cmd := exec.Command(executable, "bench", "warm", "--serve", "grpc")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{socket}, b.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b.opened(func() error { return errors.Join(stdin.Close(), cmd.Wait()) })
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return nil, err
	}
	b.opened(conn.Close)
	check := grpc_health_v1.NewHealthClient(conn)
	return loop("grpc", "", "", b.flags.each, func(int) error {
		_, err := check.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}), nil
}

// serveHealth serves on descriptor 3 until standard input ends.
func serveHealth() error {
	listener, err := net.FileListener(os.NewFile(3, "socket"))
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with whoever started this
		server.Stop()
	}()
	return server.Serve(listener)
}

// subject is a function in a kind of sandbox, on all parts of the path.
func (b *warmBench) subject(ctx context.Context, kind, function string) ([]*warmPath, error) {
	dir := filepath.Join(b.dir, kind+"-"+function)
	if err := os.MkdirAll(filepath.Join(dir, "code"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "code", "main.py"), []byte("def main(args):\n    return args\n"), 0o644); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "warm.ainur.hcl")
	if err := os.WriteFile(file, []byte(warmExperiment(kind, function, b.flags.socket)), 0o644); err != nil {
		return nil, err
	}
	m, ok := b.load([]string{file}, hcl.Options{Facts: factsIn(map[string]spec.Facts{})})
	if !ok {
		return nil, errSpec
	}
	var all []*warmPath
	for _, name := range []string{"client", "balancer"} {
		exp, err := b.evaluate(m, name, schema.Live)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 {
			direct, err := b.direct(ctx, kind, function, exp, dir)
			if err != nil {
				return nil, err
			}
			all = append(all, direct)
		}
		p, err := b.served(ctx, name, kind, function, exp, filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// direct is the agent's side alone, in this process.
func (b *warmBench) direct(ctx context.Context, kind, function string, exp *spec.Experiment, dir string) (*warmPath, error) {
	p := exp.Points[0]
	config := sandbox.Config{Function: p.Functions[0]}
	store := images()
	code, err := orchestrator.Build(ctx, exp, store)
	if err != nil {
		return nil, err
	}
	config.Image = p.Functions[0].Digest
	if archive := code[orchestrator.CodeKey(p.Functions[0])]; len(archive) > 0 {
		config.Code = filepath.Join(dir, "unpacked")
		if err := image.Unpack(archive, config.Code); err != nil {
			return nil, err
		}
	}
	runID := fmt.Sprintf("bench-%d-%d", os.Getpid(), time.Now().UnixNano())
	isolation, err := openIsolation(ctx, p.Workers[0], filepath.Join(dir, "sandboxes"), runID, store, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	b.opened(isolation.Close)
	var boxes []sandbox.Sandbox
	for i := range min(slices.Max(b.flags.clients), 16) {
		config.ID = "warm-" + strconv.Itoa(i)
		box, err := isolation.Create(ctx, config)
		if err != nil {
			return nil, err
		}
		b.opened(box.Remove)
		boxes = append(boxes, box)
	}
	busy := make([]sync.Mutex, len(boxes)) // each runs one invocation at a time
	return loop("agent", kind, function, b.flags.each, func(i int) error {
		i %= len(boxes)
		busy[i].Lock()
		defer busy[i].Unlock()
		_, err := boxes[i].Invoke(ctx, []byte("{}"))
		return err
	}), nil
}

// served is the path from a load generator in this process to the daemons of exp.
func (b *warmBench) served(ctx context.Context, name, kind, function string, exp *spec.Experiment, dir string) (*warmPath, error) {
	store := images()
	code, err := orchestrator.Build(ctx, exp, store)
	if err != nil {
		return nil, err
	}
	site, err := orchestrator.Local(exp, b.here, store, code)
	if err != nil {
		return nil, err
	}
	daemons, err := orchestrator.Serve(ctx, exp, site, dir)
	if err != nil {
		return nil, err
	}
	b.opened(daemons.Close)
	p := &warmPath{WarmRow: bench.WarmRow{Path: name, Sandbox: kind, Function: function}}
	send := func(ctx context.Context, r bench.WarmRow, a spec.Arrival) (bench.WarmRow, error) {
		point := exp.Points[0]
		load := point.Loads[0]
		load.OnSaturation, load.LagLimit, load.MaxInFlight = "record", 0, 100_000
		load.Phases = []spec.Phase{
			{Name: "warmup", Duration: b.flags.each / 10, Arrival: a}, {Name: "main", Duration: b.flags.each, Record: true, Arrival: a},
		}
		point.Loads = []spec.Load{load}
		cpu := bench.TreeCPU()
		out, err := client.Run(ctx, client.Job{
			Point: point, Load: load.Name, Target: daemons.Target, TLS: daemons.TLS, Repeat: 1, Seed: 1, Dir: filepath.Join(dir, "measured"),
		}, nil)
		if err != nil {
			return r, errors.Join(err, daemons.Lost())
		}
		l := out.Metrics
		if l.Failed > 0 {
			return r, fmt.Errorf("%d of %d calls failed: %v", l.Failed, l.Offered, l.Statuses)
		}
		r.P50, r.P90, r.P99, r.P999, r.Max = int64(l.Latency.P50), int64(l.Latency.P90), int64(l.Latency.P99), int64(l.Latency.P999), int64(l.Latency.Max)
		r.Throughput = l.ThroughputPerSecond
		if kind == "process" { // the sandboxes of others are not below this process
			r.CPU = int64(bench.TreeCPU()-cpu) / max(1, l.Completed)
		}
		return r, nil
	}
	p.closed = func(ctx context.Context, n int) (bench.WarmRow, error) {
		r := p.WarmRow
		r.Clients = n
		return send(ctx, r, spec.Arrival{Model: "closed", Clients: n})
	}
	p.open = func(ctx context.Context, rate float64) (bench.WarmRow, error) {
		r := p.WarmRow
		r.Rate = rate
		return send(ctx, r, spec.Arrival{Model: "poisson", RatePerSecond: rate})
	}
	return p, nil
}

// warmExperiment has an experiment for each of the paths that have daemons.
func warmExperiment(kind, function, socket string) string {
	code := `builtin = "hello"`
	if function == "python" {
		code = "runtime = \"python3\"\n  source  = \"code\""
	}
	container := ""
	if socket != "" {
		container = fmt.Sprintf("\n  container {\n    socket = %q\n  }\n", socket)
	}
	return fmt.Sprintf(`
cluster "here" {
  host "me" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on        = cluster.here.host.me
  isolation = %q
%s}

balancer "b" {
  on      = cluster.here.host.me
  workers = [worker.w]
}

function "f" {
  %s
  memory  = "64MiB"
  cpus    = 0.125
  prewarm = 1
}

load "direct" {
  target   = worker.w
  from     = [cluster.here.host.me]
  call     = function.f
  duration = "1s"

  arrival "closed" {
    clients = 1
  }
}

load "through" {
  target   = balancer.b
  from     = [cluster.here.host.me]
  call     = function.f
  duration = "1s"

  arrival "closed" {
    clients = 1
  }
}

experiment "client" {
  title   = "Load generator to sandbox"
  cluster = cluster.here
  worker  = worker.w
  load    = load.direct
  seed    = 1
}

experiment "balancer" {
  title    = "Load generator to sandbox, through a balancer"
  cluster  = cluster.here
  worker   = worker.w
  balancer = balancer.b
  load     = load.through
  seed     = 1
}
`, kind, container, code)
}

func writeWarm(c *cli, rows []bench.WarmRow) error {
	number := func(name, unit string) report.Column { return report.Column{Name: name, Unit: unit, Number: true} }
	t := report.Table{Columns: []report.Column{
		{Name: "path"},
		{Name: "sandbox"},
		{Name: "function"},
		number("clients", ""), number("rate", "/s"), number("p50", "µs"), number("p90", "µs"), number("p99", "µs"), number("p99.9", "µs"),
		number("max", "µs"), number("calls", "/s"), number("CPU", "µs"), number("allocs", ""), number("of echo", ""),
	}}
	us := func(ns int64) string { return strconv.FormatFloat(float64(ns)/1e3, 'f', 1, 64) }
	whole := func(v float64) string { return strconv.FormatFloat(v, 'f', 0, 64) }
	for _, r := range rows {
		clients, rate := strconv.Itoa(r.Clients), "closed"
		if r.Clients == 0 {
			clients, rate = "open", whole(r.Rate)
		}
		t.Rows = append(t.Rows, []string{
			r.Path, r.Sandbox, r.Function, clients, rate, us(r.P50), us(r.P90), us(r.P99), us(r.P999), us(r.Max), whole(r.Throughput), us(r.CPU),
			strconv.FormatFloat(r.Allocations, 'f', 1, 64), strconv.FormatFloat(r.Ratio, 'f', 2, 64),
		})
	}
	return t.Write(c.stdout)
}
