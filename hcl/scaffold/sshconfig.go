package scaffold

import (
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// maxInclude bounds files that include one another.
const maxInclude = 5

// Keywords of OpenSSH that say how a host is reached and that a host block has
// no argument for. The file itself is honoured when ainur connects.
var left = []string{"ProxyCommand", "CertificateFile", "HostKeyAlias", "IdentityAgent", "UserKnownHostsFile", "BindAddress", "BindInterface"}

// ReadSSHConfig reads the hosts that the OpenSSH configuration at path names
// without wildcards, those of included files too. Where chosen names some, it is
// these alone.
func ReadSSHConfig(path string, chosen []string) (*Inventory, error) {
	home := homeOf()
	inv := &Inventory{From: path}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = filepath.Join(home, rest)
	}
	if path != filepath.Join(home, ".ssh", "config") {
		inv.Config = inv.From
	}
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	if err := inv.sshConfig(src, filepath.Join(home, ".ssh"), chosen); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return inv, nil
}

// homeOf is the home folder as ssh sees it: that of the user, not $HOME.
func homeOf() string {
	u, err := user.Current()
	if err != nil {
		return "/" // nothing is found below it
	}
	return u.HomeDir
}

// sshConfig fills the inventory. Folder is where included files are.
func (inv *Inventory) sshConfig(src []byte, folder string, chosen []string) error {
	config, err := ssh_config.DecodeBytes(src)
	if err != nil {
		return fmt.Errorf("%w; name the hosts by --hosts instead", err)
	}
	var n notes
	all, err := aliases(config, folder, 0, &n)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("it names no host without wildcards")
	}
	for _, c := range chosen {
		if !slices.Contains(all, c) {
			return fmt.Errorf("it has no host %s; it has %s", c, strings.Join(all, ", "))
		}
	}
	if len(chosen) > 0 {
		all = chosen
	}
	for _, alias := range all {
		h, err := sshHost(config, alias, &n)
		if err != nil {
			return err
		}
		inv.Hosts = append(inv.Hosts, h)
	}
	inv.Notes = append(n, inv.sameAddress()...)
	return nil
}

// aliases are the patterns without wildcards, in order, each once.
func aliases(config *ssh_config.Config, folder string, depth int, n *notes) (all []string, err error) {
	add := func(name string) error {
		switch {
		case strings.ContainsAny(name, "*?!") || name == "":
		case slices.Contains(all, name):
			n.add("Host %s is there twice: what the first says counts.", name)
		case len(all) == maxHosts:
			return fmt.Errorf("more than %d hosts", maxHosts)
		default:
			all = append(all, name)
		}
		return nil
	}
	for _, block := range config.Hosts {
		for _, p := range block.Patterns {
			if err := add(p.String()); err != nil {
				return nil, err
			}
		}
		for _, node := range block.Nodes {
			include, ok := node.(*ssh_config.Include)
			if !ok {
				continue
			}
			more, err := included(include, folder, depth, n)
			if err != nil {
				return nil, err
			}
			for _, name := range more {
				if err := add(name); err != nil {
					return nil, err
				}
			}
		}
	}
	return all, nil
}

// included are the aliases in the files that an Include names: the library
// looks values up in those, and does not list what they have.
func included(include *ssh_config.Include, folder string, depth int, n *notes) (all []string, err error) {
	if depth == maxInclude {
		return nil, fmt.Errorf("more than %d files include one another", maxInclude)
	}
	text, _, _ := strings.Cut(strings.TrimSpace(include.String()), "#")
	for _, pattern := range strings.Fields(strings.Replace(text, "=", " ", 1))[1:] {
		if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
			pattern = filepath.Join(filepath.Dir(folder), rest)
		} else if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(folder, pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("include %s: %w", pattern, err)
		}
		for _, file := range files {
			src, err := read(file)
			if err != nil {
				return nil, err
			}
			config, err := ssh_config.DecodeBytes(src)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			more, err := aliases(config, folder, depth+1, n)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

// sshHost is what the configuration says of an alias.
func sshHost(config *ssh_config.Config, alias string, n *notes) (Host, error) {
	h := Host{Name: alias, Address: alias}
	get := func(key string) string {
		value, err := config.Get(alias, key)
		if err != nil {
			n.add("%s of %s cannot be read: %v", key, alias, err)
		}
		return value
	}
	if name := get("HostName"); name != "" {
		h.Address = strings.NewReplacer("%h", alias, "%n", alias, "%%", "%").Replace(name)
	}
	h.User = get("User")
	if port := get("Port"); port != "" && port != "22" {
		p, err := strconv.Atoi(port)
		if err != nil || p < 1 || p > 65535 {
			return h, fmt.Errorf("the port of %s is %q, want 1 to 65535", alias, port)
		}
		h.Port = p
	}
	identities, err := config.GetAll(alias, "IdentityFile")
	if err != nil {
		return h, fmt.Errorf("IdentityFile of %s: %w", alias, err)
	}
	for _, file := range identities {
		if !strings.EqualFold(file, "none") {
			h.Identity = append(h.Identity, strings.NewReplacer("%d", "~", "%h", h.Address, "%n", alias, "%r", h.User, "%%", "%").Replace(file))
		}
	}
	if hops := get("ProxyJump"); hops != "" && !strings.EqualFold(hops, "none") {
		for hop := range strings.SplitSeq(hops, ",") {
			h.ProxyJump = append(h.ProxyJump, strings.TrimSpace(hop))
		}
	}
	for _, key := range left {
		if value := get(key); value != "" && !strings.EqualFold(value, "none") {
			n.add("%s of %s has no argument here: it is left to the configuration of ssh.", key, alias)
		}
	}
	return h, nil
}
