package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/internal/printable"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// Exit codes: one table for every verb.
const (
	exitFailed      = 1
	exitChanges     = 2
	exitSpec        = 3
	exitUnreachable = 4
	exitLocked      = 5
	exitRequire     = 6
	exitInvalid     = 7
	exitUsage       = 64
	exitAssertions  = 99
	exitInterrupted = 130
	exitCodesHelp   = `Exit codes, the same for every verb

    0  done; all assertions held
    1  an operation failed
    2  with --detailed-exitcode alone: hosts are to be changed
    3  the experiment is invalid, or fmt --check found files
    4  a host cannot be reached, or refused us
    5  another ainur holds the lock
    6  what the experiment requires of the hosts does not hold
    7  the run finished but its numbers are not valid
   64  wrong flags or arguments
   99  an assertion failed
  130  interrupted, after clean-up

When several apply, the order of precedence is 130, 4, 6, 7, 1, 99.
`
)

// exitError is an error with its exit code. Its message may be empty when
// everything has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exit gives err a code.
func exit(code int, err error) error { return &exitError{code, err} }

// errSaid is for failures that the verb's own output has explained.
var errSaid = errors.New("")

// cli is one invocation of the program.
type cli struct {
	stdout, stderr io.Writer
	output         string // "table", "json" or another of outputs
	color          string // "auto", "always" or "never"
	results        string
	quiet          bool
	vars, varFiles []string

	command string
	data    any // of the JSON document
	files   map[string]*hcl.File
	diags   hcl.Diagnostics
}

// run is the whole program; tests call it through testscript.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &cli{stdout: stdout, stderr: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	c.command = verb(cmd)
	return c.finish(err)
}

// finish says what is left to say, and is the only place where an error becomes a number.
func (c *cli) finish(err error) int {
	code := exitCode(err)
	switch {
	case c.output == "json":
		return c.document(code, err)
	case !slices.Contains(outputs(c.command), c.output): // the arguments were wrong before that was looked at
	case c.output == "sarif", c.output == "github":
		return c.annotate(code, err)
	}
	if len(c.diags) > 0 {
		if werr := diag.Write(c.stderr, c.files, c.diags, diag.Options{Color: c.colored(c.stderr), Width: width(c.stderr)}); werr != nil {
			return exitFailed
		}
	}
	if err != nil && err.Error() != "" {
		fmt.Fprintf(c.stderr, "ainur: %s\n", printable.Text(err.Error()))
	}
	return code
}

func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, node.ErrLocked):
		return exitLocked
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitFailed
	}
}

// document prints the one JSON document of a verb: the same envelope whether it
// went well or not.
func (c *cli) document(code int, err error) int {
	objects := diag.JSON(c.diags)
	if err != nil && err.Error() != "" {
		objects = append(objects, diag.Object{Severity: "error", Summary: err.Error()})
	}
	if c.data == nil {
		c.data = struct{}{}
	}
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		Format      string        `json:"format"`
		Command     string        `json:"command"`
		OK          bool          `json:"ok"`
		Exit        int           `json:"exit"`
		Diagnostics []diag.Object `json:"diagnostics"`
		Data        any           `json:"data"`
	}{"ainur/1", c.command, code == 0, code, objects, c.data}); err != nil {
		fmt.Fprintf(c.stderr, "ainur: %s\n", printable.Text(err.Error()))
		return exitFailed
	}
	return code
}

// annotate prints what is wrong for programs that show it beside the source.
func (c *cli) annotate(code int, err error) int {
	diags := c.diags
	if err != nil && err.Error() != "" {
		diags = append(diags, diag.Problem{Summary: err.Error()}.Diagnostic())
	}
	at := diag.Checkout{Files: c.files, Root: os.Getenv("GITHUB_WORKSPACE")}
	if at.Root == "" {
		at.Root, _ = os.Getwd() // without it names stay as they are
	}
	write := diag.GitHub
	if c.output == "sarif" {
		write = func(w io.Writer, diags hcl.Diagnostics, at diag.Checkout) error {
			return diag.SARIF(w, diags, at, version)
		}
	}
	if err := write(c.stdout, diags, at); err != nil {
		fmt.Fprintf(c.stderr, "ainur: %s\n", printable.Text(err.Error()))
		return exitFailed
	}
	return code
}

// outputs are the forms of output that a verb has, the one it has by itself first.
func outputs(command string) []string {
	switch command {
	case "validate":
		return []string{"table", "json", "sarif", "github"}
	case "graph":
		return []string{"ascii", "dot", "mermaid", "svg", "json"}
	}
	return []string{"table", "json"}
}

// verb is a command as it is called: "validate".
func verb(cmd *cobra.Command) string { return strings.TrimPrefix(cmd.CommandPath(), "ainur ") }

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "ainur",
		Short:         "Declarative, repeatable experiments on serverless platforms",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return c.checkFlags(cmd)
		},
		Args: cobra.ArbitraryArgs,
		RunE: func(root *cobra.Command, args []string) error {
			if len(args) == 0 {
				return root.Help()
			}
			hint := "; `ainur help` lists the verbs"
			var verbs []string
			for _, cmd := range root.Commands() {
				if cmd.IsAvailableCommand() {
					verbs = append(verbs, cmd.Name())
				}
			}
			if close := diag.Suggest(args[0], verbs); len(close) > 0 {
				hint = "; did you mean " + strings.Join(close, " or ") + "?"
			}
			return exit(exitUsage, fmt.Errorf("unknown verb %q%s", args[0], hint))
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitUsage, err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&c.output, "output", "o", "table", "table or json; validate also has sarif and github, graph ascii, dot, mermaid and svg")
	flags.StringVar(&c.color, "color", "auto", "auto, always or never")
	flags.StringVar(&c.results, "results", envOr("AINUR_RESULTS", "results"), "folder of the results")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "print only the result")
	root.AddCommand(
		c.initCommand(), c.migrateCommand(),
		c.validateCommand(), c.lintCommand(), c.schemaCommand(), c.lspCommand(), c.fmtCommand(), c.explainCommand(), c.planCommand(), c.graphCommand(), c.consoleCommand(),
		c.upCommand(), c.destroyCommand(), c.statusCommand(), c.tuneCommand(), c.factsCommand(), c.lockCommand(), c.unlockCommand(), c.execCommand(), c.sshCommand(), c.cpCommand(), c.sshConfigCommand(), c.setupCommand(),
		c.runCommand(), c.simulateCommand(), c.calibrateCommand(), c.fidelityCommand(), c.policiesCommand(), c.benchCommand(), c.imageCommand(), c.labCommand(), c.doctorCommand(), c.cleanCommand(),
		c.listCommand(), c.showCommand(), c.reportCommand(), c.explainInvocationCommand(), c.logsCommand(), c.collectCommand(),
		c.agentCommand(), c.balancerCommand(), c.loadCommand(), c.collectorCommand(), c.superviseCommand(), c.conductCommand(), c.relayCommand(),
		&cobra.Command{Use: "exit-codes", Short: "The exit codes", Long: exitCodesHelp}, // a help topic
	)
	return root
}

func (c *cli) checkFlags(cmd *cobra.Command) error {
	have := outputs(verb(cmd))
	if !cmd.Flags().Changed("output") {
		c.output = have[0]
	}
	if !slices.Contains(have, c.output) {
		output := c.output
		c.output = "table"
		return exit(exitUsage, fmt.Errorf("--output is %q, want %s", output, diag.Or(have)))
	}
	if c.color != "auto" && c.color != "always" && c.color != "never" {
		return exit(exitUsage, fmt.Errorf("--color is %q, want auto, always or never", c.color))
	}
	return nil
}

// args is a cobra check of arguments with our exit code.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(exitUsage, fmt.Errorf("%w; usage: %s", err, cmd.UseLine()))
		}
		return nil
	}
}

func (c *cli) colored(w io.Writer) bool {
	switch c.color {
	case "always":
		return true
	case "never":
		return false
	}
	if os.Getenv("CLICOLOR_FORCE") != "" {
		return true
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the columns of the terminal, 0 when w is none.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
