package scaffold

import (
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/loadgen/trace"
)

// pair is a trace in two files: of invocations and of functions.
type pair struct {
	invocations, functions string // paths
	*trace.Trace
}

// Columns of the functions that busy, which stands for them all, has a use for.
var usedColumns = []string{"func_name", "cold_dur_ms", "warm_dur_ms", "mem_mb"}

// findTraces pairs the CSV files of a folder: invocations go with the functions
// that have all of theirs and the most alike name.
func (im *importer) findTraces(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil {
		return err
	}
	columns := map[string][]string{}
	var invocations, functions []string
	for _, file := range files {
		header, err := headerOf(file)
		switch {
		case err != nil:
			im.notes.add("%s is not read: %v.", from(file), err)
		case slices.Contains(header, "func_name") && slices.Contains(header, "invoke_time_ms"):
			invocations = append(invocations, file)
		case slices.Contains(header, "func_name") && slices.Contains(header, "mem_mb"):
			functions = append(functions, file)
			columns[file] = header
		default:
			im.notes.add("%s is not read: its columns are those of no trace.", from(file))
		}
	}
	used := map[string]bool{}
	for _, file := range invocations {
		made, err := match(file, functions)
		if err != nil {
			im.notes.add("%s is left out: %v.", from(file), err)
			continue
		}
		im.traces = append(im.traces, made)
		if !used[made.functions] {
			im.columns(made.functions, columns[made.functions])
		}
		used[made.functions] = true
	}
	for _, file := range functions {
		if !used[file] {
			im.notes.add("%s is not read: no trace has its functions.", from(file))
		}
	}
	return nil
}

// columns notes those of a file of functions that nothing is made of.
func (im *importer) columns(file string, header []string) {
	var unused []string
	for _, c := range header {
		if !slices.Contains(usedColumns, c) {
			unused = append(unused, c)
		}
	}
	if len(unused) > 0 {
		im.notes.add("%s of %s: busy stands for every function, with its own durations and memory.", strings.Join(unused, ", "), from(file))
	}
	if !slices.Contains(header, "warm_dur_ms") {
		im.notes.add("%s has no warm_dur_ms: its functions take no time.", from(file))
	}
}

// headerOf is the first line of a CSV file.
func headerOf(file string) (header []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	header, err = csv.NewReader(io.LimitReader(f, 1<<16)).Read()
	for i := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff"))
	}
	return header, err
}

// match finds the functions of a trace.
func match(invocations string, functions []string) (pair, error) {
	functions = slices.Clone(functions)
	slices.SortStableFunc(functions, func(x, y string) int {
		return cmp.Compare(alike(y, invocations), alike(x, invocations))
	})
	err := errors.New("there is no file of its functions")
	for i, file := range functions {
		t, problem := trace.ReadIluvatar(invocations, file)
		if problem == nil {
			return pair{invocations, file, t}, nil
		}
		if i == 0 {
			err = problem // of the most alike
		}
	}
	return pair{}, err
}

// alike counts the letters with which two base names begin and end alike, the
// word metadata apart.
func alike(x, y string) int {
	clean := strings.NewReplacer("metadata", "", "meta", "")
	x, y = clean.Replace(from(x)), clean.Replace(from(y))
	n := 0
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	m := 0
	for m < min(len(x), len(y))-n && x[len(x)-1-m] == y[len(y)-1-m] {
		m++
	}
	return n + m
}

// traceBlocks writes the traces and returns their names.
func (im *importer) traceBlocks(body *hclwrite.Body) (all []string) {
	taken := names{"latest": true} // no experiment can be called so
	for _, p := range im.traces {
		name := taken.take(strings.TrimSuffix(strings.TrimSuffix(from(p.invocations), ".csv"), ".trace"), "t")
		all = append(all, name)
		b := body.AppendNewBlock("trace", []string{name}).Body()
		setText(b, "format", "iluvatar")
		setText(b, "path", im.path(p.invocations))
		setText(b, "metadata", im.path(p.functions))
		setText(b, "sha256", p.SHA256)
		b.SetAttributeRaw("map_to", reference("function", "busy"))
		body.AppendNewline()
		im.read = append(im.read, from(p.invocations))
	}
	return all
}

// path is a path from the folder of the experiment.
func (im *importer) path(file string) string {
	folder, err1 := filepath.Abs(im.folder)
	whole, err2 := filepath.Abs(file)
	if err := errors.Join(err1, err2); err != nil {
		return filepath.ToSlash(file)
	}
	if relative, err := filepath.Rel(folder, whole); err == nil {
		return filepath.ToSlash(relative)
	}
	return filepath.ToSlash(whole)
}

// loads writes the function, and a load and an experiment for each trace; where
// there is none, for a load that is made up.
func (im *importer) loads(body *hclwrite.Body, worker string, traces []string) {
	if len(traces) == 0 {
		im.notes.add("there is no trace: function and load are made up.")
		f := body.AppendNewBlock("function", []string{"hello"}).Body()
		setText(f, "builtin", "hello")
		setText(f, "memory", "64MiB")
		f.AppendNewline()
		p := f.AppendNewBlock("profile", nil).Body()
		setText(p, "warm", "50us")
		setText(p, "cold", "10ms")
		body.AppendNewline()
		l := im.load(body, "minute", worker)
		l.SetAttributeRaw("call", reference("function", "hello"))
		setText(l, "warmup", "10s")
		setText(l, "duration", "60s")
		l.AppendNewline()
		setText(l.AppendNewBlock("arrival", []string{"poisson"}).Body(), "rate", "50/s")
		body.AppendNewline()
		experiment(body, "iluvatar", "A worker of Ilúvatar", worker, "minute")
		return
	}
	comment(body, "It computes for as long as each function of the trace took.")
	f := body.AppendNewBlock("function", []string{"busy"}).Body()
	setText(f, "builtin", "busy")
	setText(f, "memory", "64MiB")
	body.AppendNewline()
	for _, name := range traces {
		l := im.load(body, name, worker)
		l.SetAttributeRaw("duration", reference("trace", name, "duration"))
		l.AppendNewline()
		l.AppendNewBlock("arrival", []string{"trace"}).Body().SetAttributeRaw("trace", reference("trace", name))
		body.AppendNewline()
	}
	for _, name := range traces {
		experiment(body, name, "The trace "+name+" on a worker of Ilúvatar", worker, name)
	}
}

// load begins a load block.
func (im *importer) load(body *hclwrite.Body, name, worker string) *hclwrite.Body {
	l := body.AppendNewBlock("load", []string{name}).Body()
	l.SetAttributeRaw("target", reference("worker", worker))
	l.SetAttributeRaw("from", hclwrite.TokensForTuple([]hclwrite.Tokens{reference("cluster", "lab", "host", worker)}))
	if im.local {
		setText(l, "lag_limit", "100ms") // the generator shares the cores with the functions
	}
	return l
}

func experiment(body *hclwrite.Body, name, title, worker, load string) {
	e := body.AppendNewBlock("experiment", []string{name}).Body()
	setText(e, "title", title)
	e.SetAttributeRaw("cluster", reference("cluster", "lab"))
	e.SetAttributeRaw("worker", reference("worker", worker))
	e.SetAttributeRaw("load", reference("load", load))
	setNumber(e, "repeat", 6)
	e.SetAttributeValue("seed", cty.NumberIntVal(1))
	body.AppendNewline()
}
