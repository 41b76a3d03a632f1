package main

import (
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/ainur-faas/ainur/"

// layers of the repository from the bottom up. A package belongs to the longest
// prefix that fits it, and may import what is in a lower layer, or in its own
// layer below the same top-level folder.
var layers = [][]string{
	{"agent/shim/wire"}, // part of functions in Go
	{"internal/", "hcl/spec", "hcl/registry", "hcl/units"}, // leaves
	{"agent/agentpb"}, // the wire
	{"agent/queue", "agent/keepalive", "agent/concurrency", "agent/dispatch", "agent/prewarm", "agent/estimate", "agent/gpuqueue", "agent/placement", "balancer/policy", "loadgen/arrival"}, // policies
	{"agent/worker", "balancer/route"},  // cores
	{"agent/", "balancer/", "loadgen/"}, // drivers and adapters
	{"hcl", "orchestrator"},
	{"cmd/", "examples/"},
}

// pure packages import nothing of the module but one another, and nothing of
// the standard library but pureStandard.
var pure = []string{
	"hcl/spec", "hcl/registry", "internal/minheap", "internal/stream",
	"agent/queue", "agent/keepalive", "agent/concurrency", "agent/dispatch", "agent/prewarm", "agent/estimate", "agent/gpuqueue", "agent/placement", "balancer/policy", "loadgen/arrival",
	"agent/worker", "balancer/route",
}

var pureStandard = []string{
	"bytes", "cmp", "container/heap", "encoding/json", "errors", "fmt", "hash/fnv", "iter", "maps",
	"math", "math/rand/v2", "slices", "strconv", "strings", "time",
}

// deterministic packages decide nothing by the clock, by goroutines, by global
// chance or by the order of a map.
var deterministic = append([]string{"orchestrator/plan", "orchestrator/sim"}, pure...)

// onlyIn says which folders may import a foreign package that marks a boundary.
var onlyIn = map[string][]string{
	"github.com/hashicorp/hcl/":  {"hcl", "orchestrator", "cmd"}, // outside hcl for its diagnostics alone
	"github.com/zclconf/go-cty/": {"hcl"},
	"github.com/spf13/cobra":     {"cmd"},
	"github.com/parquet-go/":     {"loadgen"},
	"github.com/olekukonko/":     {"orchestrator"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath, Dir, Export string
	GoFiles, Imports        []string
}

// goList runs go list with args and yields the packages by import path.
func goList(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,Export,GoFiles,Imports"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	packages := map[string]pkg{}
	for d := json.NewDecoder(out); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages
}

// layer returns the layer of a package of the module, -1 if it has none.
func layer(name string) int {
	best, longest := -1, 0
	for i, prefixes := range layers {
		for _, prefix := range prefixes {
			if within(name, prefix) && len(prefix) > longest {
				best, longest = i, len(prefix)
			}
		}
	}
	return best
}

func within(name, folder string) bool {
	return strings.HasPrefix(name+"/", strings.TrimSuffix(folder, "/")+"/")
}

func top(name string) string {
	folder, _, _ := strings.Cut(name, "/")
	return folder
}

// TestLayers keeps the arrows of docs/architecture.md pointing one way.
func TestLayers(t *testing.T) {
	for path, p := range goList(t, modulePath+"...") {
		name := strings.TrimPrefix(path, modulePath)
		if layer(name) < 0 {
			t.Errorf("%s is in no layer", name)
		}
		for _, imported := range p.Imports {
			dep, ours := strings.CutPrefix(imported, modulePath)
			if ours && (layer(dep) > layer(name) || layer(dep) == layer(name) && top(dep) != top(name)) {
				t.Errorf("%s imports %s: against the arrows", name, dep)
			}
			for prefix, folders := range onlyIn {
				if strings.HasPrefix(imported, prefix) && !slices.Contains(folders, top(name)) {
					t.Errorf("%s imports %s, which is for %s", name, imported, strings.Join(folders, ", "))
				}
			}
		}
	}
}

// TestPureImports keeps what could act or wait out of the cores and policies.
func TestPureImports(t *testing.T) {
	packages := goList(t, modulePath+"...")
	for _, name := range pure {
		for _, imported := range packages[modulePath+name].Imports {
			dep, ours := strings.CutPrefix(imported, modulePath)
			if ours && !slices.Contains(pure, dep) || !ours && !slices.Contains(pureStandard, imported) {
				t.Errorf("%s imports %s: cores and policies are pure", name, imported)
			}
		}
	}
}

// TestPureSource reads and type-checks the deterministic packages.
func TestPureSource(t *testing.T) {
	patterns := []string{"-deps", "-export"}
	for _, name := range deterministic {
		patterns = append(patterns, modulePath+name)
	}
	packages := goList(t, patterns...)
	files := token.NewFileSet()
	compiled := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(packages[path].Export)
	})
	for _, name := range deterministic {
		p := packages[modulePath+name]
		var parsed []*ast.File
		for _, file := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		for _, problem := range impurities(t, files, compiled, parsed) {
			t.Error(problem)
		}
	}
}

// impure functions by package: those that read the clock, wait, draw from the
// global source or print, and those that yield a map in no order.
var impure = map[string]*regexp.Regexp{
	"fmt":          regexp.MustCompile(`^(Print|Scan)`),
	"maps":         regexp.MustCompile(`^(All|Keys|Values)$`),
	"math/rand":    regexp.MustCompile(`^(Int|Uint|Float|Perm|Shuffle|Exp|Norm)`),
	"math/rand/v2": regexp.MustCompile(`^(Int|Uint|Float|Perm|Shuffle|N$|Exp|Norm)`),
	"time":         regexp.MustCompile(`^(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)$`),
}

// impurities returns a line for each construct of a package that makes its
// decisions depend on more than its input. A map may be ranged over to be
// sorted: slices.Sorted(maps.Keys(m)).
func impurities(t *testing.T, files *token.FileSet, from types.Importer, parsed []*ast.File) (problems []string) {
	t.Helper()
	info := types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: from}
	if _, err := config.Check("p", files, parsed, &info); err != nil {
		t.Fatal(err)
	}
	found := func(n ast.Node, what string) {
		at := files.Position(n.Pos())
		if dir, err := filepath.Abs("../.."); err == nil {
			at.Filename = strings.TrimPrefix(at.Filename, dir+"/")
		}
		problems = append(problems, at.String()+": "+what)
	}
	sorted := map[ast.Node]bool{} // arguments of slices.Sorted and its kin
	inspect := func(n ast.Node) bool {
		if sorted[n] {
			return false
		}
		switch n := n.(type) {
		case *ast.GoStmt:
			found(n, "go statement")
		case *ast.SelectStmt:
			found(n, "select statement")
		case *ast.ChanType:
			found(n, "channel")
		case *ast.RangeStmt:
			if _, ok := info.Types[n.X].Type.Underlying().(*types.Map); ok {
				found(n, "range over a map")
			}
		case *ast.CallExpr:
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 {
				if f, ok := info.Uses[s.Sel].(*types.Func); ok && strings.HasPrefix(f.FullName(), "slices.Sorted") {
					sorted[n.Args[0]] = true
				}
			}
		case *ast.Ident:
			f, ok := info.Uses[n].(*types.Func)
			if ok && f.Pkg() != nil && f.Signature().Recv() == nil {
				if names := impure[f.Pkg().Path()]; names != nil && names.MatchString(f.Name()) {
					found(n, f.FullName())
				}
			}
		}
		return true
	}
	for _, file := range parsed {
		ast.Inspect(file, inspect)
	}
	return problems
}

// TestImpurities shows that TestPureSource would see what it looks for.
func TestImpurities(t *testing.T) {
	files := token.NewFileSet()
	standard := importer.ForCompiler(files, "source", nil)
	for name, tt := range map[string]struct{ imports, body, want string }{
		"clock":            {`"time"`, `_ = time.Now()`, "time.Now"},
		"clock as a value": {`"time"`, `clock := time.Now; _ = clock`, "time.Now"},
		"clock by alias":   {`t "time"`, `_ = t.Now()`, "time.Now"},
		"global chance":    {`"math/rand/v2"`, `_ = rand.IntN(3)`, "math/rand/v2.IntN"},
		"goroutine":        {``, `go func() {}()`, "go statement"},
		"channel":          {``, `var c chan int; _ = c`, "channel"},
		"map order":        {``, `for range m {}`, "range over a map"},
		"unsorted keys":    {`"maps"`, `for range maps.Keys(m) {}`, "maps.Keys"},
		"sorted keys":      {`"maps"; "slices"`, `for range slices.Sorted(maps.Keys(m)) {}`, ""},
		"own stream":       {`"math/rand/v2"`, `_ = rand.New(rand.NewPCG(1, 2)).IntN(3)`, ""},
		"instants":         {`"time"`, `_ = time.Unix(0, 0).After(time.Time{})`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			src := "package p; import (" + tt.imports + "); func f(m map[int]int) { " + tt.body + " }"
			f, err := parser.ParseFile(files, "p.go", src, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(impurities(t, files, standard, []*ast.File{f}), "\n")
			if got != "" && tt.want == "" || !strings.HasSuffix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
