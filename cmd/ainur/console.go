package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// consoleFlags are those of console.
type consoleFlags struct {
	run         string
	expressions []string
	experiment  string
	stage       string
}

func (c *cli) consoleCommand() *cobra.Command {
	var flags consoleFlags
	cmd := &cobra.Command{
		Use:   "console [PATH]",
		Short: "Evaluate expressions of an experiment, or of the results of a run",
		Long: `Evaluates expressions that may name everything that the files have, and what a
run measured. With a terminal it is a dialogue: :help lists its commands, Tab
completes names. Otherwise it reads an expression from each line of standard
input and prints the values.

RUN is an id or the beginning of one, a result folder, or latest. Without PATH
its files are those that the run was made from.`,
		Example: `  ainur console
  ainur console -e 'seconds("1.5m")' -e cluster.lab.hosts
  ainur console --run latest -e '[for r in result : r.latency.p99]'`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return c.console(cmd, args, flags) },
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&flags.run, "run", "", "a finished run, for what it measured")
	cmd.Flags().StringArrayVarP(&flags.expressions, "expression", "e", nil, "evaluate this and end (may be repeated)")
	cmd.Flags().StringVar(&flags.experiment, "experiment", "", "the experiment, where there are several")
	cmd.Flags().StringVar(&flags.stage, "stage", "", "static, plan or result: how much is known (default plan, with --run result)")
	return cmd
}

func (c *cli) console(cmd *cobra.Command, args []string, flags consoleFlags) error {
	in := cmd.InOrStdin()
	dialogue := len(flags.expressions) == 0 && isReaderTerminal(in)
	if dialogue && c.output == "json" {
		return exit(exitUsage, errors.New("-o json needs -e EXPR, or expressions on standard input"))
	}
	var finished *hcl.Finished
	if flags.run != "" {
		run, err := result.Open(flags.run, c.results)
		if err != nil {
			return err
		}
		finished = finishedRun(run)
		if len(args) == 0 {
			args = []string{frozenFiles(run)}
			c.vars = append(recordedVars(run.Experiment.Variables), c.vars...)
		}
	}
	m, ok := c.load(args, hcl.Options{Facts: localFacts})
	if len(args) == 0 && len(m.Files()) == 0 { // nothing here: functions are of use without
		c.diags, ok = nil, true
	}
	if !ok && !dialogue {
		return errSpec
	}
	s, diags := m.Session(flags.experiment, finished)
	if c.diags = append(c.diags, diags...); diags.HasErrors() {
		return errSpec
	}
	if flags.stage != "" {
		if err := s.SetStage(hcl.Stage(flags.stage)); err != nil {
			return exit(exitUsage, fmt.Errorf("--stage: %w", err))
		}
	}
	k := &console{c: c, m: m, s: s, out: c.stdout, problems: c.stderr}
	switch {
	case len(flags.expressions) > 0:
		for _, e := range flags.expressions {
			k.do(e)
		}
	case dialogue && isTerminal(c.stdout):
		return k.onTerminal(cmd.Context(), in.(*os.File))
	default:
		if err := k.read(cmd.Context(), in); err != nil {
			return err
		}
	}
	if c.output == "json" {
		c.data = map[string]any{"values": k.values}
	}
	if k.failed {
		return errSpec
	}
	return nil
}

func isReaderTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isTerminal(f)
}

// finishedRun is a run as expressions see it.
func finishedRun(run *result.Run) *hcl.Finished {
	m := run.Manifest
	f := &hcl.Finished{
		Experiment: run.Experiment, Facts: m.Hosts, Simulated: m.Mode == result.Simulated,
		Run:     spec.Run{ID: m.RunID, Seed: m.Seed, Started: m.Started.Format(time.RFC3339)},
		Results: map[string][]spec.RepeatMetrics{},
	}
	for _, r := range run.Repeats {
		if r.Metrics != nil {
			f.Results[r.Point] = append(f.Results[r.Point], r.Metrics)
		}
	}
	return f
}

// frozenFiles is the folder of a run that holds the files it was made from.
func frozenFiles(run *result.Run) string {
	root := filepath.Join(run.Dir, "spec")
	if len(run.Experiment.Sources) == 0 {
		return root
	}
	first := filepath.Dir(filepath.Clean(run.Experiment.Sources[0].Path))
	above := first
	for _, s := range run.Experiment.Sources { // those of modules may be elsewhere
		for above != "." && above != "/" && !strings.HasPrefix(filepath.Clean(s.Path), above+"/") {
			above = filepath.Dir(above)
		}
	}
	below, err := filepath.Rel(above, first)
	if err != nil {
		return root
	}
	return filepath.Join(root, below)
}

// recordedVars are the variables of a run that were given, as --var takes them.
func recordedVars(all []spec.Variable) (vars []string) {
	for _, v := range all {
		if v.Origin == "default" || v.Sensitive() {
			continue
		}
		text := string(v.Value)
		var s string
		if json.Unmarshal(v.Value, &s) == nil {
			text = s
		}
		vars = append(vars, v.Name+"="+text)
	}
	return vars
}

// console evaluates lines.
type console struct {
	c        *cli
	m        *hcl.Module
	s        *hcl.Session
	out      io.Writer
	problems io.Writer
	values   []consoleValue // of the JSON document
	failed   bool
	ended    bool // by :quit
}

// consoleValue is an answer in the JSON document.
type consoleValue struct {
	Input string          `json:"input"`
	Type  string          `json:"type,omitempty"`
	Known bool            `json:"known"` // all of it; what is not is null
	Value json.RawMessage `json:"value"` // null when there is none
	Text  string          `json:"text,omitempty"`
}

// read evaluates a text line by line. Lines belong together while brackets are open.
func (k *console) read(ctx context.Context, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	pending := ""
	for !k.ended && lines.Scan() && ctx.Err() == nil {
		pending += lines.Text()
		if hcl.Incomplete(pending) {
			pending += "\n"
			continue
		}
		k.do(pending)
		pending = ""
	}
	k.do(pending)
	return errors.Join(lines.Err(), ctx.Err())
}

// do evaluates one line or obeys a command.
func (k *console) do(line string) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "//") {
		return
	}
	if !strings.HasPrefix(line, ":") {
		k.eval(line)
		return
	}
	name, rest, _ := strings.Cut(line, " ")
	var known []string
	for _, command := range k.commands() {
		if command.name == name {
			if err := command.do(strings.TrimSpace(rest)); err != nil {
				k.wrong(err)
			}
			return
		}
		known = append(known, command.name)
	}
	if near := diag.Suggest(name, known); len(near) > 0 {
		k.wrong(fmt.Errorf("there is no command %s; did you mean %s?", name, diag.Or(near)))
		return
	}
	k.wrong(fmt.Errorf("there is no command %s; :help lists them", name))
}

func (k *console) eval(src string) {
	a, diags := k.s.Eval(src)
	if k.diagnosed(diags) {
		k.values = append(k.values, consoleValue{Input: src})
		return
	}
	k.values = append(k.values, consoleValue{Input: src, Type: a.Type(oneLine), Known: a.Known(), Value: a.JSON()})
	k.print(a.HCL(k.columns()))
}

// oneLine is columns enough for a type.
const oneLine = 1 << 20

// command is something that the console does but evaluate.
type command struct {
	name, args, help string
	do               func(string) error
}

func (k *console) commands() []command {
	return []command{
		{":type", "EXPR", "the type of an expression", k.typeOf},
		{":doc", "NAME", "what a function, a block or an argument is: load.duration", k.doc},
		{":stage", "[STAGE]", "how much is known: static, plan or result", k.stage},
		{":point", "[POINT]", "list the points of the sweep, or evaluate at one: queue=sjf, none", k.point},
		{":plan", "", "what a run would do", k.plan},
		{":help", "", "this", k.help},
		{":quit", "", "leave; so does Ctrl-D", func(string) error { k.ended = true; return nil }},
	}
}

func (k *console) typeOf(src string) error {
	if src == "" {
		return errors.New(":type wants an expression, as in :type local.x")
	}
	if a, diags := k.s.Eval(src); !k.diagnosed(diags) {
		k.say(":type "+src, a.Type(k.columns()))
	}
	return nil
}

func (k *console) doc(name string) error {
	if name == "" {
		return errors.New(":doc wants a name, as in :doc load.duration")
	}
	text, err := k.s.Doc(name)
	if err == nil {
		k.say(":doc "+name, strings.TrimSuffix(text, "\n"))
	}
	return err
}

// stageHelp is what each stage knows.
var stageHelp = map[hcl.Stage]string{
	hcl.AtStatic: "variables, locals, functions and files",
	hcl.AtPlan:   "and the facts of hosts",
	hcl.AtResult: "and what a run measured",
}

func (k *console) stage(name string) error {
	if name != "" {
		if err := k.s.SetStage(hcl.Stage(name)); err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, stage := range hcl.Stages {
		mark := " "
		if stage == k.s.Stage() {
			mark = "*"
		}
		fmt.Fprintf(&b, "%s %-6s  %s\n", mark, stage, stageHelp[stage])
	}
	k.say(strings.TrimSpace(":stage "+name), strings.TrimSuffix(b.String(), "\n"))
	return nil
}

func (k *console) point(text string) error {
	if text != "" {
		if err := k.s.SetPoint(text); err != nil {
			return err
		}
		name := "no point is chosen"
		if p := k.s.Point(); p != nil {
			name = "* " + p.ID + "  " + hcl.PointText(*p, " ")
		}
		k.say(":point "+text, name)
		return nil
	}
	points, diags := k.s.Points()
	if k.diagnosed(diags) {
		return nil
	}
	var b strings.Builder
	for i, p := range points {
		if i == mostPoints {
			fmt.Fprintf(&b, "and %d more\n", len(points)-i)
			break
		}
		mark := " "
		if chosen := k.s.Point(); chosen != nil && chosen.ID == p.ID {
			mark = "*"
		}
		b.WriteString(strings.TrimRight(mark+" "+p.ID+"  "+hcl.PointText(p, " "), " ") + "\n")
	}
	k.say(":point", strings.TrimSuffix(b.String(), "\n"))
	return nil
}

// mostPoints is how many points are listed.
const mostPoints = 50

func (k *console) plan(string) error {
	exp, diags := k.m.Experiment(k.s.Experiment(), 0)
	if k.diagnosed(diags) {
		return nil
	}
	var b strings.Builder
	if err := plan.Render(&b, exp); err != nil {
		return err
	}
	k.say(":plan", strings.TrimSuffix(b.String(), "\n"))
	return nil
}

func (k *console) help(string) error {
	var b strings.Builder
	b.WriteString("An expression gives its value. It goes on over lines while brackets are open.\n\n")
	for _, c := range k.commands() {
		fmt.Fprintf(&b, "  %-15s  %s\n", strings.TrimSpace(c.name+" "+c.args), c.help)
	}
	k.say(":help", strings.TrimSuffix(b.String(), "\n"))
	return nil
}

// say answers a command.
func (k *console) say(input, text string) {
	k.values = append(k.values, consoleValue{Input: input, Text: text})
	k.print(text)
}

func (k *console) print(text string) {
	if k.c.output != "json" {
		fmt.Fprintln(k.out, text)
	}
}

// wrong reports a mistake that has no place in a source.
func (k *console) wrong(err error) {
	k.failed = true
	if k.c.output == "json" {
		k.c.diags = append(k.c.diags, diag.Problem{Summary: err.Error()}.Diagnostic())
		return
	}
	fmt.Fprintf(k.problems, "ainur: %v\n", err)
}

// diagnosed shows what is wrong, and reports whether there are errors.
func (k *console) diagnosed(diags hcllib.Diagnostics) bool {
	if !diags.HasErrors() {
		return false
	}
	k.failed = true
	if k.c.output == "json" {
		k.c.diags = append(k.c.diags, diags...)
		return true
	}
	if err := k.c.explain(k.problems, diags); err != nil {
		k.wrong(err)
	}
	return true
}

// explain writes diagnostics with their source.
func (c *cli) explain(w io.Writer, diags hcllib.Diagnostics) error {
	return diag.Write(w, c.files, diags, diag.Options{Color: c.colored(c.stderr), Width: width(c.stderr)})
}

// columns is how wide values may be.
func (k *console) columns() int {
	if n := columns(k.c.stdout); n > 0 {
		return n
	}
	return 80
}
