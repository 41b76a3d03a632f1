// Package container is what containers have in common, whichever daemon makes them.
package container

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/link"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// PIDs is how many processes and threads a sandbox may have.
const PIDs = 512

// Folders are what a root filesystem has beside the files of an image or a host.
var Folders = append([]string{"/ainur", "/dev", "/proc", "/run", "/sys", "/tmp"}, shim.Mountpoints.Folders...)

// Host is the files of this host, as a sandbox sees them that has no image.
type Host struct {
	Folders []string          // to bind: /usr, /etc ...
	Links   map[string]string // symbolic links to make: /bin to usr/bin
}

// FindHost looks at what is in the root of this host.
func FindHost() (h Host, err error) {
	entries, err := os.ReadDir("/")
	if err != nil {
		return h, err
	}
	h.Links = map[string]string{}
	for _, e := range entries {
		name := "/" + e.Name()
		switch {
		case slices.Contains(shim.HostHidden, e.Name()):
		case e.Type()&os.ModeSymlink != 0:
			if h.Links[name], err = os.Readlink(name); err != nil {
				return h, err
			}
		case e.IsDir():
			h.Folders = append(h.Folders, name)
		}
	}
	return h, nil
}

// private is what nobody but root reads on a host. Sandboxes have user 0, without
// capabilities, but still the owner of such files.
var private = []string{
	"/root", "/var/lib/ainur", "/etc/ssl/private", "/etc/ssh/ssh_host_*_key", "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-",
	"/etc/sudoers", "/etc/sudoers.d",
}

// Masks are what sandboxes on the files of a host do not see.
type Masks struct {
	Folders []string // an empty filesystem is mounted over each
	Files   []string // they cannot be read
	Keep    []string // in Folders, and seen all the same: the interpreter
}

// Masks are what is private on this host, and the agent's folder dir, in which are the
// sockets of others; "" is none.
func (h Host) Masks(dir string) (m Masks, err error) {
	for _, pattern := range private {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return m, err
		}
		for _, name := range found {
			info, err := os.Lstat(name)
			switch {
			case err != nil || !h.shows(name):
			case info.IsDir():
				m.Folders = append(m.Folders, name)
			case info.Mode().IsRegular():
				m.Files = append(m.Files, name)
			}
		}
	}
	if dir != "" {
		if dir, err = filepath.Abs(dir); err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
		if err != nil {
			return m, err
		}
		if h.shows(dir) && !m.hides(dir) {
			m.Folders = append(m.Folders, dir)
		}
	}
	for _, folder := range shim.PythonFolders() {
		if m.hides(folder) {
			m.Keep = append(m.Keep, folder)
		}
	}
	return m, nil
}

// hides reports whether something is in one of the folders.
func (m Masks) hides(name string) bool {
	return slices.ContainsFunc(m.Folders, func(folder string) bool { return within(name, folder) })
}

// shows reports whether a sandbox sees something of the host, but for masks.
func (h Host) shows(name string) bool {
	return slices.ContainsFunc(h.Folders, func(folder string) bool { return within(name, folder) })
}

func within(name, folder string) bool { return strings.HasPrefix(name+"/", folder+"/") }

// Skeleton is a layer of an image, as a tar, with what things are mounted on, and
// those of the host where h has any.
func Skeleton(h Host) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	var errs []error
	add := func(kind byte, name, link string, mode int64) {
		errs = append(errs, w.WriteHeader(&tar.Header{Typeflag: kind, Name: strings.TrimPrefix(name, "/"), Linkname: link, Mode: mode}))
	}
	for _, dir := range slices.Concat(Folders, h.Folders) {
		add(tar.TypeDir, dir+"/", "", 0o755)
	}
	for _, file := range shim.Mountpoints.Files {
		add(tar.TypeReg, file, "", 0o644)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Links)) {
		add(tar.TypeSymlink, name, h.Links[name], 0o777)
	}
	return b.Bytes(), errors.Join(append(errs, w.Close())...)
}

// Environment is that of an image, of the command in it and of the function; where
// several have a variable, the last of them counts.
func Environment(image, command []string, f spec.Function) []string {
	env := []string{"PATH=" + oci.Path, "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8"}
	own := []string{wire.Socket + "=" + path.Join(shim.InsideRun, link.SocketName)}
	for name, value := range f.Env {
		own = append(own, name+"="+value)
	}
	return Merge(env, image, command, own)
}

// Merge is the variables of all lists, sorted; the last of each name counts.
func Merge(lists ...[]string) []string {
	last := map[string]string{}
	for _, v := range slices.Concat(lists...) {
		name, _, _ := strings.Cut(v, "=")
		last[name] = v
	}
	return slices.Sorted(maps.Values(last))
}

// IluvatarPort is where an image of Ilúvatar serves HTTP.
const IluvatarPort = 8080

// Address is where a container listens.
type Address struct {
	Host    string
	Reached bool // by the agent, over a network
}

// Command is what a container of c runs, with its environment and what must be
// bound: a function's code, or what its image says that is a function itself. What is
// needed on disk is written to dir once.
func Command(c sandbox.Config, image v1.Config, dir string, a Address) (argv, env []string, binds []shim.Bind, err error) {
	f := c.Function
	if f.Image == "" {
		python := ""
		if c.Image != "" {
			python = "python3" // the runtime looks for it in the image's PATH
		}
		return shim.Contained(f, c.Code, dir, python)
	}
	argv = slices.Concat(image.Entrypoint, image.Cmd)
	switch {
	case f.Server == "http" && !a.Reached:
		return nil, nil, nil, fmt.Errorf("function %s: server = \"http\" is reached over a network: set network = \"bridge\" in the worker's container block", f.Name)
	case f.Server != "" && len(argv) == 0:
		argv = link.IluvatarCommand
	case len(argv) == 0:
		return nil, nil, nil, fmt.Errorf("function %s: its image says nothing to run: it has neither entrypoint nor command", f.Name)
	}
	if f.Server != "" {
		env = link.IluvatarEnv(a.Host, IluvatarPort, f.Timeout)
	}
	return argv, env, nil, nil
}

// Folder is where a container of f begins.
func Folder(f spec.Function, image v1.Config) string {
	switch {
	case f.Image == "" || image.WorkingDir == "" && f.Server == "":
		return "/"
	case image.WorkingDir == "":
		return "/app"
	default:
		return image.WorkingDir
	}
}
