package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/digest"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
)

// Request is what a host is asked to do to itself.
type Request struct {
	Do          string    `json:"do"`                    // "up", "tune", "restore" or "destroy"
	Desired     Desired   `json:"desired"`               // of destroy and restore only the layout
	By          string    `json:"by"`                    // who asks
	Certificate []byte    `json:"certificate,omitempty"` // PEM, where the host's is not good
	Key         []byte    `json:"key,omitempty"`         // of Certificate, PEM
	Pushed      bool      `json:"pushed,omitempty"`      // the program was just now, and what arrived was hashed
	KeepResults bool      `json:"keep_results,omitempty"`
	Now         time.Time `json:"now"` // that certificates are judged by
}

// Report is what has become of a request.
type Report struct {
	Changes    []Change    `json:"changes,omitempty"` // that were made
	Supervisor *Supervisor `json:"supervisor,omitempty"`
	Left       []string    `json:"left,omitempty"`      // of destroy: what is ours and still there
	Reclaimed  []string    `json:"reclaimed,omitempty"` // of destroy: what runs had left
	Error      string      `json:"error,omitempty"`
	Busy       bool        `json:"busy,omitempty"` // the error is that a run is under way
}

// Machine is the host that this process changes.
type Machine struct {
	// Reclaim removes what the agents of a run left behind and names it.
	Reclaim func(run, dir string) (removed []string, err error)
	// Vacate removes what runs have left with daemons of the host for later runs, which nobody
	// needs now; dir is the supervisor's folder.
	Vacate func(ctx context.Context, dir string) error
}

// here runs commands on this host.
type here struct{}

func (here) Run(ctx context.Context, c remote.Command) error {
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	return cmd.Run()
}

// ErrBusy reports that a run is under way on the host.
var ErrBusy = errors.New("a run is under way")

// Do makes of this host what is asked.
func (m Machine) Do(ctx context.Context, r Request) (report Report) {
	unlock, err := lock(r.Desired.Home())
	if err == nil {
		switch r.Do {
		case "up":
			err = m.up(ctx, r, &report)
		case "tune":
			err = m.tune(ctx, r, &report)
		case "restore":
			err = m.restore(ctx, r, &report)
		case "destroy":
			err = m.destroy(ctx, r, &report)
		default:
			err = fmt.Errorf("%q is nothing to do", r.Do)
		}
		unlock()
	}
	if err != nil {
		report.Error, report.Busy = err.Error(), errors.Is(err, ErrBusy)
	}
	return report
}

// lock keeps others from changing a folder of state meanwhile: on the folder, so
// that there is no file to be left.
func lock(home string) (unlock func(), err error) {
	f, err := os.Open(home)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", home, err), f.Close())
	}
	return func() { _ = f.Close() }, nil // only read from
}

// up makes the changes that Diff names and then looks whether they hold.
func (Machine) up(ctx context.Context, r Request, report *Report) error {
	d := r.Desired
	m, err := load(d.Layout)
	if err != nil {
		return err
	}
	known := ""
	if r.Pushed {
		known = d.SHA256
	}
	if err := m.hash(known); err != nil {
		return err
	}
	h, changes, err := d.look(ctx, m, r.Now)
	if err != nil || len(changes) == 0 {
		report.Supervisor = m.Supervisor
		return err
	}
	if err := m.intend(d, h, changes, r); err != nil {
		return err
	}
	report.Changes = changes
	set := false
	for _, c := range changes {
		if c.Step == Kernel && set { // all at once
			continue
		}
		set = set || c.Step == Kernel
		if err := m.make(ctx, d, h, c, r); err != nil {
			return fmt.Errorf("%s: %w", c.Step, err)
		}
	}
	_, left, err := d.look(ctx, m, r.Now)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s is still to be changed after it was: %s", left[0].What, left[0].Why)
	}
	report.Supervisor = m.Supervisor
	return nil
}

// tune makes the changes of settings alone.
func (Machine) tune(ctx context.Context, r Request, report *Report) error {
	d := r.Desired
	m, err := load(d.Layout)
	if err != nil {
		return err
	}
	h, err := facts.Read(ctx, here{}, d.Query())
	if err != nil {
		return err
	}
	report.Changes = d.tuning(h)
	m.remember(d.Settings, h)
	if err := m.save(); err != nil {
		return err
	}
	if err := m.set(ctx, d.Settings, h); err != nil {
		return err
	}
	if h, err = facts.Read(ctx, here{}, d.Query()); err != nil {
		return err
	}
	if left := d.tuning(h); len(left) > 0 {
		return fmt.Errorf("%s: the kernel did not take it", left[0].What)
	}
	return nil
}

// hash makes sure that the manifest has the digest of the program as it is now, which may be known.
func (m *Manifest) hash(known string) error {
	info, err := os.Stat(m.Binary())
	if err != nil {
		return err
	}
	s := info.Sys().(*syscall.Stat_t)
	stat := fmt.Sprintf("%d %d %d %d", s.Size, s.Ino, s.Mtim.Sec, s.Ctim.Sec)
	if stat == m.Stat {
		return nil
	}
	if m.Stat, m.SHA256 = stat, known; known == "" {
		if m.SHA256, err = digest.File(m.Binary()); err != nil {
			return err
		}
	}
	return m.save()
}

// look is what the host is, and what is to change: also what only the supervisor knows.
func (d Desired) look(ctx context.Context, m *Manifest, now time.Time) (*facts.Host, []Change, error) {
	h, err := facts.Read(ctx, here{}, d.Query())
	if err != nil {
		return nil, nil, err
	}
	changes, err := Diff(d, h, now)
	if err != nil || slices.ContainsFunc(changes, func(c Change) bool { return c.Step == Supervising }) {
		return h, changes, err
	}
	is, err := describe(ctx, d.Layout)
	switch {
	case err != nil:
		changes = append(changes, Change{Supervising, Update, "supervisor", "does not answer"})
	case is.PID != m.Supervisor.PID || is.ExecutableSHA256 != d.SHA256 || is.ConfigSHA256 != sum(d.configText()):
		changes = append(changes, Change{Supervising, Update, "supervisor", "is another"})
	}
	return h, changes, nil
}

// intend writes into the manifest what the changes are going to do.
func (m *Manifest) intend(d Desired, h *facts.Host, changes []Change, r Request) error {
	m.By, m.Since, m.Kept = r.By, r.Now.UTC().Round(time.Second), false
	for _, c := range changes {
		switch c.Step {
		case Kernel:
			m.remember(d.Settings, h)
		case Configuration:
			m.Systemd = d.systemd(h)
		case Supervising, Certificate:
			m.Supervisor = nil
		}
	}
	return m.save()
}

// remember keeps settings as they were before they were first changed.
func (m *Manifest) remember(settings []Setting, h *facts.Host) {
	for _, s := range settings {
		for _, path := range s.paths(h) {
			is := Value(path, h.Files[path])
			at := slices.IndexFunc(m.Saved, func(saved Saved) bool { return saved.Path == path })
			switch {
			case at >= 0 && is != s.Value:
				m.Saved[at].Set = s.Value
			case at < 0 && is != s.Value:
				m.Saved = append(m.Saved, Saved{Name: s.Name, Path: path, Was: is, Set: s.Value, Tune: s.Tune})
			}
		}
	}
}

// make makes one change.
func (m *Manifest) make(ctx context.Context, d Desired, h *facts.Host, c Change, r Request) error {
	switch c.Step {
	case Program:
		return errors.New("it was to be pushed before: try again")
	case Installing:
		return m.install(ctx, d.missing(h))
	case Kernel:
		return m.set(ctx, d.Settings, h)
	case Certificate:
		return d.certify(r)
	case Configuration:
		if strings.HasPrefix(c.What, "unit") {
			return writeFile(d.Unit(), []byte(d.unitText()), 0o644)
		}
		return writeFile(d.Config(), []byte(d.configText()), 0o644)
	default:
		return m.supervise(ctx, d, h)
	}
}

// set gives the host the values that are desired.
func (*Manifest) set(ctx context.Context, settings []Setting, h *facts.Host) error {
	for _, s := range settings {
		for _, path := range s.paths(h) {
			if Value(path, h.Files[path]) == s.Value {
				continue
			}
			if err := assign(ctx, path, s.Value); err != nil {
				return fmt.Errorf("set %s to %s: %w", s.Name, s.Value, err)
			}
		}
	}
	return nil
}

// certify puts the certificates and the key in their place. The certificate comes
// last: without it the others are made again.
func (d Desired) certify(r Request) error {
	if len(r.Certificate) == 0 {
		return errors.New("it has changed meanwhile: try again")
	}
	if err := os.MkdirAll(volatile, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{d.Run(), d.TLS()} {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			return err
		}
	}
	certificate := filepath.Join(d.TLS(), mtls.CertificateFile)
	if err := os.Remove(certificate); err != nil && !os.IsNotExist(err) {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(d.TLS(), mtls.KeyFile), r.Key, 0o600),
		writeFile(filepath.Join(d.TLS(), mtls.AuthorityFile), d.Authority, 0o644),
		writeFile(certificate, r.Certificate, 0o644))
}
