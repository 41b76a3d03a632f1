package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// manager is a family of package managers.
type manager struct {
	program         string
	list            []string // prints the names of what is installed, a line each
	refresh         []string
	install, remove []string // with names after them
}

var managers = []manager{
	{
		program: "apt-get", list: []string{"dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"}, refresh: []string{"apt-get", "-qq", "update"},
		install: []string{"apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", "install"}, remove: []string{"apt-get", "-qq", "-y", "-o", "Dpkg::Use-Pty=0", "purge"},
	},
	{
		program: "dnf", list: []string{"rpm", "-qa", "--qf", "installed %{NAME}\n"}, refresh: nil,
		install: []string{"dnf", "-q", "-y", "--setopt=install_weak_deps=False", "install"}, remove: []string{"dnf", "-q", "-y", "--noautoremove", "remove"},
	},
}

func managerHere() (manager, error) {
	for _, m := range managers {
		if _, err := exec.LookPath(m.program); err == nil {
			return m, nil
		}
	}
	return manager{}, errors.New("there is neither apt-get nor dnf: install the packages by hand and leave out install.packages")
}

// lastOutput is how long after its end the output of a program is waited for, which
// a daemon that it started may hold open.
const lastOutput = time.Second

// quietly runs a program and returns what it prints.
func quietly(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.WaitDelay = lastOutput
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

// installed are the packages of this host.
func (m manager) installed(ctx context.Context) (names []string, err error) {
	out, err := quietly(ctx, m.list)
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "installed "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// install installs packages. The manifest has what was there before, until it has
// what came: with those that these need.
func (m *Manifest) install(ctx context.Context, names []string) error {
	by, err := managerHere()
	if err != nil {
		return err
	}
	if err := m.came(ctx, by); err != nil { // of an earlier try
		return err
	}
	before, err := by.installed(ctx)
	if err != nil {
		return err
	}
	if m.Packages == nil {
		m.Packages = &Packages{}
	}
	m.Packages.Before = before
	if err := m.save(); err != nil {
		return err
	}
	_, err = quietly(ctx, append(slices.Clone(by.install), names...))
	if err != nil && by.refresh != nil { // the lists may be old, or not there
		if _, err = quietly(ctx, by.refresh); err == nil {
			_, err = quietly(ctx, append(slices.Clone(by.install), names...))
		}
	}
	return errors.Join(err, m.came(ctx, by))
}

// came writes down what is installed and was not before.
func (m *Manifest) came(ctx context.Context, by manager) error {
	if m.Packages == nil || len(m.Packages.Before) == 0 {
		return nil
	}
	now, err := by.installed(ctx)
	if err != nil {
		return err
	}
	for _, name := range now {
		if _, was := slices.BinarySearch(m.Packages.Before, name); !was && !slices.Contains(m.Packages.Installed, name) {
			m.Packages.Installed = append(m.Packages.Installed, name)
		}
	}
	m.Packages.Before = nil
	return m.save()
}

// uninstall removes the packages that install installed.
func (m *Manifest) uninstall(ctx context.Context) error {
	if m.Packages == nil {
		return nil
	}
	by, err := managerHere()
	if err != nil {
		return err
	}
	if err := m.came(ctx, by); err != nil {
		return err
	}
	there, err := by.installed(ctx)
	if err != nil {
		return err
	}
	ours := slices.DeleteFunc(slices.Clone(m.Packages.Installed), func(p string) bool { return !slices.Contains(there, p) })
	if len(ours) > 0 {
		if _, err := quietly(ctx, append(slices.Clone(by.remove), ours...)); err != nil {
			return err
		}
	}
	m.Packages = nil
	return m.save()
}
