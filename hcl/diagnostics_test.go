package hcl_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const lab = `cluster "lab" {
  host "ctl" {
    address = "10.0.0.1"
    connection = "local"
  }
  host "w1" {
    address = "10.0.0.2"
    connection = "local"
  }
  host "w2" {
    address = "10.0.0.3"
    connection = "local"
  }
}
`

// onLine puts text on a line of a file and what follows below.
func onLine(line int, text, below string) string {
	return strings.Repeat("\n", line-1) + text + "\n" + below
}

// The texts that the design fixes come out to the byte.
func TestExactTexts(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"AIN1102": {
			"load \"steady\" {\n  target   = worker.node\n  duraton  = \"60s\"\n  call     = function.f\n  arrival \"poisson\" {\n    rate = \"1/s\"\n  }\n}\nworker \"node\" {\n  on = cluster.lab.host.ctl\n}\nfunction \"f\" {\n  builtin = \"hello\"\n  memory = \"64MiB\"\n}\n" + lab,
			`error[AIN1102]: unknown argument "duraton" in load "steady"
  --> exp.ainur.hcl:3:3
   |
 3 |   duraton  = "60s"
   |   ^^^^^^^ did you mean "duration"?
   |
   = note: "duration" is required here and was not given otherwise
   = fix:  rename it, or run ` + "`ainur validate --fix`\n",
		},
		"AIN1204": {
			onLine(11, `load "steady" {`, "  duration = 60\n  target = worker.pool\n  call = function.f\n  arrival \"poisson\" {\n    rate = \"1/s\"\n  }\n}\n") +
				`worker "pool" {
  on = cluster.lab.host.ctl
}
function "f" {
  builtin = "hello"
  memory = "64MiB"
}
` + lab,
			`error[AIN1204]: a duration needs a unit
  --> exp.ainur.hcl:12:14
   |
12 |   duration = 60
   |              ^^ this is a bare number
   |
   = help: write "60s" for seconds or "60m" for minutes
`,
		},
		"AIN1301": {
			onLine(30, `cluster "lab" {`, `  dynamic "host" {
    for_each = { ctl = "10.0.0.1", w1 = "10.0.0.2", w2 = "10.0.0.3" }
    labels   = [host.key]
    content {
      address    = host.value
      connection = "local"
    }
  }
}
worker "pool" {
  on      = cluster.lab.host.ctr
}
`),
			`error[AIN1301]: cluster "lab" has no host "ctr"
  --> exp.ainur.hcl:41:13
   |
41 |   on      = cluster.lab.host.ctr
   |                              ^^^ did you mean "ctl"?
   |
  ::: exp.ainur.hcl:30:1
   |
30 | cluster "lab" {
   | ------------- hosts declared here: ctl, w1, w2
`,
		},
		"AIN1310": {
			onLine(57, `worker "pool" {`, `  cores = load.mixed.errors.count > 0 ? 4 : 8
  on = cluster.lab.host.ctl
}
function "f" {
  builtin = "hello"
  memory = "64MiB"
}
load "mixed" {
  target = worker.pool
  call = function.f
  duration = "1s"
  arrival "poisson" {
    rate = "1/s"
  }
}
`) + lab,
			`error[AIN1310]: load.mixed.errors is not known before a run
  --> exp.ainur.hcl:58:11
   |
58 |   cores = load.mixed.errors.count > 0 ? 4 : 8
   |           ^^^^^^^^^^^^^^^^^^^^^^^ a result, used in worker "pool", which is needed to run
   |
   = note: results may be used in assert, claim, report and output
`,
		},
		"AIN1320": {
			onLine(11, `balancer "lb" {`, `  workers = worker.pool
  on = cluster.lab.host.ctl
}
`) + onLine(2, `worker "pool" {`, `  on = cluster.lab.host.w1
  env = {
  policy  = balancer.lb.policy
  }
}
`) + lab,
			`error[AIN1320]: these blocks need each other
  --> exp.ainur.hcl
   |
12 |   workers = worker.pool          # balancer.lb  -> worker.pool
19 |   policy  = balancer.lb.policy   # worker.pool  -> balancer.lb
   |
   = help: give one of them a literal value; ` + "`ainur graph --draw-cycles`" + ` shows the loop
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, diags := load(t, tt.src)
			if diff := cmp.Diff(tt.want, render(t, m, all(m, diags))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Each file under testdata/errors marks the line of every diagnostic it must
// cause with "# ERROR: summary" or "# WARNING: summary"; how they look is in
// the file beside it. A line "#: var a=1", "#: version 0.2.0", "#: engine live",
// "#: experiment e" "#: nowhere ERROR: summary" or "#: elsewhere FILE:LINE ERROR:
// summary" sets an option, or tells of a diagnostic that has no place, or another.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.ainur.*")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		t.Run(name, func(t *testing.T) { fixture(t, file, filepath.Join(filepath.Dir(file), name+".txt")) })
	}
}

func fixture(t *testing.T, file, rendering string) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	o, engine, experiment := options(), schema.Engine(0), ""
	want := map[string][]string{}
	for i, line := range strings.Split(string(src), "\n") {
		if key, value, ok := strings.Cut(strings.TrimPrefix(line, "#: "), " "); ok && strings.HasPrefix(line, "#: ") {
			switch key {
			case "var":
				o.Vars = append(o.Vars, value)
			case "version":
				o.Version = value
			case "facts": // none
				o.Facts = nil
			case "engine":
				engine = map[string]schema.Engine{"live": schema.Live, "simulated": schema.Simulated}[value]
			case "experiment":
				experiment = value
			case "elsewhere":
				at, remark, _ := strings.Cut(value, " ")
				want[at] = append(want[at], remark)
			case "nowhere":
				want["nowhere"] = append(want["nowhere"], value)
			default:
				t.Fatalf("line %d: no option %q", i+1, key)
			}
			continue
		}
		for _, remark := range strings.Split(line, "# ")[1:] {
			if remark = strings.TrimSpace(remark); strings.HasSuffix(file, ".json") {
				remark = strings.TrimSuffix(strings.TrimSuffix(remark, ","), `"`) // of a "//" property
				remark = strings.ReplaceAll(remark, `\"`, `"`)
			}
			if strings.HasPrefix(remark, "ERROR: ") || strings.HasPrefix(remark, "WARNING: ") {
				at := fmt.Sprint(file, ":", i+1)
				want[at] = append(want[at], remark)
			}
		}
	}
	m, diags := hcl.Load(file, o)
	diags = all(m, diags)
	if !diags.HasErrors() { // a mistake that only the facts of hosts, or the engine, reveal
		_, diags = m.Experiment(experiment, engine)
	}
	got := map[string][]string{}
	for _, d := range diag.Sort(diags) {
		at := "nowhere"
		if d.Subject != nil {
			at = fmt.Sprint(d.Subject.Filename, ":", d.Subject.Start.Line)
		}
		severity := map[hcllib.DiagnosticSeverity]string{hcllib.DiagError: "ERROR", hcllib.DiagWarning: "WARNING"}[d.Severity]
		got[at] = append(got[at], severity+": "+strings.ReplaceAll(d.Summary, root, "ROOT"))
	}
	for _, list := range []map[string][]string{want, got} {
		for at := range list {
			slices.Sort(list[at])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics by line (-want +got):\n%s", diff)
	}
	golden(t, rendering, strings.ReplaceAll(render(t, m, diags), root, "ROOT"))
}

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
