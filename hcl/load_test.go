package hcl_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/registry"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// host are the facts of a made-up machine with four cores and 8 GiB.
func host(spec.Host) (spec.Facts, bool) {
	return spec.Facts{LogicalCores: 4, PhysicalCores: 2, MemoryTotal: 8 * spec.GiB, Arch: "amd64", Governor: "performance"}, true
}

// balancers stands for the registry of balancer policies, which hcl does not import.
func balancers() *registry.Registry[any] {
	r := registry.New[any]("balancer policy")
	r.Add("round_robin", registry.About{}, func(decode registry.Decoder) (any, error) { return nil, decode(&struct{}{}) })
	r.Add("least_in_flight", registry.About{}, func(decode registry.Decoder) (any, error) { return nil, decode(&struct{}{}) })
	r.Add("bounded", registry.About{}, func(decode registry.Decoder) (any, error) {
		o := struct {
			Ceil   float64       `hcl:"ceil,optional" json:"ceil"`
			Nodes  int           `hcl:"vnodes,optional" json:"vnodes"`
			Window time.Duration `hcl:"window,optional" json:"window"`
			Cache  spec.Bytes    `hcl:"cache,optional" json:"cache"`
		}{Ceil: 1.5, Nodes: 3}
		if err := decode(&o); err != nil {
			return nil, err
		}
		if o.Ceil < 1 {
			return nil, fmt.Errorf("ceil is %g, want 1 or more", o.Ceil)
		}
		return o, nil
	})
	return r
}

func options() hcl.Options {
	return hcl.Options{
		Facts:    host,
		Policies: hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Concurrency: concurrency.Builtin(), Dispatch: dispatch.Builtin(), Prewarm: prewarm.Builtin(), Estimate: estimate.Builtin(), GPUQueue: gpuqueue.Builtin(), Placement: placement.Builtin(), Balancer: balancers()},
	}
}

// load writes src to a file of an empty folder and makes that the working directory.
func load(t *testing.T, src string, vars ...string) (*hcl.Module, hcllib.Diagnostics) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, "exp.ainur.hcl", src)
	o := options()
	o.Vars = vars
	return hcl.Load("exp.ainur.hcl", o)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// all is every diagnostic up to and including validate.
func all(m *hcl.Module, diags hcllib.Diagnostics) hcllib.Diagnostics {
	return append(diags, m.Validate()...)
}

func render(t *testing.T, m *hcl.Module, diags hcllib.Diagnostics) string {
	t.Helper()
	var b strings.Builder
	if err := diag.Write(&b, m.Files(), diags, diag.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// errorsOf are the summaries of the errors.
func errorsOf(diags hcllib.Diagnostics) []string {
	var all []string
	for _, d := range diag.Sort(diags) {
		if d.Severity == hcllib.DiagError {
			all = append(all, d.Summary)
		}
	}
	slices.Sort(all)
	return all
}

// experiment evaluates the only experiment of src and fails the test on any error.
func experiment(t *testing.T, src string, vars ...string) (*hcl.Module, *spec.Experiment) {
	t.Helper()
	m, diags := load(t, src, vars...)
	if diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	exp, diags := m.Experiment("", 0)
	if diags.HasErrors() {
		t.Fatal(render(t, m, diags))
	}
	return m, exp
}
