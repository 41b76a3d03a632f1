package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// Outcome is what has become of a host.
type Outcome struct {
	Host string `json:"host"`
	setup.Report
	Took    time.Duration `json:"took_ns"`
	Skipped bool          `json:"skipped,omitempty"` // another host had failed before
	Err     error         `json:"-"`
}

// Up makes the changes of a plan. After a failure it begins with no other host, unless
// it is to keep going.
func (s *Site) Up(ctx context.Context, p *Plan, keepGoing bool) ([]Outcome, error) {
	now := time.Now()
	a, err := makeAuthority(filepath.Join(s.Data, s.Cluster.Name), s.Cluster.Name, now)
	if err != nil {
		return nil, fmt.Errorf("make the authority of the deployment: %w", err)
	}
	desired := map[string]setup.Desired{}
	for _, h := range p.Hosts {
		h.desired.Authority = a.Certificate
		desired[h.Host] = h.desired
	}
	return s.work(keepGoing, func(h *Host) (setup.Report, error) {
		d, planned := desired[h.Name]
		if !planned {
			return setup.Report{}, errors.New("it is not in the plan")
		}
		return s.up(ctx, h, d, a, now)
	}), nil
}

// work does something with every host that is of use, in their order.
func (s *Site) work(keepGoing bool, do func(h *Host) (setup.Report, error)) []Outcome {
	outcomes := make([]Outcome, len(s.Hosts))
	at := map[string]int{}
	for i, h := range s.Hosts {
		at[h.Name] = i
	}
	var failed atomic.Bool
	s.each(func(h *Host) {
		o := &outcomes[at[h.Name]]
		o.Host = h.Name
		if h.Err != nil || failed.Load() && !keepGoing {
			if o.Err, o.Skipped = h.Err, h.Err == nil; o.Err != nil {
				o.Error = o.Err.Error()
			}
			return
		}
		began := time.Now()
		o.Report, o.Err = do(h)
		o.Took = time.Since(began)
		if o.Err != nil {
			failed.Store(true)
			h.Err = o.Err
			o.Error = o.Err.Error()
		}
	})
	return outcomes
}

// up brings one host to what is desired: the manifest, the program, and what that does.
func (s *Site) up(ctx context.Context, h *Host, d setup.Desired, a *mtls.Authority, now time.Time) (setup.Report, error) {
	changes, err := setup.Diff(d, h.Facts, now)
	if err != nil {
		return setup.Report{}, s.trouble(h, "compare", err)
	}
	pushed, err := s.push(ctx, h, d, changes)
	if err != nil {
		return setup.Report{}, err
	}
	r := setup.Request{Do: "up", Desired: d, By: s.Owner, Now: now, Pushed: len(pushed) > 0}
	for _, c := range changes {
		if c.Step == setup.Certificate {
			if r.Certificate, r.Key, err = a.Issue(h.Name, d.Names, now); err != nil {
				return setup.Report{}, s.trouble(h, "certificate", err)
			}
		}
	}
	report, err := s.ask(ctx, h, r)
	report.Changes = append(pushed, report.Changes...)
	return report, err
}

// push brings the program to a host that has it not.
func (s *Site) push(ctx context.Context, h *Host, d setup.Desired, changes []setup.Change) (pushed []setup.Change, err error) {
	sends := slices.ContainsFunc(changes, func(c setup.Change) bool { return c.Step == setup.Program })
	if sends {
		if err := s.fits(h, d); err != nil { // before anything of ours is there
			return nil, s.trouble(h, "push", err)
		}
	}
	_, there := h.Facts.Files[d.Manifest()]
	if !there {
		m := setup.NewManifest(d.Layout, h.Facts, s.Owner, time.Now())
		if err := h.conn.Run(ctx, setup.Prepare(m)); err != nil {
			return nil, s.trouble(h, "prepare", err)
		}
	}
	h.touched = true
	if !sends {
		return nil, nil
	}
	if err := s.send(ctx, h, d); err != nil {
		return nil, s.trouble(h, "push", err)
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c setup.Change) bool { return c.Step != setup.Program }), nil
}

// spare is what must be free on a host beside the program, in KiB.
const spare = 16 << 10

// fits is an error where the program has no place on a host.
func (s *Site) fits(h *Host, d setup.Desired) error {
	p, err := s.program(h.Facts.Arch)
	if err != nil {
		return err
	}
	info, err := os.Stat(p.path)
	if err != nil {
		return err
	}
	if free := h.Facts.FreeKiB; len(free) > 0 && free[0] < info.Size()>>10+spare {
		return fmt.Errorf("%d MiB are free in %s, and %d MiB are needed: give another install.prefix", free[0]>>10, d.Prefix, info.Size()>>20+spare>>10)
	}
	if noexec(h.Facts.Files["/proc/self/mountinfo"], d.Binary()) {
		return fmt.Errorf("%s is on a file system from which nothing can be executed (noexec): give another install.prefix", d.Prefix)
	}
	return nil
}

func (s *Site) send(ctx context.Context, h *Host, d setup.Desired) error {
	p, err := s.program(h.Facts.Arch)
	if err != nil {
		return err
	}
	path, unpack := p.path, ""
	if h.Facts.Programs["zstd"] != "" {
		if path, err = p.packed(); err != nil {
			return fmt.Errorf("pack the program: %w", err)
		}
		unpack = "zstd -dcq"
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = h.conn.Push(ctx, remote.File{Path: d.Binary(), Mode: fs.FileMode(0o755), Root: true, Content: f, SHA256: p.sha256, Unpack: unpack, Keep: true})
	return err
}

// noexec reports whether the file system of a path is mounted so, by mountinfo.
func noexec(mountinfo, path string) (no bool) {
	longest := 0
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		at := strings.TrimSuffix(fields[4], "/")
		if strings.HasPrefix(path, at+"/") && len(at) >= longest { // the last that was mounted is what is seen
			longest, no = len(at), strings.Contains(","+fields[5]+",", ",noexec,")
		}
	}
	return no
}

// ask has the program on a host do something there.
func (s *Site) ask(ctx context.Context, h *Host, r setup.Request) (report setup.Report, err error) {
	text, err := json.Marshal(r)
	if err != nil {
		return report, err
	}
	var said bytes.Buffer
	err = h.conn.Run(ctx, remote.Command{Args: []string{r.Desired.Binary(), "setup", "-"}, Root: true, Stdin: bytes.NewReader(text), Stdout: &said})
	if json.Unmarshal(said.Bytes(), &report) == nil && report.Error != "" {
		err = errors.New(report.Error)
		if report.Busy {
			err = fmt.Errorf("%w: %s", setup.ErrBusy, strings.TrimPrefix(report.Error, setup.ErrBusy.Error()+": "))
		}
	}
	return report, s.trouble(h, r.Do, err)
}
