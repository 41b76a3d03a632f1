package hcl_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
)

// Each file under testdata/lint marks the line of every warning it must cause
// with "# WARNING: summary"; how they look is in the file beside it.
func TestLintFixtures(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.ainur.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no fixtures", err)
	}
	hit := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), hcl.Extension)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, got := map[int][]string{}, map[int][]string{}
			for i, line := range strings.Split(string(src), "\n") {
				for _, summary := range strings.Split(line, "# WARNING: ")[1:] {
					want[i+1] = append(want[i+1], strings.TrimSpace(summary))
				}
				slices.Sort(want[i+1])
			}
			m, diags := hcl.Load(file, options())
			diags = append(diags, m.Lint()...)
			if diags.HasErrors() {
				t.Fatal(render(t, m, diags))
			}
			for _, d := range diags {
				got[d.Subject.Start.Line] = append(got[d.Subject.Start.Line], d.Summary)
				hit[d.Extra.(*diag.Problem).ID] = true
			}
			for line := range want {
				slices.Sort(got[line])
				if len(want[line]) == 0 {
					delete(want, line)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("warnings by line (-want +got):\n%s", diff)
			}
			golden(t, filepath.Join(filepath.Dir(file), name+".txt"), render(t, m, diags))
		})
	}
	for _, r := range hcl.Rules() {
		if !hit[r.ID] {
			t.Errorf("no fixture has %s: %s", r.ID, r.Title)
		}
	}
}

// The table of rules in the documentation is that of the code.
func TestLintDocumentation(t *testing.T) {
	const docs, head = "../docs/language.md", "| id | warns of | because |\n| --- | --- | --- |\n"
	src, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(src), head)
	_, rest, more := strings.Cut("\n"+after, "\n\n")
	if !ok || !more {
		t.Fatalf("no table of rules in %s", docs)
	}
	var rows strings.Builder
	for _, r := range hcl.Rules() {
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", r.ID, r.Title, r.Why)
	}
	golden(t, docs, before+head+rows.String()+"\n"+rest)
}

// intended are the warnings that the examples keep, with the reason.
var intended = map[string][]string{
	"azure-trace.ainur.hcl": {"AIN3012"}, // 30 s of one recording, to show that no call is lost: no statistics
	"quickstart.ainur.hcl":  {"AIN3012"}, // a first look, in half a minute
}

// The examples heed the rules.
func TestExamplesLint(t *testing.T) {
	files, err := filepath.Glob("../examples/*.ainur.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := options()
			if filepath.Base(file) == "azure-trace.ainur.hcl" {
				if _, err := os.Stat(traces); err != nil {
					t.Skip("the trace is not on this machine:", err)
				}
				o.Vars = []string{"trace_dir=" + traces}
			}
			m, diags := hcl.Load(file, o)
			diags = append(diags, m.Lint()...)
			var got []string
			for _, d := range diags {
				got = append(got, d.Extra.(*diag.Problem).ID)
			}
			if diff := cmp.Diff(intended[filepath.Base(file)], got); diff != "" {
				t.Errorf("(-intended +got):\n%s\n%s", diff, render(t, m, diags))
			}
		})
	}
}

// Validate says what is wrong, and the rules wait until that is mended.
func TestLintErrorsFirst(t *testing.T) {
	m, diags := load(t, edit(t, `"50/s"`, `"50/x"`, "seed    = 1", "repeat = 1\n  seed = 1"))
	if diags = append(diags, m.Lint()...); len(diags) != 1 || !diags.HasErrors() {
		t.Errorf("%v", diags)
	}
}

// The text that the design fixes, with the empty line that every note has above it.
func TestLintExactText(t *testing.T) {
	src := edit(t, `duration = "10s"`, "warmup = \"10s\"\n  duration = \"60s\"", `call     = function.f`, "call = function.f\n  from = [cluster.c.host.h]") // 3 000 calls
	src = strings.Replace(src, "load.l\n", "load.minute\n", 1)
	src = strings.Replace(src, `load "l"`, `load "minute"`, 1)
	src += strings.Repeat("\n", 68-strings.Count(src, "\n")) + "assert \"fast\" {\n  that  = load.minute.latency.p999 < seconds(\"80ms\")\n}\n"
	m, diags := load(t, src)
	const want = `warning[AIN3004]: p99.9 of about 3 000 calls cannot be estimated
  --> exp.ainur.hcl:70:11
   |
70 |   that  = load.minute.latency.p999 < seconds("80ms")
   |           ^^^^^^^^^^^^^^^^^^^^^^^^ rests on about 3 observations
   = help: use p99, or raise duration to 4m or more (10 000 calls put about 10 beyond p99.9)
`
	if diff := cmp.Diff(want, render(t, m, append(diags, m.Lint()...))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var proposed = regexp.MustCompile(`raise duration to (\S+) or more`)

// A quantile is warned of when fewer than 10 calls are expected beyond it, and
// with the duration that the warning proposes it is not any more.
func TestQuantileNeedsCalls(tt *testing.T) {
	dir := tt.TempDir()
	lint := func(t *rapid.T, rate int, duration, quantile string, share int) hcllib.Diagnostics {
		src := edit(tt, "50/s", fmt.Sprint(rate, "/m"), `"10s"`, fmt.Sprintf("%q", duration), "call     = function.f", fmt.Sprintf("mix = { f = %d, g = %d }\n  warmup = \"1s\"", share, 100-share))
		src += "function \"g\" {\n  builtin = \"hello\"\n  memory = \"64MiB\"\n}\nassert \"a\" {\n  that = load.l.latency[\"f\"]." + quantile + " < 1\n}\n"
		file := filepath.Join(dir, "exp.ainur.hcl")
		o := options()
		o.Overlay = map[string][]byte{file: []byte(src)}
		m, diags := hcl.Load(file, o)
		if diags = append(diags, m.Lint()...); diags.HasErrors() {
			t.Fatal(diags, src)
		}
		return slices.DeleteFunc(diags, func(d *hcllib.Diagnostic) bool { return d.Extra.(*diag.Problem).ID != "AIN3004" })
	}
	beyond := map[string]float64{"p999": 0.001, "p99": 0.01, "p95": 0.05, "p90": 0.1}
	rapid.Check(tt, func(t *rapid.T) {
		rate, seconds := rapid.IntRange(1, 100_000).Draw(t, "rate per minute"), rapid.IntRange(1, 10_000).Draw(t, "seconds")
		share := rapid.IntRange(1, 100).Draw(t, "percent")
		quantile := rapid.SampledFrom(slices.Sorted(maps.Keys(beyond))).Draw(t, "quantile")
		tail := float64(rate) / 60 * float64(seconds) * float64(share) / 100 * beyond[quantile]
		if math.Abs(tail-10) < 0.01 {
			t.Skip("at the limit, where rounding decides")
		}
		diags := lint(t, rate, fmt.Sprint(seconds, "s"), quantile, share)
		if (len(diags) > 0) != (tail < 10) {
			t.Fatalf("%g observations beyond %s, and the warnings are %v", tail, quantile, diags)
		}
		if len(diags) == 0 {
			return
		}
		d := proposed.FindStringSubmatch(diags[0].Detail)
		if d == nil {
			if seconds := float64(seconds) * 10 / tail; seconds < 30*24*3600 {
				t.Fatalf("%s proposes no duration, and %g s would do", diags[0].Detail, seconds)
			}
			return
		}
		if again := lint(t, rate, d[1], quantile, share); len(again) > 0 {
			t.Errorf("with %s: %v", d[1], again)
		}
	})
}

// A file that loads can be linted, and every warning is of a rule and has a place.
func FuzzLint(f *testing.F) {
	files, err := filepath.Glob("testdata/lint/*.ainur.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		o := options()
		o.Overlay = map[string][]byte{"testdata/lint/fuzz.ainur.hcl": src} // beside the trace
		m, diags := hcl.Load("testdata/lint/fuzz.ainur.hcl", o)
		if diags.HasErrors() {
			return
		}
		for _, d := range m.Lint() {
			p := d.Extra.(*diag.Problem)
			known := slices.ContainsFunc(hcl.Rules(), func(r hcl.Rule) bool { return r.ID == p.ID })
			if p.Warning != known || p.Warning && p.At == nil {
				t.Errorf("%+v", p)
			}
		}
	})
}
