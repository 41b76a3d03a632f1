package stem

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/internal/thread"
)

// Binding is what a sandbox gets in its namespaces, before it knows its function.
type Binding struct {
	Code, At  string   // a folder of the host, and the folder in the cell where it is mounted, read only; "" for none
	Hostname  string   // "" leaves it
	Temporary []string // filesystems in memory, to be sized
	Size      int64    // of each, in bytes
	NoDevices bool     // no file of its root filesystem is a device, or gives rights
}

// Binder changes the namespaces of cells from outside, which takes root. It has a
// thread that goes there and back.
type Binder struct {
	own      int         // pidfd of this process
	requests chan bindTo // closed by Close
	ended    sync.WaitGroup
}

type bindTo struct {
	pid  int
	what Binding
	done chan error // of capacity 1
}

// NewBinder starts the thread, which ends at Close.
func NewBinder() (*Binder, error) {
	own, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	b := &Binder{own: own, requests: make(chan bindTo)}
	prepared := make(chan error, 1)
	b.ended.Go(func() {
		thread.Own(func() {
			prepared <- unix.Unshare(unix.CLONE_FS) // a thread that shares its working directory cannot change its mounts
			for r := range b.requests {
				r.done <- b.bind(r.pid, r.what)
			}
		})
	})
	if err := <-prepared; err != nil {
		return nil, errors.Join(fmt.Errorf("unshare the working directory: %w", err), b.Close())
	}
	return b, nil
}

// Close ends the thread.
func (b *Binder) Close() error {
	if b == nil {
		return nil
	}
	close(b.requests)
	b.ended.Wait()
	return unix.Close(b.own)
}

// Bind changes the namespaces of the process pid, which is not reaped before Bind returns.
func (b *Binder) Bind(pid int, what Binding) error {
	r := bindTo{pid, what, make(chan error, 1)}
	b.requests <- r
	return <-r.done
}

func (b *Binder) bind(pid int, what Binding) (err error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(pidfd)
	tree := -1
	if what.Code != "" {
		if tree, err = detached(what.Code); err != nil {
			return err
		}
		defer unix.Close(tree)
	}
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS
	if err := unix.Setns(pidfd, namespaces); err != nil {
		return fmt.Errorf("enter the namespaces of process %d: %w", pid, err)
	}
	defer func() {
		if err := unix.Setns(b.own, namespaces); err != nil { // there is no going on without
			panic(fmt.Sprintf("stem: the thread cannot go back to its namespaces: %v", err))
		}
	}()
	return what.inside(tree)
}

// detached is a mount of the folder dir, read only, that is nowhere yet.
func detached(dir string) (tree int, err error) {
	tree, err = unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("clone the mount of %s: %w", dir, err)
	}
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attributes); err != nil {
		return -1, errors.Join(fmt.Errorf("make %s read only: %w", dir, err), unix.Close(tree))
	}
	return tree, nil
}

// inside does what there is to do inside the namespaces.
func (b Binding) inside(tree int) error {
	if tree >= 0 {
		if err := unix.MoveMount(tree, "", unix.AT_FDCWD, b.At, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount code on %s: %w", b.At, err)
		}
	}
	for _, dir := range b.Temporary {
		if err := resize(dir, b.Size); err != nil {
			return fmt.Errorf("resize %s: %w", dir, err)
		}
	}
	if b.NoDevices {
		if err := unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}); err != nil {
			return fmt.Errorf("have no devices in its root: %w", err)
		}
	}
	if b.Hostname == "" {
		return nil
	}
	return unix.Sethostname([]byte(b.Hostname))
}

// resize sets the size of a filesystem in memory, and leaves its other options.
func resize(dir string, size int64) error {
	fd, err := unix.Fspick(unix.AT_FDCWD, dir, unix.FSPICK_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.FsconfigSetString(fd, "size", strconv.FormatInt(size, 10)); err != nil {
		return err
	}
	return unix.FsconfigReconfigure(fd)
}
