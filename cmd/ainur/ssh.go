package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

func (c *cli) sshConfigCommand() *cobra.Command {
	var f clusterFlags
	cmd := &cobra.Command{
		Use:     "ssh-config [PATH]",
		Short:   "Print the hosts of a cluster as OpenSSH's configuration, for other tools",
		Example: "  ainur ssh-config > hosts && rsync -e 'ssh -F hosts' w1:log .",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			cluster, err := c.reachable(args, &f)
			if err != nil {
				return err
			}
			config, err := stanzas(cluster.Hosts)
			if err != nil {
				return exit(exitSpec, err)
			}
			c.data = map[string]any{"config": config}
			if c.output == "table" {
				_, err = fmt.Fprint(c.stdout, config)
			}
			return err
		},
	}
	f.add(c, cmd)
	return cmd
}

// reachable is the cluster, with the hosts that are to be worked with.
func (c *cli) reachable(args []string, f *clusterFlags) (spec.Cluster, error) {
	m, ok := c.load(args, hcl.Options{})
	if !ok {
		return spec.Cluster{}, errSpec
	}
	return c.cluster(m, f)
}

// stanzas is hosts for ssh -F. What the configuration of OpenSSH decides is left to it. What
// would not be the one word, or the one file, that it stands for is an error.
func stanzas(hosts []spec.Host) (config string, err error) {
	var b strings.Builder
	for _, h := range hosts {
		if h.Connection == "local" {
			continue // it is this machine
		}
		s := h.SSH
		line := func(keyword, value string) {
			if value != "" {
				fmt.Fprintf(&b, "  %s %s\n", keyword, value)
			}
			word := strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
			if strings.HasPrefix(word, "-") || strings.ContainsFunc(word, func(r rune) bool { return r == '"' || unicode.IsControl(r) || r == ' ' && word == value }) {
				err = errors.Join(err, fmt.Errorf("host %s: %s cannot be %q for OpenSSH: give it without quotes, line ends, a - at its beginning, and spaces", h.Name, keyword, word))
			}
		}
		fmt.Fprintf(&b, "Host %s\n", h.Name)
		line("HostName", h.Address)
		line("User", s.User)
		if s.Port != 0 {
			line("Port", strconv.Itoa(s.Port))
		}
		for _, key := range s.Identity {
			line("IdentityFile", `"`+key+`"`)
		}
		if s.IdentitiesOnly != nil && *s.IdentitiesOnly || s.IdentitiesOnly == nil && len(s.Identity) > 0 {
			line("IdentitiesOnly", "yes")
		}
		if s.KnownHosts != "" {
			line("UserKnownHostsFile", `"`+s.KnownHosts+`"`)
		}
		if s.Agent != "" && s.Agent != "auto" {
			line("IdentityAgent", `"`+s.Agent+`"`)
		}
		line("StrictHostKeyChecking", map[string]string{"strict": "yes", "accept_new": "accept-new"}[s.HostKey])
		if s.ProxyJump != nil {
			jump := strings.Join(s.ProxyJump, ",")
			if jump == "" {
				jump = "none"
			}
			line("ProxyJump", jump)
		}
		line("ConnectTimeout", strconv.Itoa(int(s.Connect.Seconds())))
		line("ServerAliveInterval", strconv.Itoa(int(s.Keepalive.Seconds())))
		line("ServerAliveCountMax", strconv.Itoa(s.KeepaliveMax))
		if s.Config != "none" && s.Config != "" {
			line("Include", `"`+s.Config+`"`)
		}
	}
	return b.String(), err
}

func (c *cli) sshCommand() *cobra.Command {
	var f clusterFlags
	var file string
	cmd := &cobra.Command{
		Use:     "ssh HOST [-- COMMAND [ARG]...]",
		Short:   "Open a shell on a host of a cluster, by the ssh of this machine",
		Example: "  ainur ssh w1",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			f.limit = args[0]
			cluster, err := c.reachable([]string{file}, &f)
			if err != nil {
				return err
			}
			hosts := cluster.Hosts
			if len(hosts) != 1 {
				return exit(exitUsage, fmt.Errorf("%q is %s, want one", args[0], counted(len(hosts), "host")))
			}
			if hosts[0].Connection == "local" {
				return exit(exitUsage, fmt.Errorf("host %s is this machine", hosts[0].Name))
			}
			config, err := jumping(hosts[0])
			if err != nil {
				return exit(exitSpec, err)
			}
			return c.shell(config, append([]string{hosts[0].Name}, args[1:]...))
		},
	}
	c.varFlags(cmd)
	cmd.Flags().StringVar(&f.experiment, "experiment", "", "the experiment, where there are several")
	cmd.Flags().StringVar(&file, "file", ".", "the experiment, or its folder")
	return cmd
}

// jumping is a host for ssh -F, with the bastions that it is behind reached by the
// same keys.
func jumping(h spec.Host) (config string, err error) {
	all := []spec.Host{h}
	for _, jump := range h.SSH.ProxyJump {
		name := jump[strings.LastIndex(jump, "@")+1:]
		if host, _, ok := strings.Cut(name, ":"); ok {
			name = host
		}
		if name == h.Name {
			continue
		}
		b := spec.Host{Name: name, Address: name, SSH: h.SSH}
		b.SSH.ProxyJump, b.SSH.User, b.SSH.Port = nil, "", 0
		all = append(all, b)
	}
	return stanzas(all)
}

// shell becomes the ssh of this machine, with a configuration, until that ends.
func (c *cli) shell(config string, args []string) (err error) {
	f, err := os.CreateTemp("", "ainur-ssh-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.WriteString(config)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	cmd := exec.Command("ssh", append([]string{"-F", f.Name()}, args...)...) // Ctrl-C is for what it runs
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, c.stdout, c.stderr
	err = cmd.Run()
	var bad *exec.ExitError
	if errors.As(err, &bad) && bad.Exited() {
		return exit(bad.ExitCode(), errSaid)
	}
	return err
}

func (c *cli) cpCommand() *cobra.Command {
	var f clusterFlags
	var file string
	var root bool
	cmd := &cobra.Command{
		Use:   "cp FILE... FOLDER",
		Short: "Copy files to the hosts of a cluster, or one file from each of them",
		Long: `Copies files of this machine into a folder of every host, or with :PATH first a
file of every host into a folder of this machine, where each has the host's name
before its own and is for you alone to read, since it may have been so there.`,
		Example: "  ainur cp tool.sh /usr/local/bin/ --become\n  ainur cp :/var/log/syslog logs --limit @worker",
		Args:    args(cobra.MinimumNArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, ok := c.load([]string{file}, hcl.Options{})
			if !ok {
				return errSpec
			}
			cluster, err := c.cluster(m, &f)
			if err != nil {
				return err
			}
			d := c.dialer()
			failed := make([]error, len(cluster.Hosts))
			var all errgroup.Group
			all.SetLimit(f.most())
			for i, h := range cluster.Hosts {
				all.Go(func() error {
					conn, err := d.Dial(cmd.Context(), h, cluster.Become)
					if err == nil {
						err = errors.Join(copies(cmd.Context(), conn, h.Name, root, args), conn.Close())
					}
					failed[i] = err
					return nil
				})
			}
			_ = all.Wait() // what fails is in failed
			return hostError(errors.Join(append(failed, d.Close())...))
		},
	}
	f.add(c, cmd)
	cmd.Flags().StringVar(&file, "file", ".", "the experiment, or its folder")
	cmd.Flags().BoolVar(&root, "become", false, "as root, in the way of the cluster's become block")
	return cmd
}

// copies copies to a host, or from it.
func copies(ctx context.Context, conn remote.Conn, host string, root bool, args []string) error {
	files, to := args[:len(args)-1], args[len(args)-1]
	if from, ok := strings.CutPrefix(files[0], ":"); ok {
		if len(files) > 1 {
			return exit(exitUsage, errors.New("one file at a time is copied from hosts"))
		}
		err := atomicfile.Write(filepath.Join(to, host+"-"+path.Base(from)), 0o600, func(w io.Writer) error {
			return conn.Run(ctx, remote.Command{Args: []string{"cat", "--", from}, Root: root, Stdout: w, Lasts: true})
		})
		if err != nil {
			return fmt.Errorf("copy %s from host %s: %w", from, host, err)
		}
		return nil
	}
	for _, name := range files {
		if err := send(ctx, conn, name, path.Join(to, filepath.Base(name)), root); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, conn remote.Conn, name, to string, root bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("copy %s: it is a folder", name)
	}
	_, err = conn.Push(ctx, remote.File{Path: to, Mode: info.Mode().Perm(), Root: root, Content: f})
	return err
}
