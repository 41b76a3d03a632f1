package orchestrator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked reports that another ainur works on this host.
var ErrLocked = errors.New("another ainur run holds the lock")

// State is the folder on a host where runs keep what must not outlive them:
// sockets, code, sandbox records. One run at a time holds its lock.
type State struct {
	dir  string
	lock *os.File
}

// StateDir is where State is when nothing else is asked for: AINUR_STATE_DIR,
// else a folder of this user's below the runtime or temporary directory.
func StateDir() string {
	if dir := os.Getenv("AINUR_STATE_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "ainur")
	}
	return filepath.Join(os.TempDir(), "ainur-"+strconv.Itoa(os.Getuid()))
}

// OpenState makes dir if need be and takes its lock.
func OpenState(dir string) (*State, error) {
	if err := os.MkdirAll(filepath.Join(dir, "runs"), 0o700); err != nil {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path) // only for the message
		return nil, errors.Join(fmt.Errorf("%w: %s holds %s", ErrLocked, strings.TrimSpace(string(holder)), path), f.Close())
	}
	if err := f.Truncate(0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := fmt.Fprintf(f, "pid %d\n", os.Getpid()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &State{dir: dir, lock: f}, nil
}

// private makes sure that nobody else could have put anything into dir: it may
// be in a folder where everybody can make one of its name.
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

// Run is the folder of one run, made if need be.
func (s *State) Run(id string) (string, error) {
	dir := filepath.Join(s.dir, "runs", id)
	return dir, os.MkdirAll(dir, 0o700)
}

// Leftovers are the ids of runs whose folders are still there. Whoever holds the
// lock knows that they have ended without cleaning up.
func (s *State) Leftovers() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "runs"))
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() {
			ids = append(ids, e.Name())
		}
	}
	return ids, nil
}

// Forget removes the folder of a run.
func (s *State) Forget(id string) error { return os.RemoveAll(filepath.Join(s.dir, "runs", id)) }

// Close gives the lock back.
func (s *State) Close() error { return s.lock.Close() }
