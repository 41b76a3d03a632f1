package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/printable"
	"github.com/ainur-faas/ainur/orchestrator/deploy"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/local"
	"github.com/ainur-faas/ainur/orchestrator/remote/ssh"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// clusterFlags are those of verbs that work with the hosts of a cluster.
type clusterFlags struct {
	experiment string
	limit      string
	parallel   int
	lockWait   time.Duration
	full       bool // ask also for what only a reader wants to know
	bare       bool // the experiment is not needed
	shapes     bool // the hosts are to be as the cluster says: what this version lacks of that is refused
	noTune     bool // the hosts keep the settings that they have
}

func (f *clusterFlags) add(c *cli, cmd *cobra.Command) {
	c.varFlags(cmd)
	cmd.Flags().StringVar(&f.experiment, "experiment", "", "the experiment, where there are several")
	cmd.Flags().StringVar(&f.limit, "limit", "", "only these hosts: names, globs, @role, ~regexp; a:b both, a:&b in both, a:!b not")
	cmd.Flags().IntVar(&f.parallel, "parallel", 0, "hosts at a time; default: all, at most 32")
	cmd.Flags().DurationVar(&f.lockWait, "lock-timeout", lockWait, "how long to wait for another ainur that works with the hosts")
}

// testbed is the hosts of a cluster with the experiment that they are for.
type testbed struct {
	*deploy.Site
	module *hcl.Module
	exp    *spec.Experiment // nil where it cannot be evaluated because hosts have not told their facts
	dialer dialer
	took   time.Duration // to connect and ask
	flags  clusterFlags
	known  map[string]spec.Facts // of hosts by name, that the module asks for
}

// Close ends the connections.
func (s *testbed) Close() error { return errors.Join(s.Site.Close(), s.dialer.Close()) }

// openTestbed connects to the hosts of the experiment in args and evaluates it with
// what they are. The errors of hosts are theirs.
func (c *cli) openTestbed(ctx context.Context, args []string, f *clusterFlags, lock bool) (_ *testbed, err error) {
	known := map[string]spec.Facts{}
	m, ok := c.load(args, hcl.Options{Facts: factsIn(known)})
	if !ok {
		return nil, errSpec
	}
	if f.shapes {
		if diags := m.LackingHosts(f.experiment); diags.HasErrors() {
			c.diags = append(c.diags, diags...)
			return nil, errSpec
		}
	}
	cluster, err := c.cluster(m, f)
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, m, cluster, known, f, lock)
	if err != nil {
		return nil, err
	}
	if s.Failed() == nil && f.limit == "" && !f.bare {
		if s.exp, err = c.evaluate(m, f.experiment, 0); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// factsIn are the facts of hosts that are this one, and those known by name.
func factsIn(known map[string]spec.Facts) func(spec.Host) (spec.Facts, bool) {
	return func(h spec.Host) (spec.Facts, bool) {
		if h.Connection == "local" {
			return localFacts(h)
		}
		facts, ok := known[h.Name]
		return facts, ok
	}
}

// dialer connects to hosts: to this one too, where it is one of several.
type dialer struct{ *ssh.Dialer }

func (c *cli) dialer() dialer {
	return dialer{ssh.New(ssh.Options{Prompt: c.ask, Password: c.secret, Tell: c.tell})}
}

// Dial connects to a host.
func (d dialer) Dial(ctx context.Context, h spec.Host, become spec.Become) (remote.Conn, error) {
	if h.Connection == "local" {
		return local.Dial(h, become, d.Secrets())
	}
	return d.Dialer.Dial(ctx, h, become)
}

// connect connects to the hosts of a cluster and adds what they are to known.
func (c *cli) connect(ctx context.Context, m *hcl.Module, cluster spec.Cluster, known map[string]spec.Facts, f *clusterFlags, lock bool) (_ *testbed, err error) {
	s := &testbed{module: m, flags: *f, known: known, dialer: c.dialer()}
	began := time.Now()
	s.Site, err = deploy.Open(ctx, cluster, deploy.Options{
		Dial: s.dialer.Dial, Data: dataDir(), Cache: filepath.Join(filepath.Dir(oci.DefaultDir()), "programs"), Version: version, Owner: owner(), Parallel: f.parallel, Lock: lock, Wait: f.lockWait, Full: f.full, NoTune: f.noTune, Tell: c.tell,
	})
	if err != nil {
		return nil, errors.Join(hostError(err), s.Close())
	}
	s.took = time.Since(began)
	s.learn()
	return s, nil
}

// learn tells the module what the hosts are.
func (s *testbed) learn() {
	for _, h := range s.Hosts {
		if h.Facts != nil {
			facts, offset := h.Facts.Facts, h.Facts.Offset
			facts.ClockOffset = &offset
			s.known[h.Name] = facts
		}
	}
}

// cluster is the one of the experiment, with the hosts that are to be worked with.
func (c *cli) cluster(m *hcl.Module, f *clusterFlags) (spec.Cluster, error) {
	clusters, err := c.clusters(m, f.experiment)
	if err != nil {
		return spec.Cluster{}, err
	}
	return chosen(clusters, f)
}

// clusters are all of the experiment.
func (c *cli) clusters(m *hcl.Module, experiment string) ([]spec.Cluster, error) {
	clusters, diags := m.Clusters(experiment)
	c.diags = append(c.diags, diags...)
	if diags.HasErrors() {
		return nil, errSpec
	}
	return clusters, nil
}

// chosen is the only one of clusters, with the hosts that are to be worked with.
func chosen(clusters []spec.Cluster, f *clusterFlags) (spec.Cluster, error) {
	if f.parallel < 0 {
		return spec.Cluster{}, exit(exitUsage, fmt.Errorf("--parallel is %d, want hosts at a time; 0 is 32", f.parallel))
	}
	switch len(clusters) {
	case 1:
	case 0:
		return spec.Cluster{}, exit(exitSpec, errors.New("the experiment has no cluster: it is simulated"))
	default:
		return spec.Cluster{}, exit(exitSpec, errors.New("the experiment has several clusters, of which one at a time can be worked with"))
	}
	cluster := clusters[0]
	cluster.Hosts = slices.Clone(cluster.Hosts)
	if !slices.ContainsFunc(cluster.Hosts, overSSH) { // all is done in this process
		cluster.Hosts = nil
	}
	for _, h := range cluster.Hosts {
		switch {
		case h.Connection == "netns":
			return spec.Cluster{}, exit(exitSpec, fmt.Errorf("host %s: hosts that are network namespaces cannot be in a cluster yet: ainur lab up makes hosts of this machine that are reached over SSH", h.Name))
		case h.Connection == "local" && loopback(h.Internal()):
			return spec.Cluster{}, exit(exitSpec, fmt.Errorf("host %s is this machine, and the others cannot reach it at %s: give it an internal_address", h.Name, h.Internal()))
		}
	}
	hosts, err := limit(cluster.Hosts, f.limit)
	if err != nil {
		return spec.Cluster{}, exit(exitUsage, fmt.Errorf("--limit: %w", err))
	}
	cluster.Hosts = hosts
	return cluster, nil
}

func overSSH(h spec.Host) bool { return h.Connection == "ssh" }

// loopback reports whether an address is for its own machine alone.
func loopback(address string) bool {
	ip := net.ParseIP(address)
	return address == "localhost" || ip != nil && ip.IsLoopback()
}

// hostError gives an error of hosts its code.
func hostError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, remote.ErrUnreachable), errors.Is(err, remote.ErrRefused):
		return exit(exitUnreachable, err)
	case errors.Is(err, facts.ErrLocked), errors.Is(err, setup.ErrBusy):
		return exit(exitLocked, err)
	default:
		return err
	}
}

// dataDir is the folder of what this user's ainurs keep beside experiments: the
// authorities of deployments.
func dataDir() string {
	if dir := os.Getenv("AINUR_DATA_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "ainur")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".local", "share", "ainur")
}

// owner is who asks, for others who wait.
func owner() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s@%s (pid %d) since %s", name, host, os.Getpid(), time.Now().UTC().Format(time.RFC3339))
}

// tell says something about a host while work goes on.
func (c *cli) tell(host, message string) {
	if !c.quiet {
		fmt.Fprintf(c.stderr, "%s: %s\n", host, printable.Text(message))
	}
}

// ask asks the user something that is not shown as it is typed.
func (c *cli) ask(_ context.Context, question string) (string, error) {
	if !isTerminal(os.Stdin) || !isTerminal(c.stderr) || os.Getenv("AINUR_INPUT") == "0" {
		return "", fmt.Errorf("nobody is there to answer %q", strings.TrimSpace(question))
	}
	fd := int(os.Stdin.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO // before the question, which may be answered at once
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return "", err
	}
	fmt.Fprint(c.stderr, question)
	answer, err := term.ReadPassword(fd)
	fmt.Fprintln(c.stderr)
	return string(answer), errors.Join(err, unix.IoctlSetTermios(fd, unix.TCSETS, was))
}

// secret reads something that is never stored nor shown.
func (c *cli) secret(ctx context.Context, s *spec.Secret) (string, error) {
	if s.Env != "" {
		if value, ok := os.LookupEnv(s.Env); ok {
			return value, nil
		}
	}
	switch {
	case s.File != "":
		text, err := os.ReadFile(s.File)
		return strings.TrimRight(string(text), "\r\n"), err
	case len(s.Command) > 0:
		cmd := exec.CommandContext(ctx, s.Command[0], s.Command[1:]...)
		cmd.Stderr = c.stderr
		text, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("secret %s: %s: %w", s.Name, s.Command[0], err)
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	case s.Prompt != "":
		return c.ask(ctx, s.Prompt+" ")
	}
	return "", fmt.Errorf("secret %s is not to be had: %s is not set", s.Name, s.Env)
}
