package scaffold

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// group is a group of an Ansible inventory.
type group struct {
	name     string
	vars     map[string]string
	hosts    []string
	children []string
	parents  []string
	depth    int // below all: what is deeper overrides
}

// ansible is an Ansible inventory in either of its formats.
type ansible struct {
	groups map[string]*group
	order  []string // of the groups
	vars   map[string]map[string]string
	hosts  []string // in order, each once
	notes  notes
}

func newAnsible() *ansible {
	return &ansible{groups: map[string]*group{}, vars: map[string]map[string]string{}}
}

// ReadAnsible reads the Ansible inventory at path, in YAML when its name or its
// first line says so, in INI elsewhere. Groups become roles, variables labels.
// Secrets are not copied, and computed values are not worked out: both are noted.
func ReadAnsible(path string) (*Inventory, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	inv, err := parseAnsible(src, path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, beside := range []string{"group_vars", "host_vars"} {
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(path), beside)); len(found) > 0 {
			inv.Notes = append(inv.Notes, beside+" beside "+from(path)+" is not read.")
		}
	}
	return inv, nil
}

// yamlStart is a first line that an INI inventory does not have.
var yamlStart = regexp.MustCompile(`^(---|\{|[A-Za-z_][\w.-]*:(\s|$))`)

func parseAnsible(src []byte, path string) (*Inventory, error) {
	var a *ansible
	var err error
	if isYAML(string(src), filepath.Ext(path)) {
		a, err = parseYAML(src)
	} else {
		a, err = parseINI(string(src))
	}
	if err != nil {
		return nil, err
	}
	if err := a.measure(); err != nil {
		return nil, err
	}
	if len(a.hosts) == 0 {
		return nil, errors.New("it names no host")
	}
	return a.inventory(from(path)), nil
}

func isYAML(src, extension string) bool {
	switch extension {
	case ".yml", ".yaml", ".json":
		return true
	case ".ini", ".cfg":
		return false
	}
	for line := range strings.Lines(src) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return yamlStart.MatchString(line)
		}
	}
	return false
}

// maxGroups bounds the groups of an inventory.
const maxGroups = 1000

// group is the group of a name, made when it is new.
func (a *ansible) group(name string) *group {
	g := a.groups[name]
	if g == nil {
		g = &group{name: name, vars: map[string]string{}}
		a.groups[name] = g
		a.order = append(a.order, name)
	}
	return g
}

// nest puts one group into another.
func (a *ansible) nest(parent *group, child string) {
	if !slices.Contains(parent.children, child) {
		parent.children = append(parent.children, child)
		c := a.group(child)
		c.parents = append(c.parents, parent.name)
	}
}

// host adds a host with its variables to a group.
func (a *ansible) host(g *group, name string, vars map[string]string) error {
	if strings.TrimSpace(name) == "" || strings.TrimSpace(g.name) == "" {
		return errors.New("hosts and groups have names")
	}
	if slices.Contains(g.hosts, name) {
		a.notes.add("%s is twice in the group %s.", name, g.name)
	} else {
		g.hosts = append(g.hosts, name)
	}
	have := a.vars[name]
	if have == nil {
		if len(a.hosts) == maxHosts {
			return fmt.Errorf("more than %d hosts", maxHosts)
		}
		a.hosts = append(a.hosts, name)
		have = map[string]string{}
		a.vars[name] = have
	}
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		if old, given := have[k]; given && old != vars[k] && !secret(k) {
			a.notes.add("%s of %s is given as %q and as %q: the last one counts.", k, name, old, vars[k])
		}
		have[k] = vars[k]
	}
	return nil
}

// measure works out how deep each group is.
func (a *ansible) measure() error {
	if len(a.order) > maxGroups {
		return fmt.Errorf("more than %d groups", maxGroups)
	}
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(g *group) error
	visit = func(g *group) error {
		switch state[g.name] {
		case done:
			return nil
		case visiting:
			return fmt.Errorf("the group %q is among its own children: take it out there", g.name)
		}
		state[g.name] = visiting
		for _, p := range g.parents {
			parent := a.groups[p]
			if err := visit(parent); err != nil {
				return err
			}
			g.depth = max(g.depth, parent.depth+1)
		}
		if g.name != "all" {
			g.depth = max(g.depth, 1)
		}
		state[g.name] = done
		return nil
	}
	for _, name := range a.order {
		if err := visit(a.groups[name]); err != nil {
			return err
		}
	}
	return nil
}

// membership lists, for each host, the groups that it is in by itself or
// through their children, in order of appearance.
func (a *ansible) membership() map[string][]string {
	in := map[string]map[string]bool{} // groups around a group, with itself
	var around func(name string) map[string]bool
	around = func(name string) map[string]bool {
		if in[name] == nil {
			in[name] = map[string]bool{name: true}
			for _, p := range a.groups[name].parents {
				maps.Copy(in[name], around(p))
			}
		}
		return in[name]
	}
	member := map[string]map[string]bool{}
	for _, name := range a.order {
		for _, h := range a.groups[name].hosts {
			if member[h] == nil {
				member[h] = map[string]bool{"all": true}
			}
			maps.Copy(member[h], around(name))
		}
	}
	lists := map[string][]string{}
	for _, h := range a.hosts {
		for _, name := range a.order {
			if member[h][name] {
				lists[h] = append(lists[h], name)
			}
		}
	}
	return lists
}

// inventory is what ainur takes of it.
func (a *ansible) inventory(file string) *Inventory {
	inv := &Inventory{From: file + ", an inventory of Ansible", Notes: a.notes}
	member := a.membership()
	n := notes(inv.Notes)
	for _, name := range a.hosts {
		groups := slices.Clone(member[name])
		h := Host{Name: name, Address: name, Labels: map[string]string{}}
		for _, g := range groups {
			if g != "all" && g != "ungrouped" {
				h.Roles = append(h.Roles, g)
			}
		}
		slices.SortStableFunc(groups, func(x, y string) int {
			if d := a.groups[x].depth - a.groups[y].depth; d != 0 {
				return d
			}
			return strings.Compare(x, y)
		})
		vars := map[string]string{}
		for _, g := range groups {
			maps.Copy(vars, a.groups[g].vars)
		}
		maps.Copy(vars, a.vars[name])
		become := h.take(vars, &n)
		if become != "" && inv.Become != "" && become != inv.Become {
			n.add("some hosts become root by %s: the cluster has one method, %s.", become, inv.Become)
		} else if become != "" {
			inv.Become = become
		}
		inv.Hosts = append(inv.Hosts, h)
	}
	inv.Notes = append(n, inv.sameAddress()...)
	return inv
}

// take reads the variables of a host and returns how it becomes root, "" when
// it does not.
func (h *Host) take(vars map[string]string, n *notes) (become string) {
	method, becomes := "sudo", false
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		v := vars[k]
		switch {
		case secret(k):
			n.add("%s is a secret: it is not copied. Use keys, or a secret block.", k)
			continue
		case strings.Contains(v, "{{"):
			n.add("%s is computed by Ansible, and not copied: %s", k, v)
			continue
		}
		switch k {
		case "ansible_host", "ansible_ssh_host":
			if v != "" {
				h.Address = v
			}
		case "ansible_port", "ansible_ssh_port":
			port, err := strconv.Atoi(v)
			if err != nil || port < 1 || port > 65535 {
				n.add("%s of %s is %q, which is no port: it is left out.", k, h.Name, v)
				continue
			}
			h.Port = port
		case "ansible_user", "ansible_ssh_user":
			h.User = v
		case "ansible_ssh_private_key_file", "ansible_private_key_file":
			h.Identity = []string{v}
		case "ansible_connection":
			switch v {
			case "local":
				h.Local = true
			case "ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "":
			default:
				n.add("ansible_connection %s has no counterpart: the hosts with it are reached over SSH.", v)
			}
		case "ansible_ssh_common_args", "ansible_ssh_extra_args":
			var rest string
			if h.ProxyJump, rest = jump(v); rest != "" {
				n.add("%s has no counterpart: %s", k, rest)
			}
		case "ansible_become":
			becomes = slices.Contains([]string{"true", "yes", "on", "1"}, strings.ToLower(v))
		case "ansible_become_method":
			method = v
		case "ansible_become_user":
			if v != "root" {
				n.add("ansible_become_user is %s: ainur becomes root.", v)
			}
		default:
			if strings.HasPrefix(k, "ansible_") {
				n.add("%s has no counterpart: %s", k, v)
				continue
			}
			h.Labels[k] = v
		}
	}
	switch {
	case !becomes:
		return ""
	case method != "sudo" && method != "doas":
		n.add("ansible_become_method %s has no counterpart: write the become block yourself.", method)
		return ""
	}
	return method
}

// secretWord is in the names of variables that are not for others to read.
var secretWord = regexp.MustCompile(`(?i)(pass(word|wd|phrase)?|secret|token|vault|api_?key)(_|$)`)

func secret(name string) bool { return secretWord.MatchString(name) }

// jumpOption is the argument of ssh that names hosts to go through.
var jumpOption = regexp.MustCompile(`(?:^|\s)(?:-J\s*|-o\s*["']?ProxyJump[= ])["']?([^\s"']+)["']?`)

// jump finds the hosts to go through in arguments of ssh, and what is left of those.
func jump(args string) (hosts []string, rest string) {
	found := jumpOption.FindStringSubmatch(args)
	if found == nil {
		return nil, strings.TrimSpace(args)
	}
	return strings.Split(found[1], ","), strings.TrimSpace(strings.Replace(args, found[0], "", 1))
}
