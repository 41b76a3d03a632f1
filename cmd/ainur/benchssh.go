package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/report"
)

func (c *cli) benchSSHCommand() *cobra.Command {
	hosts, rounds := 3, 5
	cmd := &cobra.Command{
		Use:   "ssh",
		Short: "How long it takes to set up hosts over SSH, beside Ansible where it is installed",
		Long: `Makes a lab and measures whole commands on all of its hosts:

  up       ainur is put on clean hosts, started, and answers
  again    the same, with nothing to change
  destroy  the hosts are as they were
  ping     nothing is done

Ansible (ansible-playbook) does the same: it copies the same program and its
configuration, starts it and waits for its socket. Once as it is after its installation
(ansible), once with pipelining, a fork for each host and no compression (ansible-tuned). No
connection is left from the command before.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if hosts < 1 || rounds < 1 {
				return exit(exitUsage, errors.New("--hosts and --rounds are 1 or more"))
			}
			return c.benchSSH(cmd.Context(), hosts, rounds)
		},
	}
	cmd.Flags().IntVar(&hosts, "hosts", hosts, "hosts of the lab")
	cmd.Flags().IntVar(&rounds, "rounds", rounds, "times that each is done")
	return cmd
}

// sshRow is how long a job takes with a tool.
type sshRow struct {
	Hosts int     `json:"hosts"`
	Tool  string  `json:"tool"`
	Job   string  `json:"job"`
	P50   int64   `json:"p50_ns"`
	Ratio float64 `json:"ratio_to_ainur"` // of Ansible: how many times as long
}

func (c *cli) benchSSH(ctx context.Context, hosts, rounds int) (err error) {
	dir, err := os.MkdirTemp("", "ainur-bench-ssh-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := labs.Up(ctx, labs.Options{Dir: filepath.Join(dir, "lab"), Hosts: hosts})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Down()) }()
	b, err := newSSHBench(dir, l)
	if err != nil {
		return err
	}
	tools := []string{"ainur"}
	if _, err := exec.LookPath("ansible-playbook"); err == nil {
		tools = append(tools, "ansible", "ansible-tuned")
	} else {
		c.tell("ansible", "it is not measured: "+err.Error())
	}
	took := map[[2]string][]time.Duration{}
	for range rounds {
		for _, tool := range tools {
			for _, job := range []string{"up", "again", "ping", "destroy"} {
				one, err := b.time(ctx, tool, job)
				if err != nil {
					return err
				}
				took[[2]string{tool, job}] = append(took[[2]string{tool, job}], one)
			}
		}
	}
	var rows []sshRow
	p50 := func(tool, job string) time.Duration {
		all := took[[2]string{tool, job}]
		slices.Sort(all)
		return all[len(all)/2]
	}
	for _, job := range []string{"up", "again", "ping", "destroy"} {
		for _, tool := range tools {
			mid := p50(tool, job)
			rows = append(rows, sshRow{hosts, tool, job, int64(mid), float64(mid) / float64(p50("ainur", job))})
		}
	}
	c.data = map[string]any{"rows": rows}
	if c.output == "json" {
		return nil
	}
	table := report.Table{Columns: []report.Column{{Name: "hosts", Number: true}, {Name: "job"}, {Name: "tool"}, {Name: "p50", Unit: "s", Number: true}, {Name: "of ainur", Number: true}}}
	for _, r := range rows {
		table.Rows = append(table.Rows, []string{strconv.Itoa(r.Hosts), r.Job, r.Tool, fmt.Sprintf("%.2f", time.Duration(r.P50).Seconds()), fmt.Sprintf("%.1f", r.Ratio)})
	}
	return table.Write(c.stdout)
}

// sshBench is the files that both tools work with.
type sshBench struct{ dir, own string }

// benchExperiment has something on every host of a lab.
const benchExperiment = `
worker "w" {
  for_each = cluster.lab.host
  on       = each.value
  memory   = "256MiB"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

balancer "b" {
  on      = cluster.lab.host.n1
  workers = worker.w
}

load "l" {
  target   = balancer.b
  call     = function.f
  duration = "1s"

  arrival "constant" {
    rate = "1/s"
  }
}

experiment "bench" {
  title    = "All hosts"
  cluster  = cluster.lab
  workers  = worker.w
  balancer = balancer.b
  load     = load.l
  seed     = 1
}
`

// playbooks of the jobs: the same program, its configuration, started and awaited.
var playbooks = map[string]string{
	"up": `- hosts: all
  gather_facts: false
  tasks:
    - file: {path: "{{item}}", state: directory, mode: "0700"}
      loop: [/opt/bench/bin, /var/lib/bench]
    - copy: {src: "OWN", dest: /opt/bench/bin/ainur, mode: "0755"}
    - copy: {content: '{"deployment": "bench", "dir": "/var/lib/bench", "socket": "/var/lib/bench/s"}', dest: /var/lib/bench/config.json, mode: "0600"}
    - shell: test -S /var/lib/bench/s || setsid -f /opt/bench/bin/ainur supervise /var/lib/bench/config.json </dev/null >/var/lib/bench/log 2>&1
    - wait_for: {path: /var/lib/bench/s, timeout: 20}
`,
	"destroy": `- hosts: all
  gather_facts: false
  tasks:
    - shell: pkill -f '^/opt/bench/bin/ainur supervise' || true
    - file: {path: "{{item}}", state: absent}
      loop: [/opt/bench, /var/lib/bench]
`,
}

func newSSHBench(dir string, l *labs.Lab) (*sshBench, error) {
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cluster, err := os.ReadFile(l.Cluster)
	if err != nil {
		return nil, err
	}
	var inventory strings.Builder
	for _, h := range l.Hosts {
		fmt.Fprintln(&inventory, h.Name)
	}
	files := map[string][]byte{
		"bench.ainur.hcl": append(cluster, benchExperiment...),
		"inventory":       []byte(inventory.String()),
		"ansible.cfg": fmt.Appendf(nil, "[defaults]\ninventory = %s\nremote_user = root\ninterpreter_python = /usr/bin/python3\n[ssh_connection]\nssh_common_args = -F %s\n",
			filepath.Join(dir, "inventory"), l.Config),
		"ansible-tuned.cfg": fmt.Appendf(nil, "[defaults]\ninventory = %s\nforks = %d\nremote_user = root\ninterpreter_python = /usr/bin/python3\n[ssh_connection]\nssh_args = -F %s -o ControlMaster=auto -o ControlPersist=60s\npipelining = true\n",
			filepath.Join(dir, "inventory"), len(l.Hosts), l.Config),
	}
	for job, text := range playbooks {
		files[job+".yml"] = []byte(strings.ReplaceAll(text, "OWN", own))
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return &sshBench{dir, own}, nil
}

// time does a job with a tool, as a user would.
func (b *sshBench) time(ctx context.Context, tool, job string) (time.Duration, error) {
	kind, _, _ := strings.Cut(tool, "-")
	words := map[string][]string{
		"ainur up": {b.own, "up", "--yes"}, "ainur again": {b.own, "up"}, "ainur destroy": {b.own, "destroy", "--yes"}, "ainur ping": {b.own, "exec", "--", "true"},
		"ansible up": {"ansible-playbook", "up.yml"}, "ansible again": {"ansible-playbook", "up.yml"}, "ansible destroy": {"ansible-playbook", "destroy.yml"},
		"ansible ping": {"ansible", "all", "-m", "ping"},
	}[kind+" "+job]
	connections, err := os.MkdirTemp(b.dir, "cp-")
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "AINUR_DATA_DIR="+filepath.Join(b.dir, "data"), "AINUR_CACHE="+filepath.Join(b.dir, "cache"), "ANSIBLE_CONFIG="+filepath.Join(b.dir, tool+".cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR="+connections, "HOME="+b.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out.String())
	}
	return time.Since(began), nil
}
