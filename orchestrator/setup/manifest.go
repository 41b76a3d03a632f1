package setup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/orchestrator/facts"
)

// format of manifests.
const format = 1

// Manifest says what on a host is ours, or was changed by us. It is written before
// what it tells of is done, so that all can be undone from it whatever happens.
type Manifest struct {
	Format int `json:"format"`
	Layout
	By         string      `json:"by"` // who set it up last
	Since      time.Time   `json:"since"`
	Folders    []string    `json:"folders,omitempty"` // that were not there, and go when they are empty, each before those in it
	SHA256     string      `json:"sha256,omitempty"`  // of the program when Stat was taken
	Stat       string      `json:"stat,omitempty"`
	Systemd    bool        `json:"systemd,omitempty"` // it starts the supervisor
	Saved      []Saved     `json:"saved,omitempty"`
	Packages   *Packages   `json:"packages,omitempty"`
	Supervisor *Supervisor `json:"supervisor,omitempty"` // nil: none is known to be as it should
	Kept       bool        `json:"kept,omitempty"`       // only results are left
}

// Saved is a setting of the kernel as it was.
type Saved struct {
	Name string `json:"name"`
	Path string `json:"path"`
	Was  string `json:"was"`
	Set  string `json:"set"`
	Tune bool   `json:"tune,omitempty"` // for the time of a run
}

// Packages are those that were not there before. Installed is known when the
// installing has ended; before, they are what is there and was not.
type Packages struct {
	Before    []string `json:"before,omitempty"`
	Installed []string `json:"installed,omitempty"`
}

// Supervisor is one that answered as it should.
type Supervisor struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"`
	BootID  string `json:"boot_id"`
	SHA256  string `json:"sha256"` // of its program
	Config  string `json:"config_sha256"`
	Address string `json:"address"`
}

// traces are folders that containerd and OCI runtimes make for what we have them do,
// and that they leave.
var traces = []string{
	"/run/crun", "/run/runc", "/run/containerd/runc", "/run/containerd/runc/ainur", "/run/containerd/s",
	"/run/containerd/io.containerd.runtime.v2.task/ainur", "/var/lib/containerd/io.containerd.runtime.v2.task/ainur",
}

// NewManifest is the first of a deployment on a host.
func NewManifest(l Layout, h *facts.Host, by string, now time.Time) *Manifest {
	m := &Manifest{Format: format, Layout: l, By: by, Since: now.UTC().Round(time.Second)}
	folders := slices.Clone(traces)
	for _, folder := range []string{l.StateDir, l.Prefix, volatile} {
		folders = append(folders, chain(folder)...)
	}
	m.Folders = slices.DeleteFunc(folders, h.Has)
	return m
}

// ManifestOf is the one of a host, nil where there is none.
func ManifestOf(l Layout, h *facts.Host) (*Manifest, error) {
	text, there := h.Files[l.Manifest()]
	if !there {
		return nil, nil
	}
	return parse([]byte(text), l)
}

func parse(text []byte, l Layout) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", l.Manifest(), err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("read %s: its format is %d, this ainur knows %d: use the one that set the host up", l.Manifest(), m.Format, format)
	}
	if m.Layout != l {
		return nil, fmt.Errorf("deployment %s is set up in %s on this host, and %s is asked for: destroy it first, as it is", m.Deployment, m.Root(), l.Root())
	}
	return m, nil
}

// load reads the manifest of this host.
func load(l Layout) (*Manifest, error) {
	text, err := os.ReadFile(l.Manifest())
	if err != nil {
		return nil, err
	}
	return parse(text, l)
}

// save makes the manifest last.
func (m *Manifest) save() error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := writeFile(m.Manifest(), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return syncFolder(m.Home())
}

// writeFile makes a file that is either as it was or all there.
func writeFile(path string, content []byte, mode fs.FileMode) (err error) {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func syncFolder(path string) error {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
