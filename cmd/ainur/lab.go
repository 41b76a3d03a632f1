package main

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) labCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Make hosts on this machine, for experiments on several hosts",
		Long: `Makes hosts on this machine: each has its own network, name, processes, files,
cgroups and sshd, and sees the machine's files below its own. All of it goes away
with ainur lab down. It takes root.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.labUpCommand(), c.labDownCommand(), c.labListCommand(), c.labLinkCommand())
	return cmd
}

func (c *cli) labUpCommand() *cobra.Command {
	var o labs.Options
	var subnet string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a lab",
		Long: `Makes a lab, and returns when every host answers. Its folder has what a user
needs: ssh_config, the key, the hosts' keys, and the cluster block of an experiment.`,
		Example: `  ainur lab up --hosts 3
  ainur lab up --hosts 5 --bastion --containerd --name far`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if subnet != "" {
				if o.Subnet, err = netip.ParsePrefix(subnet); err != nil {
					return exit(exitUsage, fmt.Errorf("--subnet: %w", err))
				}
			}
			if o.Dir, err = labDir(o.Name, o.Dir); err != nil {
				return err
			}
			l, err := labs.Up(cmd.Context(), o)
			if err != nil {
				return err
			}
			return c.showLab(l)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Hosts, "hosts", 3, "how many hosts, which are called n1, n2 and so on")
	flags.BoolVar(&o.Bastion, "bastion", false, "the hosts are reached through one more host, the bastion, alone")
	flags.StringVar(&o.Name, "name", "lab", "of the lab")
	flags.StringVar(&subnet, "subnet", "", "of the hosts; default: a free /24 of 10.77.0.0/16")
	flags.BoolVar(&o.Containerd, "containerd", false, "every host runs containerd")
	flags.StringVar(&o.User, "user", "", "a second user of every host, who may do all with sudo")
	flags.StringVar(&o.Dir, "dir", "", "folder of the lab; default: its name in "+labs.Root)
	return cmd
}

// labDir is the folder of a lab.
func labDir(name, dir string) (string, error) {
	if dir == "" {
		return filepath.Join(labs.Root, name), nil
	}
	return filepath.Abs(dir)
}

func (c *cli) showLab(l *labs.Lab) error {
	c.data = l
	if c.output == "json" {
		return nil
	}
	t := report.Table{Columns: []report.Column{{Name: "host"}, {Name: "address"}}}
	if l.Bastion != nil {
		t.Rows = append(t.Rows, []string{l.Bastion.Name, l.Bastion.Address.String()})
	}
	for _, h := range l.Hosts {
		t.Rows = append(t.Rows, []string{h.Name, h.Address.String()})
	}
	if err := t.Write(c.stdout); err != nil {
		return err
	}
	if !c.quiet {
		fmt.Fprintf(c.stdout, "next: ssh -F %s %s\n", l.Config, l.Hosts[0].Name)
		fmt.Fprintf(c.stdout, "next: cp %s into the folder of an experiment\n", l.Cluster)
		fmt.Fprintf(c.stdout, "next: ainur lab down%s\n", labFlags(l))
	}
	return nil
}

// labFlags name a lab that is not the default one.
func labFlags(l *labs.Lab) string {
	switch {
	case filepath.Dir(l.Dir) != labs.Root:
		return " --dir " + quoted(l.Dir)
	case l.Name != "lab":
		return " " + l.Name
	}
	return ""
}

func (c *cli) labDownCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Remove a lab with all that runs in it",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			name := "lab"
			if len(args) > 0 {
				name = args[0]
			}
			if dir, err = labDir(name, dir); err != nil {
				return err
			}
			c.data = map[string]string{"dir": dir}
			return labs.Remove(dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the lab; default: its name in "+labs.Root)
	return cmd
}

func (c *cli) labListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the labs in " + labs.Root,
		Args:  args(cobra.NoArgs),
		RunE:  func(*cobra.Command, []string) error { return c.labList() },
	}
}

func (c *cli) labList() error {
	names, err := labs.List()
	if err != nil {
		return err
	}
	type listed struct {
		*labs.Lab
		Off []string `json:"off,omitempty"`
	}
	all := []listed{}
	t := report.Table{Columns: []report.Column{{Name: "lab"}, {Name: "hosts"}, {Name: "off"}, {Name: "subnet"}, {Name: "folder"}}}
	for _, name := range names {
		l, err := labs.Open(filepath.Join(labs.Root, name))
		var off []string
		switch {
		case errors.Is(err, labs.ErrUnfinished):
			l = &labs.Lab{Name: name, Dir: filepath.Join(labs.Root, name)}
			t.Rows = append(t.Rows, []string{name, "unfinished: ainur lab down " + name, "", "", l.Dir})
		case err != nil:
			return err
		default:
			off = l.Off()
			t.Rows = append(t.Rows, []string{name, strconv.Itoa(len(l.Hosts)), strings.Join(off, " "), l.Subnet.String(), l.Dir})
		}
		all = append(all, listed{l, off})
	}
	c.data = all
	if c.output == "json" {
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(c.stdout, "no labs; `ainur lab up` makes one")
		return nil
	}
	return t.Write(c.stdout)
}

func (c *cli) labLinkCommand() *cobra.Command {
	var f labs.Fault
	var rate, dir string
	var heal bool
	cmd := &cobra.Command{
		Use:   "link NAME HOST",
		Short: "Make the link of a host slow, lossy or dead, or heal it",
		Long: `Gives the link of a host the faults that the flags say, and no others. They act at
the switch that the hosts are plugged into, so that the host does not see them. A
delay lasts as long as the command.`,
		Example: `  ainur lab link lab n2 --rate 10mbit --loss 0.01
  ainur lab link lab n2 --cut out
  ainur lab link lab n2 --heal`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if heal == (rate != "" || f != labs.Fault{}) {
				return exit(exitUsage, errors.New("link takes faults, or --heal alone"))
			}
			if rate != "" {
				if f.Rate, err = parseRate(rate); err != nil {
					return exit(exitUsage, fmt.Errorf("--rate: %w", err))
				}
			}
			if dir, err = labDir(args[0], dir); err != nil {
				return err
			}
			l, err := labs.Open(dir)
			if err != nil {
				return err
			}
			if err := l.Link(args[1], f); err != nil || f.Delay == 0 {
				return err
			}
			if !c.quiet {
				fmt.Fprintln(c.stderr, "the link has a delay until this is interrupted, or another link or down")
			}
			if err := l.AwaitHealed(cmd.Context(), args[1]); err != nil {
				return errors.Join(err, l.Link(args[1], labs.Fault{}))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&rate, "rate", "", "bits per second each way, such as 10mbit")
	flags.Float64Var(&f.Loss, "loss", 0, "share of packets lost each way, from 0 to 1")
	flags.DurationVar(&f.Delay, "delay", 0, "of each packet each way, until this is interrupted: such as 20ms")
	flags.BoolVar(&f.Down, "down", false, "as if the cable was pulled")
	flags.StringVar(&f.Cut, "cut", "", "in: nothing reaches the host; out: nothing leaves it")
	flags.BoolVar(&heal, "heal", false, "no fault any more")
	flags.StringVar(&dir, "dir", "", "folder of the lab; default: NAME in "+labs.Root)
	return cmd
}

// parseRate reads 10mbit: bits per second.
func parseRate(s string) (uint64, error) {
	for _, unit := range []struct {
		name string
		bits float64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}} {
		if number, ok := strings.CutSuffix(s, unit.name); ok {
			n, err := strconv.ParseFloat(number, 64)
			if err != nil || !(n > 0 && n*unit.bits < 1e15) {
				break
			}
			return uint64(n * unit.bits), nil
		}
	}
	return 0, fmt.Errorf("got %q, want a number with bit, kbit, mbit or gbit", s)
}
