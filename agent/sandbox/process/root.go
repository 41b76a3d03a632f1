package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/container"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/internal/thread"
)

// root is the files of all sandboxes of one function: a mount namespace that is
// made once, which each sandbox copies. It is read only; a sandbox mounts its own
// /tmp, /dev/shm and /proc.
type root struct {
	namespace *os.File
	argv, env []string
}

// roots are those of the functions, each made when the first sandbox needs it.
type roots struct {
	mu     sync.Mutex
	byCode map[string]*plot // by rootKey
}

// plot is where the root of one function is.
type plot struct {
	turn chan struct{} // of capacity 1: who has put something in may use what follows
	root *root         // nil until it is made
}

// rootKey is what a root depends on.
func rootKey(c sandbox.Config) string {
	return strings.Join([]string{c.Function.Runtime, c.Function.Builtin, c.Code, c.Image}, "\x00")
}

// of is the root for sandboxes of c. One that is being made, which may take long to unpack,
// holds up only those who need it.
func (r *roots) of(ctx context.Context, i *Isolation, c sandbox.Config) (*root, error) {
	r.mu.Lock()
	key := rootKey(c)
	p := r.byCode[key]
	if p == nil {
		p = &plot{turn: make(chan struct{}, 1)}
		r.byCode[key] = p
	}
	r.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, link.StartFailed("its root filesystem is not made yet: %w", context.Cause(ctx))
	}
	var err error
	if p.root == nil {
		p.root, err = i.makeRoot(ctx, c)
	}
	return p.root, err
}

func (i *Isolation) makeRoot(ctx context.Context, c sandbox.Config) (*root, error) {
	s := rootSpec{hidden: i.options.Dir}
	var err error
	interpreter, env := "", []string{"PATH=" + os.Getenv("PATH")}
	if c.Image != "" {
		if i.options.Store == nil {
			return nil, errors.New("this agent has no images")
		}
		if c.Function.Image != "" {
			return nil, fmt.Errorf("function %s is an image with a program of its own: isolation process puts code on a base image, and containerd and docker run both", c.Function.Name)
		}
		image, err := i.options.Store.Unpack(ctx, c.Image)
		if err != nil {
			return nil, err
		}
		s.layers, env = image.Layers, append([]string{"PATH=" + oci.Path}, image.Config.Env...)
		if interpreter = image.Program("python3"); interpreter == "" && (c.Function.Runtime == "python3" || c.Function.Runtime == shim.PythonCell) {
			return nil, fmt.Errorf("the base of function %s has no python3 in %s", c.Function.Name, oci.Path)
		}
	}
	made := &root{}
	if made.argv, made.env, s.binds, err = shim.Inside(c.Function, c.Code, i.options.Dir, interpreter); err != nil {
		return nil, err
	}
	made.env = container.Merge([]string{"HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8"}, env, made.env)
	if made.namespace, err = newRoot(i.rootAt(), s); err != nil {
		return nil, err
	}
	return made, nil
}

func (r *roots) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, p := range r.byCode {
		if p.root != nil {
			errs = append(errs, p.root.namespace.Close())
		}
	}
	clear(r.byCode)
	return errors.Join(errs...)
}

// rootSpec says what is in a root.
type rootSpec struct {
	layers []string // of the image, the lowest first; none for the files of this host
	hidden string   // a folder of this host that is empty in it, "" for none
	binds  []shim.Bind
}

// newRoot makes a root, on the empty folder at, in which nothing is left.
func newRoot(at string, s rootSpec) (namespace *os.File, err error) {
	var made sync.WaitGroup
	made.Go(func() {
		thread.Own(func() { namespace, err = s.make(at) }) // it is in the namespace, and ends
	})
	made.Wait()
	return namespace, err
}

// devices are all that a sandbox has.
var devices = []string{"null", "zero", "full", "random", "urandom"}

func (s rootSpec) make(at string) (*os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return nil, fmt.Errorf("unshare mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	namespace, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return nil, err
	}
	if err := s.fill(at); err != nil {
		return nil, errors.Join(fmt.Errorf("make a root filesystem: %w", err), namespace.Close())
	}
	return namespace, nil
}

func (s rootSpec) fill(at string) error {
	if err := mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=1m,mode=0755"); err != nil {
		return err
	}
	newRoot := at
	if len(s.layers) == 0 {
		if err := s.host(at); err != nil {
			return err
		}
	} else {
		skeleton, merged := filepath.Join(at, "skeleton"), filepath.Join(at, "merged")
		if err := errors.Join(os.Mkdir(skeleton, 0o755), os.Mkdir(merged, 0o755), s.skeleton(skeleton)); err != nil {
			return err
		}
		lower := slices.Clone(s.layers)
		slices.Reverse(lower)
		if err := mount("overlay", merged, "overlay", unix.MS_NOSUID|unix.MS_NODEV, "lowerdir="+strings.Join(append([]string{skeleton}, lower...), ":")); err != nil {
			return err
		}
		newRoot = merged
	}
	if err := s.mounts(newRoot); err != nil {
		return err
	}
	if err := unix.MountSetattr(-1, newRoot, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}); err != nil {
		return fmt.Errorf("make %s read only: %w", newRoot, err)
	}
	return pivot(newRoot)
}

// pivot makes dir the root of the thread's mount namespace, and lets go of the old one.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", dir, err)
	}
	return unix.Unmount(".", unix.MNT_DETACH)
}

// host is the files of this host below at, but what is hidden.
func (s rootSpec) host(at string) error {
	host, err := container.FindHost()
	if err != nil {
		return err
	}
	for _, from := range host.Folders {
		to := filepath.Join(at, from)
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := bind(from, to, unix.MS_REC); err != nil {
			return err
		}
	}
	if err := s.hide(at, host); err != nil {
		return err
	}
	for name, target := range host.Links {
		if err := os.Symlink(target, filepath.Join(at, name)); err != nil {
			return err
		}
	}
	return s.skeleton(at)
}

// hide makes empty what sandboxes do not see.
func (s rootSpec) hide(at string, host container.Host) error {
	masks, err := host.Masks(s.hidden)
	if err != nil {
		return err
	}
	for _, dir := range masks.Folders {
		if err := mount("tmpfs", filepath.Join(at, dir), "tmpfs", shmFlags, "size=4k,mode=0755"); err != nil {
			return err
		}
	}
	for _, file := range masks.Files {
		if err := bind("/dev/null", filepath.Join(at, file), 0); err != nil {
			return err
		}
	}
	for _, dir := range masks.Keep {
		to := filepath.Join(at, dir)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := bind(dir, to, unix.MS_REC); err != nil {
			return err
		}
	}
	return nil
}

// skeleton is where things are mounted.
func (s rootSpec) skeleton(at string) error {
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "run", "ainur", "ainur/run", "ainur/code"} {
		if err := os.Mkdir(filepath.Join(at, dir), 0o755); err != nil {
			return err
		}
	}
	for _, b := range s.binds {
		info, err := os.Stat(b.Host)
		if err != nil {
			return err
		}
		to := filepath.Join(at, b.Inside)
		if info.IsDir() {
			err = os.MkdirAll(to, 0o755)
		} else {
			err = touch(to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s rootSpec) mounts(at string) error {
	dev := filepath.Join(at, "dev")
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=64k,mode=0755"); err != nil {
		return err
	}
	for _, name := range devices {
		to := filepath.Join(dev, name)
		if err := touch(to); err != nil {
			return err
		}
		if err := mount("/dev/"+name, to, "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	err := os.Mkdir(filepath.Join(dev, "shm"), 0o755)
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		err = errors.Join(err, os.Symlink(target, filepath.Join(dev, name)))
	}
	err = errors.Join(err, bind("/sys", filepath.Join(at, "sys"), 0))
	for _, b := range s.binds {
		err = errors.Join(err, bind(b.Host, filepath.Join(at, b.Inside), 0))
	}
	return err
}

// touch makes an empty file without opening it: a process that is being started at
// this moment would have it open for writing until it is executed, and what is open
// for writing cannot be made read only.
func touch(path string) error {
	if err := unix.Mknod(path, unix.S_IFREG|0o644, 0); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return nil
}

// bind mounts a file or folder of this host, in which devices are none. With MS_REC,
// what is mounted below comes with it.
func bind(from, to string, recursive uintptr) error {
	if err := mount(from, to, "", unix.MS_BIND|recursive, ""); err != nil {
		return err
	}
	if err := unix.MountSetattr(-1, to, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID}); err != nil {
		return fmt.Errorf("have no devices in %s: %w", to, err)
	}
	return nil
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
