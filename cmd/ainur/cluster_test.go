package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

const clusterTemplate = `
cluster "lab" {
  host "ctl" {
    address = "127.0.0.2"
    roles   = ["load"]
  }
  host "w1" { address = "127.0.0.3" }
  host "w2" { address = "127.0.0.4" }
}

worker "w" {
  for_each = { a = cluster.lab.host.w1, b = cluster.lab.host.w2 }
  on       = each.value
  cores    = 2
  memory   = "512MiB"
}

balancer "lb" {
  on      = cluster.lab.host.ctl
  workers = worker.w
  policy  = "round_robin"
}

function "f" {
  builtin = "sleep"
  args    = { ms = 5 }
  memory  = "64MiB"
}

load "l" {
  target    = balancer.lb
  call      = function.f
  duration  = "2s"
  lag_limit = "5s"

  arrival "constant" {
    rate = "50/s"
  }
}

experiment "e" {
  title    = "e"
  cluster  = cluster.lab
  workers  = worker.w
  balancer = balancer.lb
  load     = load.l
  repeat   = %d
  seed     = 1
}
`

// site is hosts of a deployment on this machine, each at a loopback address.
type site struct {
	*testing.T
	cluster orchestrator.Cluster
	sockets map[string]string // by host
	exp     *spec.Experiment
	options orchestrator.Options
}

// newSite starts a supervisor for each host of clusterTemplate.
func newSite(t *testing.T, repeats int) *site {
	t.Helper()
	return newSiteOf(t, fmt.Sprintf(clusterTemplate, repeats))
}

// newSiteOf starts a supervisor for each host of an experiment.
func newSiteOf(t *testing.T, text string) *site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "e.ainur.hcl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m, diags := hcl.Load(path, hcl.Options{Policies: policies()})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	exp, diags := m.Experiment("", schema.Live)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := &site{T: t, exp: exp, sockets: map[string]string{}, options: orchestrator.Options{Results: t.TempDir(), Conclude: m.Conclude}}
	s.cluster = orchestrator.Cluster{Name: "lab", Hosts: map[string]orchestrator.JobHost{}}
	authority, _, err := mtls.NewAuthority("lab", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range exp.Points[0].Cluster.Hosts {
		s.supervise(authority, h)
	}
	s.cluster.Controller = s.client("ctl")
	return s
}

func (s *site) supervise(authority *mtls.Authority, h spec.Host) {
	s.Helper()
	dir := s.TempDir()
	certificate, key, err := authority.Issue(h.Name, []string{h.Address}, time.Now())
	if err != nil {
		s.Fatal(err)
	}
	config := node.Config{Deployment: "lab", Dir: dir, Cache: filepath.Join(dir, "cache"), Socket: filepath.Join(dir, "s"), Listen: h.Address + ":0", TLS: dir}
	text, err := json.Marshal(config)
	if err != nil {
		s.Fatal(err)
	}
	for name, content := range map[string][]byte{mtls.AuthorityFile: authority.Certificate, mtls.CertificateFile: certificate, mtls.KeyFile: key, "config.json": text} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			s.Fatal(err)
		}
	}
	cmd := exec.Command("ainur", "supervise", filepath.Join(dir, "config.json"))
	cmd.Stderr = s.Output()
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			s.Errorf("supervisor of %s: %v", h.Name, err)
		}
	})
	s.sockets[h.Name] = config.Socket
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", config.Socket)
		if err == nil {
			_ = conn.Close() // only to see that it listens
			break
		}
		if time.Since(began) > 30*time.Second {
			s.Fatal(err)
		}
	}
	description, err := s.client(h.Name).Describe(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.cluster.Hosts[h.Name] = orchestrator.JobHost{Supervisor: description.Address, Address: h.Address, TLS: dir}
}

// client is a connection to the supervisor of a host, as SSH makes one.
func (s *site) client(host string) *node.Client {
	s.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", s.sockets[host])
		}))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = conn.Close() }) // a test may have closed it
	return node.NewClient(host, conn)
}

// finished checks that a run went well, on all workers, and that nothing of it is left on the hosts.
func (s *site) finished(run *result.Run) {
	s.Helper()
	if valid, reasons := run.Verdict(); !valid {
		s.Errorf("the run is not valid: %v", reasons)
	}
	if err := result.Verify(run.Dir); err != nil {
		s.Error(err)
	}
	entries, err := run.Ledger()
	if err != nil {
		s.Fatal(err)
	}
	times := map[int]int{} // that each repeat was finished
	for _, e := range entries {
		if e.Event == "repeat" && e.State == result.Finished {
			times[e.Repeat]++
		}
	}
	for n := 1; n <= s.exp.Repeat; n++ {
		if times[n] != 1 {
			s.Errorf("repeat %d was finished %d times", n, times[n])
		}
		logs := []string{"logs/load.log"}
		if n := len(s.exp.Points[0].Loads[0].From); n > 1 {
			logs = nil
			for i := range n {
				logs = append(logs, fmt.Sprintf("logs/load-%d.log", i+1))
			}
		}
		for _, name := range append(logs, "calls.parquet", "load.json", "logs/balancer.log", "logs/worker-1.log", "logs/worker-2.log") {
			if _, err := os.Stat(filepath.Join(filepath.Dir(run.CallsPath(run.Steps[n-1])), name)); err != nil {
				s.Error(err)
			}
		}
	}
	for host := range s.sockets {
		description, err := s.client(host).Describe(s.Context())
		if err != nil || len(description.Runs) > 0 {
			s.Errorf("left on %s: %+v, %v", host, description.Runs, err)
		}
	}
}

func TestCluster(t *testing.T) {
	s := newSite(t, 2)
	run, diags, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	s.finished(run)
}

// loading is a channel that is closed when the repeat that is the n-th is under load.
func (s *site) loading(n int) <-chan struct{} {
	under := make(chan struct{})
	seen := 0
	s.options.Progress = func(p orchestrator.Progress) {
		if p.Stage == orchestrator.Loading && p.Repeat == n {
			if seen++; seen == 2 {
				close(under)
			}
		}
	}
	return under
}

// Whoever started a run goes away in the middle of it, and comes back: the run has gone on.
func TestClusterAttach(t *testing.T) {
	s := newSite(t, 2)
	under := s.loading(1)
	conn, ok := s.cluster.Controller.Conn().(*grpc.ClientConn)
	if !ok {
		t.Fatal("no connection to close")
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
		ended <- err
	}()
	<-under
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("the run ended well without a connection")
	}
	s.attach()
}

// attach goes on with the newest run.
func (s *site) attach() {
	s.Helper()
	run, err := result.Open("latest", s.options.Results)
	if err != nil {
		s.Fatal(err)
	}
	if valid, reasons := run.Verdict(); valid || !strings.Contains(strings.Join(reasons, " "), "--resume") {
		s.Errorf("a run that was left: %v, %v", valid, reasons)
	}
	s.cluster.Controller = s.client("ctl")
	s.options.Progress = nil
	run, diags, err := orchestrator.Attach(s.Context(), run, s.exp, s.cluster, oci.Open(s.TempDir()), s.options)
	if err != nil || diags.HasErrors() {
		s.Fatal(err, diags)
	}
	s.finished(run)
}

// What executes the run is killed: what has finished is not done again, the rest is.
func TestClusterConductorKilled(t *testing.T) {
	s := newSite(t, 2)
	under := s.loading(2)
	go func() {
		<-under
		description, err := s.cluster.Controller.Describe(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		for _, d := range description.Runs[0].Daemons {
			if strings.HasPrefix(d.Name, "conduct-") {
				if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	_, _, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err == nil || !strings.Contains(err.Error(), "killed") || !strings.Contains(err.Error(), "--resume") {
		t.Fatalf("got %v, want that it was killed, and what to do", err)
	}
	s.attach()
}

// An interruption ends the run on its hosts, and keeps what was measured.
func TestClusterInterrupted(t *testing.T) {
	for name, site := range map[string]func(*testing.T, int) *site{"one generator": newSite, "three": newGenerators} {
		t.Run(name, func(t *testing.T) { interrupted(t, site(t, 2)) })
	}
}

func interrupted(t *testing.T, s *site) {
	under := s.loading(1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-under
		cancel()
	}()
	run, _, err := orchestrator.Remote(ctx, s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err != nil {
		t.Fatal(err)
	}
	if valid, _ := run.Verdict(); valid || !run.Manifest.Interrupted {
		t.Error("an interrupted run is valid")
	}
	if calls, err := os.Stat(run.CallsPath(run.Steps[0])); err != nil || calls.Size() == 0 {
		t.Errorf("the calls that were made: %v", err)
	}
	description, err := s.client("w1").Describe(t.Context())
	if err != nil || len(description.Runs) > 0 {
		t.Errorf("left on w1: %+v, %v", description.Runs, err)
	}
}
