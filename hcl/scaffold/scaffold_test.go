package scaffold

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// fatal is what rapid, tests and fuzzers share.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// load validates the text of an experiment, which is in canonical style.
func load(t fatal, file string, text []byte) *hcl.Module {
	t.Helper()
	if once := hcl.Format(text); !bytes.Equal(once, text) {
		t.Fatalf("not in style (-want +got):\n%s", cmp.Diff(string(once), string(text)))
	}
	m, diags := hcl.Load(file, hcl.Options{
		Overlay:  map[string][]byte{file: text},
		Policies: hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Concurrency: concurrency.Builtin(), Dispatch: dispatch.Builtin(), Prewarm: prewarm.Builtin(), Estimate: estimate.Builtin(), GPUQueue: gpuqueue.Builtin(), Placement: placement.Builtin(), Balancer: policy.Builtin()},
		Facts: func(spec.Host) (spec.Facts, bool) {
			return spec.Facts{LogicalCores: 64, PhysicalCores: 32, MemoryTotal: 64 * spec.GiB}, true
		},
	})
	if diags = append(diags, m.Validate()...); diags.HasErrors() {
		t.Fatalf("%s\n%s", problems(m, diags), text)
	}
	return m
}

func problems(m *hcl.Module, diags hcllib.Diagnostics) string {
	var b strings.Builder
	if err := diag.Write(&b, m.Files(), diags, diag.Options{}); err != nil {
		return err.Error()
	}
	return b.String()
}

// hostsOf are the hosts of the experiment.
func hostsOf(t fatal, file string, text []byte) []spec.Host {
	t.Helper()
	m := load(t, file, text)
	exp, diags := m.Experiment("", 0)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", problems(m, diags), text)
	}
	return exp.Points[0].Cluster.Hosts
}

// place is a path that an experiment may have; nothing is there.
func place(t *testing.T) string {
	return filepath.Join(t.TempDir(), "made"+hcl.Extension)
}

func TestTemplates(t *testing.T) {
	for _, tmpl := range Templates() {
		t.Run(tmpl.Name, func(t *testing.T) {
			e, err := tmpl.New(nil)
			if err != nil {
				t.Fatal(err)
			}
			head := fmt.Sprintf("# %s: %s\n#   ainur %s %s\n", e.File, tmpl.About, e.First, e.File)
			if !bytes.HasPrefix(e.Text, []byte(head)) {
				t.Errorf("does not begin with\n%s", head)
			}
			load(t, place(t), e.Text)
		})
	}
	if _, err := Find("swep"); err == nil || !strings.Contains(err.Error(), "sweep") {
		t.Errorf("got %v, want an error that names the templates", err)
	}
}

// Every file below templates is in the list.
func TestTemplateList(t *testing.T) {
	files, err := filepath.Glob("templates/*")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, tmpl := range Templates() {
		listed = append(listed, "templates/"+tmpl.Name+hcl.Extension)
	}
	slices.Sort(listed)
	if diff := cmp.Diff(files, listed); diff != "" {
		t.Errorf("(-files +list):\n%s", diff)
	}
}

func TestTemplatesTakeHosts(t *testing.T) {
	for _, tmpl := range Templates() {
		for _, list := range []string{"alone", "a,b", "ctl,node[01-04].lab.org", "10.0.0.[1-3]"} {
			t.Run(tmpl.Name+" on "+list, func(t *testing.T) {
				inv, err := Hosts(list)
				if err != nil {
					t.Fatal(err)
				}
				e, err := tmpl.New(inv)
				if tmpl.Name == "quickstart" {
					if err == nil {
						t.Error("quickstart takes hosts")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, h := range hostsOf(t, place(t), e.Text) {
					got = append(got, h.Address)
				}
				slices.Sort(got)
				want, err := expand(list)
				if err != nil {
					t.Fatal(err)
				}
				slices.Sort(want)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s\n%s", diff, e.Text)
				}
			})
		}
	}
}

func TestHosts(t *testing.T) {
	for list, want := range map[string]string{
		"":                   "name at least one",
		",":                  "name at least one",
		"node[01-04":         "does not close its bracket",
		"node[4-1]":          "not a range",
		"a,b,a":              "names a twice",
		"node[01-99999999]":  "99999999",
		"a\xff":              "no text",
		"n[1-9999],m[1-999]": "more than 10000 hosts",
	} {
		if _, err := Hosts(list); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", list, err, want)
		}
	}
}

func TestCompress(t *testing.T) {
	for list, want := range map[string]string{
		"node[01-04]":              "node[01-04]",
		"node1,node2,node4":        "node[1-2,4]",
		"node[08-11].lab2.org":     "node[08-11].lab2.org",
		"n[9-11]":                  "n[9-11]",
		"rack2-n1,rack3-n1":        "rack[2-3]-n1",
		"a,b":                      "",
		"n1,m2":                    "",
		"n01,n2":                   "",
		"10.0.0.1,10.0.0.2":        "10.0.0.[1-2]",
		"n18446744073709551616,n2": "",
	} {
		all, err := expand(list)
		if err != nil {
			t.Fatal(err)
		}
		if got := compress(all); got != want {
			t.Errorf("%s: got %q, want %q", list, got, want)
		}
	}
}

// A compressed list expands to the names it was made of.
func TestCompressRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-c][0-9]{0,3}(-r?[0-9]{1,2})?`)
		all := rapid.SliceOfNDistinct(name, 1, 8, rapid.ID[string]).Draw(t, "names")
		s := compress(all)
		if s == "" {
			return
		}
		if back, err := expand(s); err != nil || !slices.Equal(back, all) {
			t.Fatalf("%v became %s, which is %v (%v)", all, s, back, err)
		}
	})
}

func TestRoles(t *testing.T) {
	type roles = map[string]string
	for name, tt := range map[string]struct{ given, want roles }{
		"nothing is known":         {roles{"a": "", "b": "", "c": ""}, roles{"a": "balancer load", "b": "worker", "c": "worker"}},
		"one host does everything": {roles{"a": ""}, roles{"a": "balancer load worker"}},
		"plural groups": {
			roles{"a": "controller", "b": "workers", "c": "workers influx"},
			roles{"a": "controller balancer load", "b": "workers worker", "c": "workers influx worker"},
		},
		"a balancer that is no worker": {roles{"a": "workers", "b": "", "c": "workers"}, roles{"a": "workers worker", "b": "balancer load", "c": "workers worker"}},
		"all are workers":              {roles{"a": "worker", "b": "worker"}, roles{"a": "worker balancer load", "b": "worker"}},
		"other groups":                 {roles{"a": "gpu", "b": "gpu"}, roles{"a": "gpu balancer load", "b": "gpu worker"}},
		"every host balances or loads": {roles{"a": "balancer", "b": "load"}, roles{"a": "balancer worker", "b": "load worker"}},
		"all roles are there":          {roles{"a": "balancer load", "b": "worker"}, roles{"a": "balancer load", "b": "worker"}},
	} {
		t.Run(name, func(t *testing.T) {
			inv := &Inventory{}
			for _, h := range []string{"a", "b", "c"} {
				if r, ok := tt.given[h]; ok {
					inv.Hosts = append(inv.Hosts, Host{Name: h, Address: h, Roles: strings.Fields(r)})
				}
			}
			inv.assign()
			got := roles{}
			for _, h := range inv.Hosts {
				got[h.Name] = strings.Join(h.Roles, " ")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentifiers(t *testing.T) {
	n := names{}
	for _, tt := range [][2]string{
		{"node-01", "node-01"}, {"a.b", "a_b"}, {"a_b", "a_b_2"}, {"a b", "a_b_3"}, {"10.0.0.1", "h10_0_0_1"}, {"-", "h"}, {"é", "é"}, {"[::1]", "h1_"}, {"", "h_2"},
	} {
		if got := n.take(tt[0], "h"); got != tt[1] {
			t.Errorf("%q became %q, want %q", tt[0], got, tt[1])
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "binary.ini")
	if err := os.WriteFile(binary, []byte("\xff\xfe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                        "is a folder",
		filepath.Join(dir, "none"): "no such file",
		binary:                     "no text in UTF-8",
	} {
		if _, err := ReadAnsible(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", path, err, want)
		}
	}
}
