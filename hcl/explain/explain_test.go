package explain_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"

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
	"github.com/ainur-faas/ainur/hcl/explain"
	"github.com/ainur-faas/ainur/hcl/schema"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// reported are the ids in the sources of hcl.
func reported(t *testing.T) []string {
	t.Helper()
	id := regexp.MustCompile(`^AIN[0-9]{4}$`)
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && id.MatchString(text) {
					found[text] = true
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// Every id that can be reported has a page, and every page is about one.
func TestEveryIDHasAPage(t *testing.T) {
	var have []string
	for _, p := range explain.All() {
		have = append(have, p.ID)
	}
	if diff := cmp.Diff(reported(t), have); diff != "" {
		t.Errorf("ids without a page are missing, pages without an id are too many (-reported +pages):\n%s", diff)
	}
}

// stage is one look at an experiment.
type stage struct {
	name   string
	facts  bool // of hosts are known
	engine schema.Engine
	look   func(m *hcl.Module, engine schema.Engine) hcllib.Diagnostics
}

func point(m *hcl.Module, engine schema.Engine) hcllib.Diagnostics {
	_, diags := m.Experiment("", engine)
	return diags
}

var stages = []stage{
	{"validate", true, 0, func(m *hcl.Module, _ schema.Engine) hcllib.Diagnostics { return m.Validate() }},
	{"plan", true, 0, point},
	{"conclude", true, 0, func(m *hcl.Module, _ schema.Engine) hcllib.Diagnostics {
		exp, diags := m.Experiment("", 0)
		if diags.HasErrors() {
			return nil
		}
		_, _, diags = m.Conclude(exp, spec.Run{}, nil)
		return diags
	}},
	{"lint", true, 0, func(m *hcl.Module, _ schema.Engine) hcllib.Diagnostics { return m.Lint() }},
	{"simulate without facts", false, schema.Simulated, point},
	{"plan without facts", false, 0, point},
}

func facts(spec.Host) (spec.Facts, bool) {
	return spec.Facts{LogicalCores: 4, PhysicalCores: 2, MemoryTotal: 8 * spec.GiB, Arch: "amd64"}, true
}

// diagnose is what an example gives at a stage.
func diagnose(t *testing.T, example []explain.File, s stage) (hcllib.Diagnostics, string) {
	t.Helper()
	t.Chdir(t.TempDir())
	options := hcl.Options{Version: "1.0.0", Policies: hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Concurrency: concurrency.Builtin(), Dispatch: dispatch.Builtin(), Prewarm: prewarm.Builtin(), Estimate: estimate.Builtin(), GPUQueue: gpuqueue.Builtin(), Placement: placement.Builtin(), Balancer: policy.Builtin()}}
	if s.facts {
		options.Facts = facts
	}
	for _, f := range example {
		if f.Name == "" {
			flags(t, f.Text, &options)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(f.Name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.Name, []byte(f.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, diags := hcl.Load(".", options)
	if !diags.HasErrors() || s.name == "validate" {
		diags = append(diags, s.look(m, s.engine)...)
	}
	var text strings.Builder
	if err := diag.Write(&text, m.Files(), diags, diag.Options{}); err != nil {
		t.Fatal(err)
	}
	return diags, fmt.Sprintf("%.3000s", text.String())
}

// flags adds those of a command to the options.
func flags(t *testing.T, command string, o *hcl.Options) {
	t.Helper()
	words := strings.Fields(command)
	if len(words) < 2 || words[0] != "ainur" {
		t.Fatalf("%q is no ainur command", command)
	}
	for rest := words[2:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 {
			t.Fatalf("%q: a flag without a value", command)
		}
		switch rest[0] {
		case "--var":
			o.Vars = append(o.Vars, rest[1])
		case "--var-file":
			o.VarFiles = append(o.VarFiles, rest[1])
		default:
			t.Fatalf("%q: the test does not know %s", command, rest[0])
		}
	}
}

// has reports whether id is among diags.
func has(diags hcllib.Diagnostics, id string) bool {
	return slices.ContainsFunc(diags, func(d *hcllib.Diagnostic) bool {
		p, ok := d.Extra.(*diag.Problem)
		return ok && p.ID == id
	})
}

// The wrong example of a page has the mistake that the page is about, and the
// right one has none.
func TestExamples(t *testing.T) {
	for _, p := range explain.All() {
		t.Run(p.ID, func(t *testing.T) {
			if p.Untried != "" {
				if len(strings.Fields(p.Untried)) < 5 {
					t.Errorf("%q is no reason", p.Untried)
				}
				return
			}
			if len(p.Wrong) == 0 || len(p.Right) == 0 {
				t.Fatal("no examples, and no reason in the front matter: untried: ...")
			}
			seen, shown := -1, ""
			for i, s := range stages {
				diags, text := diagnose(t, p.Wrong, s)
				shown += s.name + ":\n" + text
				if has(diags, p.ID) {
					seen = i
					break
				}
			}
			if seen < 0 {
				t.Fatalf("the wrong example does not report it; it reports\n%s", shown)
			}
			for i, s := range stages[:max(seen+1, 2)] {
				diags, text := diagnose(t, p.Right, s)
				if diags.HasErrors() || has(diags, p.ID) || i == 0 && len(diags) > 0 {
					t.Errorf("%s of the right example reports\n%s", s.name, text)
				}
			}
		})
	}
}

// A page is a title, what it means, and examples as `ainur fmt` writes them.
func TestForm(t *testing.T) {
	for _, p := range explain.All() {
		t.Run(p.ID, func(t *testing.T) {
			if !strings.HasPrefix(p.Text, "# "+p.ID+": "+p.Title+"\n\n") || p.Title == "" || strings.HasSuffix(p.Title, ".") {
				t.Errorf("the first line is not `# %s: title`", p.ID)
			}
			if p.Meaning == "" || strings.Contains(p.Meaning, "```") {
				t.Errorf("between title and examples is %q", p.Meaning)
			}
			for _, f := range p.Right {
				if !strings.HasSuffix(f.Name, ".hcl") {
					continue
				}
				if diff := cmp.Diff(f.Text, string(hcl.Format([]byte(f.Text)))); diff != "" {
					t.Errorf("%s is not in style (-have +want):\n%s", f.Name, diff)
				}
			}
			for line := range strings.Lines(p.Text) {
				if len([]rune(line)) > 120 {
					t.Errorf("a long line: %s", line)
				}
			}
		})
	}
}

func TestID(t *testing.T) {
	for word, want := range map[string]string{"AIN1102": "AIN1102", "ain1102": "AIN1102", "1102": "AIN1102", " 1102 ": "AIN1102", "duraton": "DURATON", "": ""} {
		if got := explain.ID(word); got != want {
			t.Errorf("ID(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	if _, ok := explain.Find("AIN0000"); ok {
		t.Error("there is a page for AIN0000")
	}
	p, ok := explain.Find("AIN1204")
	if !ok || p.Title != "a quantity needs a unit" || len(p.Wrong) != 1 || p.Wrong[0].Name != "exp.ainur.hcl" {
		t.Errorf("got %+v, %t", p, ok)
	}
}
