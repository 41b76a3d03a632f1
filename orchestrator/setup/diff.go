package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/facts"
)

// Kind of a change.
type Kind string

// Kinds of changes.
const (
	Add    Kind = "add"
	Update Kind = "update"
	Remove Kind = "remove"
)

// Step is what a change is done in, one after the other.
type Step string

// Steps in their order.
const (
	Program       Step = "program" // pushed before the others, which it does
	Installing    Step = "packages"
	Kernel        Step = "setting"
	Certificate   Step = "certificate"
	Configuration Step = "configuration"
	Supervising   Step = "supervisor"
)

// Change is one thing that is to be otherwise on a host.
type Change struct {
	Step Step   `json:"step"`
	Kind Kind   `json:"kind"`
	What string `json:"what"`
	Why  string `json:"why"`
}

// Diff is what has to change on a host so that it has what is desired. The same
// host gives the same changes.
func Diff(d Desired, h *facts.Host, now time.Time) (all []Change, err error) {
	m, err := ManifestOf(d.Layout, h)
	if err != nil {
		return nil, err
	}
	if m == nil {
		for _, f := range []struct{ folder, attribute string }{{d.Home(), "state_dir"}, {d.Root(), "prefix"}} { // destroy would remove all that is in them
			if h.Has(f.folder) {
				return nil, fmt.Errorf("%s is there, and no manifest says that it is ainur's: remove it, or give another install.%s", f.folder, f.attribute)
			}
		}
		m = &Manifest{}
	}
	add := func(step Step, kind Kind, what, why string) { all = append(all, Change{step, kind, what, why}) }
	have := h.Binary
	if h.Unchanged {
		have = m.SHA256
	}
	switch have {
	case d.SHA256:
	case "":
		add(Program, Add, "ainur "+d.Version, "not installed")
	default:
		add(Program, Update, "ainur "+d.Version, "sha256 differs")
	}
	if missing := d.missing(h); len(missing) > 0 {
		add(Installing, Add, "packages "+strings.Join(missing, ", "), "not installed")
	}
	all = append(all, d.tuning(h)...)
	certificate := certificateOf(d, h, now)
	if certificate != nil {
		all = append(all, *certificate)
	}
	switch text, there := h.Files[d.Config()]; {
	case !there:
		add(Configuration, Add, "configuration", "not there")
	case text != d.configText():
		add(Configuration, Update, "configuration", "differs")
	}
	if d.systemd(h) && h.Files[d.Unit()] != d.unitText() {
		add(Configuration, Add, "unit "+d.unit(), "not there, or differs")
	}
	switch s := m.Supervisor; {
	case s == nil || s.BootID != h.BootID || !slices.Contains(h.Processes, facts.Process{PID: s.PID, Started: s.Started}):
		add(Supervising, Add, "supervisor", "does not run")
	case s.SHA256 != d.SHA256:
		add(Supervising, Update, "supervisor", "runs another ainur")
	case s.Config != sum(d.configText()):
		add(Supervising, Update, "supervisor", "has another configuration")
	case certificate != nil:
		add(Supervising, Update, "supervisor", "has another certificate")
	}
	return all, nil
}

// tuning is the changes of settings.
func (d Desired) tuning(h *facts.Host) (all []Change) {
	for _, s := range d.Settings {
		if is, ok := s.is(h); ok && is != s.Value {
			all = append(all, Change{Kernel, Update, fmt.Sprintf("%s %s -> %s", s.Name, is, s.Value), s.Why})
		}
	}
	return all
}

func sum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// missing are the packages that are not installed.
func (d Desired) missing(h *facts.Host) []string {
	return slices.DeleteFunc(slices.Clone(d.Packages), func(p string) bool { return slices.Contains(h.Packages, p) })
}

// certificateOf is the change of the host's certificate, nil where it is good.
func certificateOf(d Desired, h *facts.Host, now time.Time) *Change {
	own, there := h.Files[filepath.Join(d.TLS(), mtls.CertificateFile)]
	if !there || !h.Has(filepath.Join(d.TLS(), mtls.KeyFile)) {
		return &Change{Certificate, Add, "certificate", "not there"}
	}
	if h.Files[filepath.Join(d.TLS(), mtls.AuthorityFile)] != string(d.Authority) {
		return &Change{Certificate, Update, "certificate", "of another authority"}
	}
	if err := mtls.Check(d.Authority, []byte(own), d.Names, now); err != nil {
		return &Change{Certificate, Update, "certificate", err.Error()}
	}
	return nil
}

// Removal is what destroy has to change.
func Removal(m *Manifest, h *facts.Host) (all []Change) {
	add := func(step Step, what, why string) { all = append(all, Change{step, Remove, what, why}) }
	if len(h.Processes) > 0 {
		add(Supervising, "supervisor", "runs")
	}
	for _, s := range m.Saved {
		all = append(all, s.back(Remove))
	}
	if m.Packages != nil {
		what := "packages " + strings.Join(m.Packages.Installed, ", ")
		if len(m.Packages.Before) > 0 {
			what = "packages, as far as they were installed"
		}
		add(Installing, what, "were not there")
	}
	for _, folder := range []string{m.Root(), m.Run(), m.Home()} {
		if h.Has(folder) {
			add(Program, folder, "is ours")
		}
	}
	return all
}
