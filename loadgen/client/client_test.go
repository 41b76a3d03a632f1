package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/ainur-faas/ainur/agent/agentpb"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/multiplex"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is a Functions service in this process. What it does is in the name
// of the function it is asked for.
type target struct {
	agentpb.UnimplementedFunctionsServer
	unary   bool // speak gRPC alone
	bootID  string
	seen    atomic.Int64
	mu      sync.Mutex
	tids    map[string]int
	address string
	server  *grpc.Server
	conns   []net.Conn
	stopped chan struct{}
}

func newTarget(t testing.TB, configure ...func(*target)) *target {
	t.Helper()
	f := &target{bootID: mono.BootID(), tids: map[string]int{}}
	for _, c := range configure {
		c(f)
	}
	f.listen(t, "127.0.0.1:0")
	t.Cleanup(func() {
		f.server.Stop()
		<-f.stopped
	})
	return f
}

func (f *target) listen(t testing.TB, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	f.address = l.Addr().String()
	f.server = grpc.NewServer()
	calls := multiplex.NewServer(agentpb.HandleCalls(func(ctx context.Context, q *agentpb.InvokeRequest) *agentpb.InvokeReply {
		r, err := f.answer(ctx, q)
		switch {
		case ctx.Err() != nil:
			return &agentpb.InvokeReply{Tid: q.Tid, Outcome: agentpb.Outcome_TIMEOUT}
		case err != nil:
			f.cut()
		}
		return r
	}))
	if !f.unary {
		f.server = grpc.NewServer(grpc.Creds(calls.Credentials(insecure.NewCredentials())))
	}
	agentpb.RegisterFunctionsServer(f.server, f)
	stopped, server := make(chan struct{}), f.server
	f.stopped = stopped
	go func() {
		server.Serve(&listener{l, f})
		calls.Close()
		close(stopped)
	}()
}

// listener keeps the connections of a target.
type listener struct {
	net.Listener
	f *target
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.f.mu.Lock()
		defer l.f.mu.Unlock()
		l.f.conns = append(l.f.conns, conn)
	}
	return conn, err
}

// cut ends every connection.
func (f *target) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
}

func (f *target) answer(ctx context.Context, q *agentpb.InvokeRequest) (*agentpb.InvokeReply, error) {
	accepted := mono.Now()
	f.mu.Lock()
	f.tids[q.Tid]++
	f.mu.Unlock()
	r := &agentpb.InvokeReply{
		Tid: q.Tid, Outcome: agentpb.Outcome_OK, Worker: "w1", ColdKind: agentpb.ColdKind_WARM, ResultJson: []byte(`"hi"`),
		AcceptedMonotonicNs: int64(accepted), BootId: f.bootID,
		QueuedNs: 10, DequeuedNs: 20, SandboxReadyNs: 30, ExecStartNs: 40, ExecEndNs: 5000, MemoryBytes: 1 << 20,
	}
	n := f.seen.Add(1)
	switch q.Function {
	case "slow":
		time.Sleep(20 * time.Millisecond)
	case "never":
		<-ctx.Done()
		return nil, ctx.Err()
	case "raises":
		r.Outcome, r.Error = agentpb.Outcome_USER_ERROR, strings.Repeat("no good. ", 100)
	case "refused":
		r.Outcome, r.AcceptedMonotonicNs, r.BootId, r.Worker = agentpb.Outcome_REFUSED, 0, "", ""
	case "breaks": // every fifth call ends the connection
		if n%5 == 0 {
			return nil, status.Error(codes.Internal, "connection broken on purpose")
		}
	}
	r.RepliedNs = int64(mono.Now() - accepted)
	return r, nil
}

func (f *target) Invoke(ctx context.Context, q *agentpb.InvokeRequest) (*agentpb.InvokeReply, error) {
	return f.answer(ctx, q)
}

// constant is a load of one phase, rate calls a second of each function.
func constant(rate float64, d time.Duration, functions ...string) spec.Load {
	l := spec.Load{Name: "main", OnSaturation: "invalid", Timeout: 5 * time.Second, MeasureFrom: "intended", MaxInFlight: 1000}
	for _, f := range functions {
		l.Mix = append(l.Mix, spec.Weight{Function: f, Weight: 1 / float64(len(functions))})
	}
	a := spec.Arrival{Model: "constant", RatePerSecond: rate * float64(len(functions))}
	l.Phases = []spec.Phase{{Name: "main", Duration: d, Record: true, Arrival: a}}
	return l
}

func job(t testing.TB, target string, load spec.Load) Job {
	return Job{Point: spec.Point{ID: "0badcafe", Loads: []spec.Load{load}}, Load: load.Name, RunID: "01RUN", Repeat: 1, Seed: 7, Target: target, Dir: t.TempDir()}
}

// run runs a job and checks what holds for every one: what is on disk is what
// is returned, every arrival is one row with a status, times never decrease.
func run(t *testing.T, ctx context.Context, j Job) (Outcome, []measure.Call) {
	t.Helper()
	o, err := Run(ctx, j, nil)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := measure.ReadCalls(filepath.Join(j.Dir, "calls.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, s := range measure.Statuses {
		known[s] = true
	}
	tids := map[string]bool{}
	for i, c := range calls {
		if c.Seq != int64(i) {
			t.Fatalf("row %d has seq %d: a row is lost or double", i, c.Seq)
		}
		if !known[c.Status] {
			t.Errorf("row %d has status %q", i, c.Status)
		}
		if tids[c.TID] {
			t.Errorf("tid %s is used twice", c.TID)
		}
		tids[c.TID] = true
		if (c.Sent == measure.Missing) != (c.Status == measure.Dropped) {
			t.Errorf("row %d: status %s, sent at %d", i, c.Status, c.Sent)
		}
		var sum time.Duration
		for _, p := range measure.Phases(c) {
			if p.Duration < 0 {
				t.Errorf("row %d: phase %s takes %v", i, p.Name, p.Duration)
			}
			sum += p.Duration
		}
		if c.Received != measure.Missing && int64(sum) != c.Latency() {
			t.Errorf("row %d: phases sum to %v, latency is %v", i, sum, time.Duration(c.Latency()))
		}
		if len(c.Error) > 512 {
			t.Errorf("row %d: error of %d bytes", i, len(c.Error))
		}
	}
	text, err := os.ReadFile(filepath.Join(j.Dir, "load.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stored Outcome
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	if stored.Stopped != o.Stopped || stored.Metrics.Offered != o.Metrics.Offered {
		t.Errorf("load.json says %+v, Run returned %+v", stored, o)
	}
	return o, calls
}

// want checks how many calls ended with which status.
func want(t *testing.T, calls []measure.Call, statuses map[string]int) {
	t.Helper()
	got := map[string]int{}
	for _, c := range calls {
		got[c.Status]++
	}
	maps.DeleteFunc(statuses, func(_ string, n int) bool { return n == 0 })
	if fmt.Sprint(got) != fmt.Sprint(statuses) {
		t.Errorf("got %v, want %v", got, statuses)
	}
}

func TestOpenLoop(t *testing.T) {
	for name, unary := range map[string]bool{"multiplexed": false, "unary where there is gRPC alone": true} {
		t.Run(name, func(t *testing.T) {
			f := newTarget(t, func(f *target) { f.unary = unary })
			o, calls := run(t, t.Context(), job(t, f.address, constant(200, 300*time.Millisecond, "hello", "raises")))
			want(t, calls, map[string]int{measure.OK: 60, measure.UserError: 60})
			for _, c := range calls {
				if c.Accepted == measure.Missing || c.Host != "w1" || c.ColdKind != "warm" || c.Memory != 1<<20 {
					t.Fatalf("the reply's content is not in %+v", c)
				}
			}
			if o.Interrupted || o.Stopped != 300*time.Millisecond || o.Metrics.Completed != 60 || o.BootID == "" || o.RunID != "01RUN" {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestEveryFailureIsARow(t *testing.T) {
	f := newTarget(t)
	load := constant(100, 200*time.Millisecond, "hello", "never", "refused")
	load.Timeout = 50 * time.Millisecond
	_, calls := run(t, t.Context(), job(t, f.address, load))
	want(t, calls, map[string]int{measure.OK: 20, measure.Timeout: 20, measure.Refused: 20})
}

func TestBrokenConnectionLosesNoCall(t *testing.T) {
	f := newTarget(t)
	_, calls := run(t, t.Context(), job(t, f.address, constant(200, 300*time.Millisecond, "breaks")))
	if len(calls) != 60 {
		t.Errorf("%d rows, want 60", len(calls))
	}
	statuses := map[string]int{}
	for _, c := range calls {
		statuses[c.Status]++
	}
	if statuses[measure.OK] == 0 || statuses[measure.Platform] == 0 || statuses[measure.OK]+statuses[measure.Platform] != 60 {
		t.Errorf("statuses %v, want ok and platform", statuses)
	}
	for tid, n := range f.tids {
		if n != 1 {
			t.Errorf("%s ran %d times", tid, n)
		}
	}
}

func TestTargetDiesAndReturns(t *testing.T) {
	f := newTarget(t)
	address := f.address
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		time.Sleep(100 * time.Millisecond)
		f.server.Stop()
		<-f.stopped
		time.Sleep(100 * time.Millisecond)
		f.listen(t, address)
	}()
	_, calls := run(t, t.Context(), job(t, address, constant(200, 600*time.Millisecond, "slow")))
	<-restarted
	if len(calls) != 120 {
		t.Errorf("%d rows, want 120", len(calls))
	}
	if c := calls[0]; c.Status != measure.OK {
		t.Errorf("first call: %s %s", c.Status, c.Error)
	}
	if c := calls[len(calls)-1]; c.Status != measure.OK {
		t.Errorf("last call, after the target returned: %s %s", c.Status, c.Error)
	}
	down := 0
	for _, c := range calls {
		if c.Status == measure.Platform {
			down++
		}
	}
	if down < 15 {
		t.Errorf("%d calls failed while the target was gone, want about 20", down)
	}
}

func TestInterrupt(t *testing.T) {
	f := newTarget(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(150*time.Millisecond, func() { cancel(errors.New("ctrl-c")) })
	began := time.Now()
	o, calls := run(t, ctx, job(t, f.address, constant(100, time.Minute, "hello", "slow")))
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if !o.Interrupted || o.Stopped < 100*time.Millisecond || o.Stopped > time.Second {
		t.Errorf("outcome %+v", o.Ending)
	}
	if len(o.Reasons) == 0 || o.Reasons[0].ID != "interrupted" {
		t.Errorf("reasons %v", o.Reasons)
	}
	for _, c := range calls {
		if c.Status != measure.OK {
			t.Errorf("call %d: %s %s: calls in flight should end", c.Seq, c.Status, c.Error)
		}
		if c.Intended > int64(o.Stopped+time.Millisecond) {
			t.Errorf("call %d was not due", c.Seq)
		}
	}
	if len(calls) < 15 {
		t.Errorf("%d rows, want all that were sent", len(calls))
	}
}

func TestInterruptCancelsWhatDoesNotEnd(t *testing.T) {
	f := newTarget(t)
	load := constant(100, time.Minute, "never")
	load.Timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, calls := run(t, ctx, job(t, f.address, load))
	if took := time.Since(began); took > grace+time.Second {
		t.Errorf("it took %v", took)
	}
	want(t, calls, map[string]int{measure.Cancelled: len(calls)})
}

func TestSaturation(t *testing.T) {
	for name, tt := range map[string]struct {
		on      string
		rows    int
		reasons string
	}{
		"invalid": {"invalid", 100, "[dropped rate]"},
		"record":  {"record", 100, "[]"},
		"abort":   {"abort", 11, "[dropped rate]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTarget(t)
			load := constant(500, 200*time.Millisecond, "never")
			load.MaxInFlight, load.Timeout, load.OnSaturation = 10, 300*time.Millisecond, tt.on
			o, calls := run(t, t.Context(), job(t, f.address, load))
			want(t, calls, map[string]int{measure.Timeout: 10, measure.Dropped: tt.rows - 10})
			ids := []string{}
			for _, r := range o.Reasons {
				ids = append(ids, r.ID)
			}
			if got := fmt.Sprint(ids); got != tt.reasons {
				t.Errorf("reasons %v, want %s: %v", got, tt.reasons, o.Reasons)
			}
		})
	}
}

func TestClosedLoop(t *testing.T) {
	f := newTarget(t)
	for name, tt := range map[string]struct {
		think    spec.Dist
		min, max int
	}{
		"no think time":  {spec.Dist{}, 30, 45},                                              // 3 clients, 20 ms a call
		"think as long":  {spec.Dist{Kind: "constant", Mean: 20 * time.Millisecond}, 15, 24}, // half of it
		"think too long": {spec.Dist{Kind: "constant", Mean: time.Second}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			load := constant(1, 300*time.Millisecond, "slow")
			load.Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 3, Think: tt.think}
			_, calls := run(t, t.Context(), job(t, f.address, load))
			if len(calls) < tt.min || len(calls) > tt.max {
				t.Errorf("%d calls, want %d to %d", len(calls), tt.min, tt.max)
			}
			want(t, calls, map[string]int{measure.OK: len(calls)})
		})
	}
}

func TestClosedLoopBacksOff(t *testing.T) {
	f := newTarget(t)
	load := constant(1, 500*time.Millisecond, "slow")
	load.Phases[0].Arrival = spec.Arrival{Model: "closed", Clients: 2}
	time.AfterFunc(50*time.Millisecond, f.server.Stop)
	_, calls := run(t, t.Context(), job(t, f.address, load))
	if n := len(calls); n < 6 || n > 20 {
		t.Errorf("%d calls: 2 clients should try a dead target about 10 times a second each", n)
	}
	if last := calls[len(calls)-1]; last.Status != measure.Platform || last.Error == "" {
		t.Errorf("last call: %s %s", last.Status, last.Error)
	}
}

func TestPhasesFollowOneAnother(t *testing.T) {
	f := newTarget(t)
	load := constant(200, 100*time.Millisecond, "slow")
	warmup := load.Phases[0]
	warmup.Name, warmup.Record = "warmup", false
	last := spec.Phase{Name: "closed", Duration: 100 * time.Millisecond, Record: true, Arrival: spec.Arrival{Model: "closed", Clients: 1}}
	load.Phases = []spec.Phase{warmup, load.Phases[0], last}
	o, calls := run(t, t.Context(), job(t, f.address, load))
	for _, c := range calls {
		begin := map[string]time.Duration{"warmup": 0, "main": 100 * time.Millisecond, "closed": 200 * time.Millisecond}[c.Phase]
		if at := time.Duration(c.Intended); at < begin || at >= begin+100*time.Millisecond {
			t.Errorf("call of phase %s at %v", c.Phase, at)
		}
		if c.Record != (c.Phase != "warmup") {
			t.Errorf("call of phase %s has record = %v", c.Phase, c.Record)
		}
	}
	if o.Metrics.Phases["warmup"].Offered != 20 || o.Metrics.Offered != int64(len(calls)-20) {
		t.Errorf("%d calls, metrics %+v", len(calls), o.Metrics)
	}
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tr := &spec.Trace{
		Name: "t", Format: "iluvatar", Map: map[string]string{"a": "hello", "b": "raises"},
		Path:     write("t.csv", "func_name,invoke_time_ms\na,0\nb,500\na,1000\n"),
		Metadata: write("m.csv", "func_name,mem_mb\na,1\nb,1\n"),
	}
	load := spec.Load{Name: "main", Phases: []spec.Phase{{
		Name: "main", Duration: 101 * time.Millisecond, Record: true,
		Arrival: spec.Arrival{Model: "trace", Trace: tr, Speed: 10},
	}}}
	f := newTarget(t)
	_, calls := run(t, t.Context(), job(t, f.address, load))
	want(t, calls, map[string]int{measure.OK: 2, measure.UserError: 1})

	tr.SHA256 = "00"
	if _, err := Run(t.Context(), job(t, f.address, load), nil); err == nil || !strings.Contains(err.Error(), "changed since the experiment was planned") {
		t.Errorf("a changed trace gives %v", err)
	}
}

func TestProgress(t *testing.T) {
	f := newTarget(t)
	var seen []Progress
	if _, err := Run(t.Context(), job(t, f.address, constant(100, 600*time.Millisecond, "slow")), func(p Progress) { seen = append(seen, p) }); err != nil {
		t.Fatal(err)
	}
	if len(seen) < 2 {
		t.Fatalf("%d reports in 0.6 s", len(seen))
	}
	p := seen[1]
	if p.Phase != "main" || p.Offered < 40 || p.Sent < 40 || p.Completed < 30 || p.LatencyP50 < 15*time.Millisecond || p.LatencyP99 < p.LatencyP50 || p.InFlight < 1 {
		t.Errorf("second report: %+v", p)
	}
}

func TestRunRefuses(t *testing.T) {
	f := newTarget(t)
	bad := constant(0, time.Second, "hello")
	for name, tt := range map[string]struct {
		change func(*Job)
		want   string
	}{
		"unknown load": {func(j *Job) { j.Load = "other" }, `no load "other"`},
		"no rate":      {func(j *Job) { j.Point.Loads = []spec.Load{bad} }, "rate is 0"},
		"no folder":    {func(j *Job) { j.Dir = "/dev/null/x" }, "/dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			j := job(t, f.address, constant(1, time.Second, "hello"))
			tt.change(&j)
			if _, err := Run(t.Context(), j, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to contain %q", err, tt.want)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("test is over"))
		defer cancel()
		if _, err := Run(ctx, job(t, "127.0.0.1:1", constant(1, time.Second, "hello")), nil); err == nil || !strings.Contains(err.Error(), "connect to 127.0.0.1:1") {
			t.Errorf("got %v", err)
		}
	})
}

// BenchmarkOpenLoop sends hello for half a second at several rates: how late
// the generator is, and what a call costs besides the function.
func BenchmarkOpenLoop(b *testing.B) {
	for _, unary := range []bool{false, true} {
		for _, rate := range []float64{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("unary=%v/rate=%v", unary, rate), func(b *testing.B) {
				f := newTarget(b, func(f *target) { f.unary = unary })
				for b.Loop() {
					o, err := Run(b.Context(), job(b, f.address, constant(rate, 500*time.Millisecond, "hello")), nil)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(o.Metrics.Lag.P50.Nanoseconds())/1e3, "lag-p50-µs")
					b.ReportMetric(float64(o.Metrics.Lag.P99.Nanoseconds())/1e3, "lag-p99-µs")
					b.ReportMetric(float64(o.Metrics.Overhead.P50.Nanoseconds())/1e3, "overhead-p50-µs")
					b.ReportMetric(float64(o.Metrics.Overhead.P99.Nanoseconds())/1e3, "overhead-p99-µs")
				}
			})
		}
	}
}
