package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ainur-faas/ainur/agent/host"
	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/containerd"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/orchestrator"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

// socketFlags adds the flags that say where daemons listen.
func socketFlags(cmd *cobra.Command) *host.Sockets {
	s := host.DefaultSockets
	cmd.Flags().StringVar(&s.Containerd, "containerd", s.Containerd, "socket of containerd")
	cmd.Flags().StringVar(&s.Docker, "docker", s.Docker, "socket of Docker")
	return &s
}

// check is something that an experiment may want of this host.
type check struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`
}

func (c *cli) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this host can do, and what of ainur's is on it",
		Long: `Shows what this host has of what experiments may want, what sandboxes could not
be given here, and everything of ainur's that is on it: processes, containers,
snapshots, cgroups, network namespaces, bridges and links, each with its run.`,
		Args: args(cobra.NoArgs),
	}
	sockets := socketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.doctor(cmd.Context(), *sockets) }
	return cmd
}

func (c *cli) doctor(ctx context.Context, s host.Sockets) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	checks := c.checkHost(ctx, s)
	ours, err := host.List(ctx, s)
	alive := host.Alive()
	c.data = map[string]any{"checks": checks, "ours": ours}
	if c.output == "json" {
		return err
	}
	t := report.Table{Columns: []report.Column{{Name: "check"}, {Name: ""}, {Name: "says"}}}
	for _, k := range checks {
		mark := "ok"
		if !k.OK {
			mark = "no"
		}
		t.Rows = append(t.Rows, []string{k.What, mark, k.Says})
	}
	if err := t.Write(c.stdout); err != nil {
		return err
	}
	if len(ours) == 0 {
		fmt.Fprintln(c.stdout, "\nnothing of ainur's is on this host")
		return err
	}
	o := report.Table{Columns: []report.Column{{Name: "run"}, {Name: "agents"}, {Name: "ours"}}}
	for _, g := range grouped(ours) {
		state := "dead: ainur clean removes it"
		if alive(g.run) {
			state = "alive"
		}
		names := strings.Join(g.names[:min(len(g.names), shownNames)], ", ")
		if more := len(g.names) - shownNames; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		o.Rows = append(o.Rows, []string{g.run, state, g.kind + " " + names})
	}
	fmt.Fprintln(c.stdout)
	return errors.Join(o.Write(c.stdout), err)
}

// shownNames is how many things of a kind are named in a table.
const shownNames = 3

// group is the things of one kind of one run.
type group struct {
	run, kind string
	names     []string
}

// grouped keeps the order in which groups begin.
func grouped(things []sandbox.Thing) (groups []group) {
	for _, t := range things {
		at := strings.LastIndexByte(t.What, ' ')
		kind, name := t.What[:at], t.What[at+1:]
		n := slices.IndexFunc(groups, func(g group) bool { return g.run == t.Run && g.kind == kind })
		if n < 0 {
			n, groups = len(groups), append(groups, group{run: t.Run, kind: kind})
		}
		groups[n].names = append(groups[n].names, name)
	}
	return groups
}

func (c *cli) checkHost(ctx context.Context, s host.Sockets) (checks []check) {
	add := func(what string, says string, err error) {
		if err != nil {
			says = firstLine(err.Error())
		}
		checks = append(checks, check{what, err == nil, says})
	}
	facts := resource.HostFacts()
	add("kernel", facts.Kernel+", cgroups "+facts.Cgroup, nil)
	var user error
	if facts.UID != 0 {
		user = fmt.Errorf("user %d: sandboxes have less isolation than root can give them", facts.UID)
	}
	add("root", "user 0", user)
	for _, tool := range []struct{ name, use string }{
		{"python3", "functions in Python"}, {"go", "functions in Go"}, {"mmdebstrap", "images of Debian packages"}, {"crun", "containers"}, {"runc", "containers"},
	} {
		path, err := exec.LookPath(tool.name)
		if err != nil {
			err = fmt.Errorf("not installed: it is for %s", tool.use)
		}
		add(tool.name, path, err)
	}
	version, err := containerd.Version(ctx, s.Containerd)
	add("containerd", version, err)
	version, err = docker.Version(ctx, s.Docker)
	add("docker", version, err)
	dir, err := os.MkdirTemp("", "ainur-doctor-")
	if err != nil {
		add("sandboxes", "", err)
		return checks
	}
	defer os.RemoveAll(dir) // it is in the temporary folder
	p, err := process.New(process.Options{Dir: filepath.Join(dir, "p"), RunID: fmt.Sprintf("doctor-%d", os.Getpid()), Log: logger(c.stderr, "error")})
	if err != nil {
		add("sandboxes", "", err)
		return checks
	}
	says := "isolation process has all it promises"
	if limits := p.Limitations(); len(limits) > 0 {
		says = "isolation process: " + strings.Join(limits, "; ")
	}
	add("sandboxes", says, p.Close())
	return checks
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func (c *cli) cleanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what runs that were killed have left on this host",
		Long: `Removes everything of ainur's whose agents are dead: processes, containers,
snapshots, cgroups, network namespaces, bridges, links and folders. Results and
images stay. A run of another user, or with another AINUR_STATE_DIR, is left alone
as long as its agents live.`,
		Args: args(cobra.NoArgs),
	}
	sockets := socketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.clean(cmd.Context(), *sockets) }
	return cmd
}

func (c *cli) clean(ctx context.Context, s host.Sockets) error {
	here, err := openHere()
	if err != nil {
		return err
	}
	var removed []string
	err = orchestrator.Leftovers(ctx, here, func(run string, names []string) {
		removed = append(append(removed, names...), "the folder of run "+run)
	})
	more, sweepErr := host.Sweep(ctx, s, host.Alive())
	removed = append(removed, more...)
	c.data = map[string]any{"removed": removed}
	if c.output != "json" {
		for _, name := range removed {
			fmt.Fprintln(c.stdout, "removed", name)
		}
		if len(removed) == 0 {
			fmt.Fprintln(c.stdout, "nothing to remove")
		}
	}
	return errors.Join(err, sweepErr, here.Close())
}
