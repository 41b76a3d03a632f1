// Package lab makes hosts on this machine for experiments to run on: each has its
// own network, name, processes, files, cgroups and sshd, and nothing stays of them.
//
// A host is what the first process of a PID namespace keeps alive. It sees the
// machine's files below an overlay of its own. The hosts are plugged into a bridge,
// the switch, in a network namespace that one more process keeps alive. So to end
// those processes is to remove nearly everything; what is on the machine itself is
// one folder with a tmpfs, one link to the switch, and cgroups.
package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Root is where the folders of labs are, unless they are told otherwise.
const Root = "/run/ainur-lab"

// MaxHosts is how many hosts the ports of a bridge are enough for.
const MaxHosts = 1000

// Options say what a lab is like.
type Options struct {
	Name       string       // "" is lab
	Dir        string       // of all that belongs to the lab, new; "" is Name in Root
	Hosts      int          // 0 is 3; they are called n1, n2 and so on
	Subnet     netip.Prefix // of the hosts; none chooses a free /24 of 10.77.0.0/16
	Bastion    bool         // the hosts are reached through one more host, and by no other way
	Containerd bool         // every host runs the machine's containerd, at its usual socket
	User       string       // a second user of every host, who may do all with sudo; "" is none
}

// Host is a machine of a lab.
type Host struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// PID is the number on this machine of the process that the host lives and dies
	// with, whose namespaces are the host's.
	PID int `json:"pid"`
}

// Lab is hosts on this machine.
type Lab struct {
	Name       string       `json:"name"`
	Dir        string       `json:"dir"`
	Subnet     netip.Prefix `json:"subnet"`
	Hosts      []*Host      `json:"hosts"`
	Bastion    *Host        `json:"bastion,omitempty"`
	Key        string       `json:"key"`         // file of the private key that every host lets in, as root
	KnownHosts string       `json:"known_hosts"` // file of the hosts' keys
	Config     string       `json:"config"`      // for ssh -F: hosts by their names
	Cluster    string       `json:"cluster"`     // a block of the language that describes the hosts

	user       string
	containerd bool
	outer      netip.Prefix // of the bastion and this machine, with a bastion
	running    sync.WaitGroup
	relays     sync.Map // *relay by the name of the host, of this process
}

var goodName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// complete fills in what is not said, and checks the rest.
func (o *Options) complete() error {
	if o.Name == "" {
		o.Name = "lab"
	}
	if o.Hosts == 0 {
		o.Hosts = 3
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(Root, o.Name)
	}
	o.Dir = filepath.Clean(o.Dir)
	switch {
	case !goodName.MatchString(o.Name):
		return fmt.Errorf("name is %q, want small letters, digits and dashes", o.Name)
	case o.User != "" && !goodName.MatchString(o.User):
		return fmt.Errorf("user is %q, want small letters, digits and dashes", o.User)
	case o.Hosts < 1 || o.Hosts > MaxHosts:
		return fmt.Errorf("%d hosts, want 1 to %d", o.Hosts, MaxHosts)
	case !filepath.IsAbs(o.Dir) || !goodDir.MatchString(o.Dir):
		return fmt.Errorf("folder is %q, want an absolute path of letters, digits, dots, dashes and underscores", o.Dir)
	case o.Subnet.IsValid() && (!o.Subnet.Addr().Is4() || o.Subnet.Bits() < 8 || capacity(o.Subnet) < o.Hosts):
		return fmt.Errorf("subnet is %v, want one of IPv4 with %d addresses and one for the machine", o.Subnet, o.Hosts)
	}
	return nil
}

// goodDir is of names that mount options, ssh_config and HCL take as they are.
var goodDir = regexp.MustCompile(`^[A-Za-z0-9/._-]+$`)

// Up makes a lab, and returns when every host answers. On error nothing is left.
func Up(ctx context.Context, o Options) (_ *Lab, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if os.Getuid() != 0 {
		return nil, errors.New("a lab takes root: it makes namespaces, mounts and links")
	}
	unlock, err := lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(o.Dir); err == nil {
		return nil, fmt.Errorf("%s is there already: a lab, or what is left of one, which ainur lab down removes", o.Dir)
	}
	l := &Lab{
		Name: o.Name, Dir: o.Dir, Subnet: o.Subnet.Masked(), user: o.User, containerd: o.Containerd,
		Key: filepath.Join(o.Dir, "id"), KnownHosts: filepath.Join(o.Dir, "known_hosts"),
		Config: filepath.Join(o.Dir, "ssh_config"), Cluster: filepath.Join(o.Dir, "cluster.ainur.hcl"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make lab %s: %w", o.Name, err), l.remove())
		}
	}()
	if err := l.address(o); err != nil {
		return nil, err
	}
	if err := l.makeDir(); err != nil {
		return nil, err
	}
	keys, err := l.writeFiles()
	if err != nil {
		return nil, err
	}
	s, err := l.makeSwitch(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	makers, ctx := errgroup.WithContext(ctx)
	makers.SetLimit(8)
	for _, h := range l.all() {
		makers.Go(func() error {
			if err := l.makeHost(ctx, s, h, keys[h.Name]); err != nil {
				return fmt.Errorf("make host %s: %w", h.Name, err)
			}
			return nil
		})
	}
	if err := makers.Wait(); err != nil {
		return nil, err
	}
	var ports []string
	for _, h := range l.all() {
		ports = append(ports, h.Name)
	}
	if err := l.awaitUp(switchDir, ports...); err != nil {
		return nil, err
	}
	return l, l.save()
}

// all is every host, the bastion first.
func (l *Lab) all() []*Host {
	if l.Bastion == nil {
		return l.Hosts
	}
	return append([]*Host{l.Bastion}, l.Hosts...)
}

// find returns a host by its name.
func (l *Lab) find(name string) (*Host, error) {
	for _, h := range l.all() {
		if h.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("lab %s has no host %s", l.Name, name)
}

// Off is what has ended of the lab: hosts by name, and "switch", without which none is reached.
func (l *Lab) Off() (names []string) {
	for _, h := range l.all() {
		names = append(names, h.Name)
	}
	return slices.DeleteFunc(append(names, switchDir), func(name string) bool { return kept(l.path(name)) != 0 })
}

// path is one in the folder of the lab.
func (l *Lab) path(elements ...string) string {
	return filepath.Join(append([]string{l.Dir}, elements...)...)
}

// stateFile is what Open reads.
const stateFile = "lab.json"

// save is the last thing that Up does: a folder without the file is of a lab that
// was never finished.
func (l *Lab) save() error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	whole := l.path(stateFile + ".new")
	if err := os.WriteFile(whole, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(whole, l.path(stateFile))
}

// ErrUnfinished is of a lab whose making was cut off. Remove removes it.
var ErrUnfinished = errors.New("unfinished")

// Open returns the lab in a folder, which another process may have made.
func Open(dir string) (*Lab, error) {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("open lab: %w", err)
		}
		return nil, fmt.Errorf("lab in %s: %w", dir, ErrUnfinished)
	}
	if err != nil {
		return nil, fmt.Errorf("open lab: %w", err)
	}
	l := &Lab{}
	if err := json.Unmarshal(text, l); err != nil {
		return nil, fmt.Errorf("open lab %s: %w", dir, err)
	}
	return l, nil
}

// List is the names of the labs in Root, finished or not.
func List() (names []string, err error) {
	entries, err := os.ReadDir(Root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
