package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/atomicfile"
	"github.com/ainur-faas/ainur/internal/digest"
)

// Options of a Supervisor.
type Options struct {
	Dir        string // for runs; made if need be
	Executable string // this binary
	// Reclaim removes what the agents of a run left behind and names it; dir is the
	// run's folder. Whoever calls it knows that the agents have ended.
	Reclaim func(run, dir string) (removed []string, err error)
}

// Supervisor is the Host that this process runs on. One at a time holds its folder.
type Supervisor struct {
	Options
	lock *os.File
	mu   sync.Mutex
	runs map[string]map[string]*daemon // by run and name
}

// Open takes the folder, and learns what earlier supervisors left in it.
func Open(o Options) (*Supervisor, error) {
	s := &Supervisor{Options: o, runs: map[string]map[string]*daemon{}}
	if err := os.MkdirAll(filepath.Join(o.Dir, "runs"), 0o700); err != nil {
		return nil, err
	}
	if err := private(o.Dir); err != nil {
		return nil, err
	}
	if err := s.acquire(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// private makes sure that nobody else could have put anything into dir: it may be
// in a folder where everybody can make one of its name.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must be a folder of user %d that nobody else can write to; give another with AINUR_STATE_DIR", dir, os.Getuid())
	}
	return nil
}

func (s *Supervisor) acquire(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // only for the message
		return errors.Join(fmt.Errorf("%w: %s holds %s", ErrLocked, strings.TrimSpace(string(holder)), path), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintf(f, "pid %d\n", os.Getpid()); err != nil {
		return errors.Join(err, f.Close())
	}
	s.lock = f
	return nil
}

// recover finds the daemons of earlier supervisors.
func (s *Supervisor) recover() error {
	records, err := filepath.Glob(filepath.Join(escape(s.Dir), "runs", "*", "*.daemon"))
	if err != nil {
		return err
	}
	for _, path := range records {
		d, err := recovered(strings.TrimSuffix(path, ".daemon"))
		if err != nil {
			return fmt.Errorf("recover %s: %w", path, err)
		}
		s.add(filepath.Base(filepath.Dir(path)), d)
	}
	return nil
}

func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (s *Supervisor) add(run string, d *daemon) {
	if s.runs[run] == nil {
		s.runs[run] = map[string]*daemon{}
	}
	s.runs[run][d.record.Task.Name] = d
}

// Close ends every daemon and gives the folder back.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*daemon
	for _, run := range s.runs {
		all = slices.AppendSeq(all, maps.Values(run))
	}
	stopAll(all)
	return s.lock.Close()
}

func stopAll(all []*daemon) {
	var stopping sync.WaitGroup
	for _, d := range all {
		if d.process != nil {
			stopping.Go(func() { d.stop() })
		}
	}
	stopping.Wait()
}

// path is that of a file or folder of a run; it may be a name that a function or
// another host gave.
func (s *Supervisor) path(run, path string) (string, error) {
	if run == "" || run == "." || run != filepath.Base(run) || !filepath.IsLocal(run) || path != "" && !filepath.IsLocal(path) {
		return "", fmt.Errorf("%w: %q of run %q", ErrNotFound, path, run)
	}
	return filepath.Join(s.Dir, "runs", run, path), nil
}

// Run makes the folder of a run, if need be, and names it.
func (s *Supervisor) Run(run string) (string, error) {
	dir, err := s.path(run, "")
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// Facts is Host.Facts.
func (*Supervisor) Facts(context.Context) (spec.Facts, error) { return resource.HostFacts(), nil }

// Clock is Host.Clock: they are the same.
func (*Supervisor) Clock(context.Context) (Clock, error) { return Clock{}, nil }

// Start is Host.Start.
func (s *Supervisor) Start(_ context.Context, t Task) error {
	dir, err := s.Run(t.Run)
	if err != nil {
		return err
	}
	if t.Name == "" || t.Name != filepath.Base(t.Name) || !filepath.IsLocal(t.Name) {
		return fmt.Errorf("%w: daemon %q", ErrNotFound, t.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.runs[t.Run][t.Name]; d != nil {
		same := t
		same.Files = nil
		exit := d.status().Exit
		switch {
		case !reflect.DeepEqual(d.record.Task, same):
			return fmt.Errorf("%w: %s", ErrExists, t.Name)
		case exit == nil || !exit.Lost:
			return nil
		}
	}
	d, err := start(s.Executable, dir, t)
	if err != nil {
		return err
	}
	s.add(t.Run, d)
	return nil
}

func (s *Supervisor) find(run, name string) (*daemon, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.runs[run][name]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("%w: daemon %q of run %q", ErrNotFound, name, run)
}

// Follow is Host.Follow.
func (s *Supervisor) Follow(ctx context.Context, run, name string, from int, line func([]byte)) (Exit, error) {
	d, err := s.find(run, name)
	if err != nil {
		return Exit{}, err
	}
	return d.follow(ctx, from, line)
}

// Stop is Host.Stop.
func (s *Supervisor) Stop(_ context.Context, run, name string) (Exit, error) {
	d, err := s.find(run, name)
	if err != nil {
		return Exit{}, err
	}
	select {
	case <-d.ended:
		return *d.exit, nil
	default:
		return d.stop(), nil
	}
}

// Put is Host.Put.
func (s *Supervisor) Put(_ context.Context, run, path string, content io.Reader) error {
	at, err := s.path(run, path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(at, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, content)
		return err
	})
}

// Files is Host.Files.
func (s *Supervisor) Files(_ context.Context, run, path string) (all []File, err error) {
	root, err := s.path(run, "")
	if err != nil {
		return nil, err
	}
	top, err := s.path(run, path)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(top, func(at string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at == top {
			return nil
		}
		if err != nil || !e.Type().IsRegular() { // functions can reach folders of agents: what is no plain file is not ours
			return err
		}
		content, err := open(at)
		if err != nil {
			return err
		}
		f := File{}
		f.SHA256, f.Size, err = digest.Of(content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
		f.Path, err = filepath.Rel(root, at)
		all = append(all, f)
		return err
	})
	return all, err
}

// open opens a plain file, and waits for nothing that somebody may have put there instead.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no plain file", ErrNotFound, path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Get is Host.Get.
func (s *Supervisor) Get(_ context.Context, run, path string, offset int64, to io.Writer) error {
	at, err := s.path(run, path)
	if err != nil {
		return err
	}
	f, err := open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: file %q of run %q", ErrNotFound, path, run)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// Forget is Host.Forget.
func (s *Supervisor) Forget(_ context.Context, run string) (removed []string, err error) {
	dir, err := s.path(run, "")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	daemons := slices.Collect(maps.Values(s.runs[run]))
	delete(s.runs, run)
	s.mu.Unlock()
	stopAll(daemons)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if removed, err = s.Reclaim(run, dir); err != nil {
		return removed, fmt.Errorf("reclaim what run %s left: %w", run, err)
	}
	return removed, os.RemoveAll(dir)
}

// Runs are those that have a folder here, by id.
func (s *Supervisor) Runs() ([]Run, error) {
	entries, err := os.ReadDir(filepath.Join(s.Dir, "runs"))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Run
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		run := Run{ID: e.Name()}
		for _, name := range slices.Sorted(maps.Keys(s.runs[run.ID])) {
			run.Daemons = append(run.Daemons, s.runs[run.ID][name].status())
		}
		all = append(all, run)
	}
	return all, nil
}
