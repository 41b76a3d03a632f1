package hcl_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
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
// the file beside it.
func TestFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.ainur.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), hcl.Extension), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := map[int][]string{}
			for i, line := range strings.Split(string(src), "\n") {
				for _, remark := range strings.Split(line, "# ")[1:] {
					if remark = strings.TrimSpace(remark); strings.HasPrefix(remark, "ERROR: ") || strings.HasPrefix(remark, "WARNING: ") {
						want[i+1] = append(want[i+1], remark)
					}
				}
				if slices.Sort(want[i+1]); want[i+1] == nil {
					delete(want, i+1)
				}
			}
			root, err := filepath.Abs(".")
			if err != nil {
				t.Fatal(err)
			}
			m, diags := hcl.Load(file, options())
			diags = all(m, diags)
			if !diags.HasErrors() { // a mistake that only the facts of hosts reveal
				_, diags = m.Experiment("", 0)
			}
			got := map[int][]string{}
			for _, d := range diag.Sort(diags) {
				if d.Subject == nil {
					t.Fatalf("no place: %s", d.Summary)
				}
				severity := map[hcllib.DiagnosticSeverity]string{hcllib.DiagError: "ERROR", hcllib.DiagWarning: "WARNING"}[d.Severity]
				got[d.Subject.Start.Line] = append(got[d.Subject.Start.Line], severity+": "+strings.ReplaceAll(d.Summary, root, "ROOT"))
			}
			for line := range got {
				slices.Sort(got[line])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("diagnostics by line (-want +got):\n%s", diff)
			}
			golden(t, strings.TrimSuffix(file, hcl.Extension)+".txt", strings.ReplaceAll(render(t, m, diags), root, "ROOT"))
		})
	}
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
