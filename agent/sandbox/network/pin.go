package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// pins is where namespaces are kept by a bind mount when Options.Dir is "".
const pins = "/run/ainur/netns"

func (o owner) pins(dir string) string       { return filepath.Join(dir, o.run, o.name) }
func (o owner) pin(dir string, n int) string { return filepath.Join(o.pins(dir), strconv.Itoa(n)) }

// pinnedBelow is dir, or where pins are by default.
func pinnedBelow(dir string) string {
	if dir == "" {
		return pins
	}
	return dir
}

// claim makes the folder of an owner's pins.
func claim(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: give each pool of a run a name of its own", dir)
	}
	return err
}

// current is the namespace of the thread that opens it.
const current = "/proc/thread-self/ns/net"

// inside runs f on a thread that enter has put into another namespace, and
// leads it back to home. A thread that cannot go back is ended.
func inside(home *os.File, enter, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := enter(); err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err := f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			done <- errors.Join(err, fmt.Errorf("go back to the network of the host: %w", back))
			return // the thread ends with the goroutine, because it is locked
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// enter puts the thread into the namespace of a pin.
func enter(pin string) error {
	fd, err := unix.Open(pin, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", pin, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", pin, err)
	}
	return nil
}

// pinCurrent keeps the namespace of the thread at path, a new file.
func pinCurrent(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := unix.Mount(current, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("bind the network namespace to %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// unpin removes a pin: nothing mounted, or nothing there, is fine.
func unpin(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unpinAll removes the folder of an owner's pins with all of them, and that of
// the run with its last owner.
func (h *host) unpinAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, unpin(filepath.Join(dir, e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return h.alone(func() error { // no pool makes its folder in that of the run
		if err := os.Remove(dir); err != nil {
			return err
		}
		if err := os.Remove(filepath.Dir(dir)); !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}
