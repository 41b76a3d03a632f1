package scaffold

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
)

const labINI = `# the lab
gate.lab.org

[workers]
w[01:03].lab.org ansible_user=faas rack=r1   # three
w4 ansible_host=10.0.0.4 ansible_port=2222 ansible_user=faas ansible_ssh_private_key_file='~/.ssh/my lab'

[controller]
ctl:2200 ansible_host=10.0.0.10
here ansible_connection=local

[db]
; the letters
db-[a:b]

[all_of_it:children]
workers
db

[workers:vars]
rack = r0
ansible_become=true

[all_of_it:vars]
rack=none
site="lab 1"
`

const labYAML = `
ungrouped:
  hosts:
    gate.lab.org:
workers:
  hosts:
    w[01:03].lab.org: {ansible_user: faas, rack: r1}
    w4:
      ansible_host: 10.0.0.4
      ansible_port: 2222
      ansible_user: faas
      ansible_ssh_private_key_file: ~/.ssh/my lab
  vars:
    rack: r0
    ansible_become: yes
controller:
  hosts:
    ctl:2200: {ansible_host: 10.0.0.10}
    here: {ansible_connection: local}
db:
  hosts:
    db-[a:b]:
all:
  children:
    all_of_it:
      vars: {rack: none, site: lab 1}
      children:
        workers:
        db:
`

func lab() *Inventory {
	user, in := "faas", []string{"workers", "all_of_it"}
	worker := func(name string) Host {
		return Host{Name: name, Address: name, User: user, Roles: in, Labels: map[string]string{"rack": "r1", "site": "lab 1"}}
	}
	db := func(name string) Host {
		return Host{Name: name, Address: name, Roles: []string{"db", "all_of_it"}, Labels: map[string]string{"rack": "none", "site": "lab 1"}}
	}
	return &Inventory{
		From: "hosts, an inventory of Ansible", Become: "sudo",
		Hosts: []Host{
			{Name: "gate.lab.org", Address: "gate.lab.org", Labels: map[string]string{}},
			worker("w01.lab.org"), worker("w02.lab.org"), worker("w03.lab.org"),
			{
				Name: "w4", Address: "10.0.0.4", Port: 2222, User: user, Identity: []string{"~/.ssh/my lab"}, Roles: in,
				Labels: map[string]string{"rack": "r0", "site": "lab 1"},
			},
			{Name: "ctl", Address: "10.0.0.10", Port: 2200, Roles: []string{"controller"}, Labels: map[string]string{}},
			{Name: "here", Address: "here", Local: true, Roles: []string{"controller"}, Labels: map[string]string{}},
			db("db-a"), db("db-b"),
		},
	}
}

func TestAnsible(t *testing.T) {
	for name, src := range map[string]string{"INI": labINI, "YAML": labYAML} {
		t.Run(name, func(t *testing.T) {
			got, err := parseAnsible([]byte(src), "hosts")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lab(), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnsibleNotes(t *testing.T) {
	for src, want := range map[string]string{
		"a ansible_password=x":                           "ansible_password is a secret",
		"a db_passwd=x":                                  "db_passwd is a secret",
		"a ansible_host='{{ ip }}'":                      "computed by Ansible",
		"a ansible_port=ssh":                             "no port",
		"a ansible_connection=docker":                    "ansible_connection docker has no counterpart",
		"a ansible_python_interpreter=/usr/bin/python3":  "ansible_python_interpreter has no counterpart",
		"a ansible_become=true ansible_become_method=su": "ansible_become_method su",
		"a ansible_become_user=eve":                      "ansible_become_user is eve",
		"a ansible_ssh_common_args='-J gate -C'":         "has no counterpart: -C",
		"a ansible_host=1.1.1.1\nb ansible_host=1.1.1.1": "a and b have one address",
		"[g]\na\na":              "a is twice in the group g",
		"[g]\na x=1\n[h]\na x=2": `x of a is given as "1" and as "2"`,
		"---\ng:\n  hosts:\n    a: {x: !vault abc}":                         "x is in a vault",
		"---\ng:\n  hosts:\n    a: {x: [1, 2]}":                             "x is no single value",
		"a ansible_become=1\nb ansible_become=1 ansible_become_method=doas": "some hosts become root by doas",
	} {
		inv, err := parseAnsible([]byte(src), "hosts")
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if !strings.Contains(strings.Join(inv.Notes, "\n"), want) {
			t.Errorf("%q: notes %q, want one with %q", src, inv.Notes, want)
		}
		for _, h := range inv.Hosts {
			if strings.Contains(fmt.Sprint(h.Labels), "passw") {
				t.Errorf("%q: a secret was copied", src)
			}
		}
	}
}

func TestAnsibleErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                                 "names no host",
		"[g]\na b":                         "line 2: want key=value",
		"[g]\na 'b":                        "line 2: a quote is not closed",
		"[g:host]\n":                       "line 1: a section ends with",
		"[g:vars]\nx":                      "line 2: want name = value",
		"[a:children]\nb\n":                `line 2: there is no group "b"`,
		"[a:children]\nb\n[b:children]\na": "among its own children",
		"[g]\nn[1:":                        "does not close its bracket",
		"[g]\nn[3:1]":                      "no range",
		"[g]\nn[a:9]":                      "no range",
		"[g]\nn[1:9:0]":                    "no range",
		"[g]\nn[01:100]":                   "no range",
		"[g]\nn[1:99999]":                  "more than 10000 hosts",
		"[g]\nn[1:999][1:999]":             "more than 10000 hosts",
		"[g]\n''":                          "have names",
		"---\n- a":                         "groups want a mapping",
		"---\ng: {host: {a: }}":            "a group has hosts, vars and children",
		"---\ng: {hosts: [a]}":             "hosts want a mapping",
		"---\ng: {children: &x {g: *x}}":   "",
		"---\ng: {hosts: {? [a] : b}}":     "have names",
		"---\na: &a {children: {b: *a}}":   "",
		strings.Repeat("[g]\na x=1\n", 1):  "none",
	} {
		inv, err := parseAnsible([]byte(src), "hosts")
		switch {
		case want == "none" && err != nil, want != "none" && err == nil, want != "none" && !strings.Contains(err.Error(), want):
			t.Errorf("%q: got %v and %v, want an error with %q", src, inv, err, want)
		}
	}
}

func TestRanges(t *testing.T) {
	for pattern, want := range map[string]string{
		"a":           "a",
		"w[1:3]":      "w1 w2 w3",
		"w[08:11]":    "w08 w09 w10 w11",
		"w[1:9:4].x":  "w1.x w5.x w9.x",
		"[a:c]-[1:2]": "a-1 a-2 b-1 b-2 c-1 c-2",
		"[X:Z]":       "X Y Z",
		"n[:2]":       "n0 n1 n2",
		"n[0:2]":      "n0 n1 n2",
	} {
		got, err := ranges(pattern, 100)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v and %v, want %s", pattern, got, err, want)
		}
	}
}

func TestSplitPort(t *testing.T) {
	for s, want := range map[string][2]string{
		"a": {"a", ""}, "a:22": {"a", "22"}, "a[1:2]": {"a[1:2]", ""}, "a[1:2]:22": {"a[1:2]", "22"},
		"::1": {"::1", ""}, "[::1]": {"::1", ""}, "[::1]:22": {"::1", "22"}, "a:b": {"a:b", ""},
	} {
		host, port := splitPort(s)
		if got := [2]string{host, port}; got != want {
			t.Errorf("%s: got %q, want %q", s, got, want)
		}
	}
}

func TestJump(t *testing.T) {
	for args, want := range map[string]string{
		"-J gate":                          "gate|",
		"-o ProxyJump=me@gate:22,b":        "me@gate:22 b|",
		"-o 'ProxyJump gate'":              "gate|",
		"-C -oProxyJump=gate -o X=y":       "gate|-C -o X=y",
		"-o ProxyCommand='ssh -W %h:%p g'": "|-o ProxyCommand='ssh -W %h:%p g'",
	} {
		hosts, rest := jump(args)
		if got := strings.Join(hosts, " ") + "|" + rest; got != want {
			t.Errorf("%s: got %q, want %q", args, got, want)
		}
	}
}

// Whatever the inventory, each of its hosts is in the experiment once, with its
// address and the groups that it is in.
func TestAnsibleKeepsEveryHost(t *testing.T) {
	file := place(t)
	rapid.Check(t, func(t *rapid.T) {
		type host struct{ address, groups string }
		want := map[string]host{}
		var ini strings.Builder
		groups := []string{"workers", "db", "gpu", "lb"}
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,6}`), 1, 10, rapid.ID[string]).Draw(t, "names")
		in := map[string][]string{}
		for _, n := range names {
			in[n] = rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 1, 3, rapid.ID[string]).Draw(t, "groups of "+n)
		}
		address := func(n string) string { return "10.0.0." + fmt.Sprint(slices.Index(names, n)) }
		for _, g := range groups {
			fmt.Fprintf(&ini, "[%s]\n", g)
			for _, n := range names {
				if slices.Contains(in[n], g) {
					fmt.Fprintf(&ini, "%s ansible_host=%s\n", n, address(n))
				}
			}
		}
		for _, n := range names {
			slices.SortFunc(in[n], func(x, y string) int { return slices.Index(groups, x) - slices.Index(groups, y) })
			want[n] = host{address(n), strings.Join(in[n], " ")}
		}
		inv, err := parseAnsible([]byte(ini.String()), "hosts.ini")
		if err != nil {
			t.Fatal(err)
		}
		template, err := Find(rapid.SampledFrom([]string{"cluster", "sweep", "simulate"}).Draw(t, "template"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := template.New(inv)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]host{}
		for _, h := range hostsOf(t, file, e.Text) {
			name := h.Name
			if original, made := h.Labels["original_name"]; made {
				name = original
			}
			if _, twice := got[name]; twice {
				t.Fatalf("%s is there twice", name)
			}
			got[name] = host{h.Address, strings.Join(ofAnsible(h, groups), " ")}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(host{})); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s", diff, e.Text)
		}
	})
}

// ofAnsible are the roles of h that are groups.
func ofAnsible(h spec.Host, groups []string) (all []string) {
	for _, r := range h.Roles {
		if slices.Contains(groups, r) {
			all = append(all, r)
		}
	}
	return all
}
