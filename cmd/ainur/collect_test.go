package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/collect"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

const collectBlock = `
collect "about" {
  from     = cluster.lab.with_role["load"]
  files    = ["/etc/hostname", "/no/such/file"]
  metrics  = ["cpu", "memory", "net", "cgroup"]
  interval = "100ms"
  max_size = "16MiB"

  exec "kernel" {
    command = ["uname", "-r"]
    when    = "before"
  }
}

collect "large" {
  from     = [cluster.lab.host.w1, cluster.lab.host.w2]
  max_size = "1MiB"
  compress = "none"

  exec "endless" {
    command = ["yes"]
    when    = "during"
  }
}

experiment`

// What has ended of a run that was left comes home while it goes on, once, and the rest
// when somebody attaches.
func TestClusterBring(t *testing.T) {
	s := newSite(t, 2)
	under := s.loading(2)
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
	<-ended
	run, err := result.Open("latest", s.options.Results)
	if err != nil {
		t.Fatal(err)
	}
	if _, over, err := orchestrator.Bring(t.Context(), run.Dir, s.client("ctl"), 20_000); err != nil || len(over) == 0 {
		t.Errorf("with little room: over are %v, %v", over, err)
	}
	size, over, err := orchestrator.Bring(t.Context(), run.Dir, s.client("ctl"), 1<<30)
	if err != nil || size == 0 || len(over) > 0 {
		t.Fatalf("%d bytes came, over are %v, %v", size, over, err)
	}
	if run, err = result.Open("latest", s.options.Results); err != nil {
		t.Fatal(err)
	}
	if left := run.Left(); len(left) != 1 || left[0].Repeat != 2 {
		t.Errorf("left are %+v, want the second repeat", left)
	}
	if calls, err := measure.ReadCalls(run.CallsPath(run.Steps[0])); err != nil || len(calls) != 100 {
		t.Errorf("%d calls of the first repeat, %v", len(calls), err)
	}
	if _, err := os.Stat(run.CallsPath(run.Steps[1])); !os.IsNotExist(err) {
		t.Errorf("calls of the second repeat, which goes on: %v", err)
	}
	s.attach()
}

// What hosts tell comes home with the results, of each repeat, and no more than is wanted.
func TestClusterCollect(t *testing.T) {
	text := strings.NewReplacer("\nexperiment", collectBlock, `load     = load.l`, "load     = load.l\n  collect  = [collect.about, collect.large]").Replace(clusterTemplate)
	s := newSiteOf(t, fmt.Sprintf(text, 2))
	run, diags, err := orchestrator.Remote(t.Context(), s.exp, s.cluster, oci.Open(t.TempDir()), s.options)
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	s.finished(run)
	size := map[string]spec.Bytes{} // of what is endless, by host
	for _, step := range run.Steps {
		dir := filepath.Join(filepath.Dir(run.CallsPath(step)), "collect")
		items, err := collect.ReadIndex(filepath.Join(dir, "about", "ctl"))
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			missing := i.What == "files /no/such/file"
			if missing == (i.Problem == "") || i.Truncated || !missing && i.Bytes == 0 {
				t.Errorf("repeat %d: %+v", step.Repeat, i)
			}
			if i.File == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, "about", "ctl", i.File)); err != nil {
				t.Error(err)
			}
		}
		if len(items) != 4 {
			t.Errorf("repeat %d: %d items: %+v", step.Repeat, len(items), items)
		}
		for _, host := range []string{"w1", "w2"} {
			info, err := os.Stat(filepath.Join(dir, "large", host, "commands", "endless.txt"))
			if err != nil {
				t.Fatal(err)
			}
			size[host] += spec.Bytes(info.Size())
		}
	}
	for host, n := range size {
		if n < spec.MiB/2 || n > 2*spec.MiB {
			t.Errorf("of %s, %d bytes were kept in two repeats; 1 MiB may be", host, n)
		}
	}
	for what, want := range map[string]string{"collect about on host ctl": "there are none", "collect large on host w1": "cut off at max_size"} {
		if got := strings.Join(run.Manifest.Limitations[what], " "); !strings.Contains(got, want) {
			t.Errorf("limitations of %s: %q, want %q", what, got, want)
		}
	}
}
