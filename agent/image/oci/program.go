package oci

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Program is the path of a program in the image, as its PATH finds it, or "". Links of the
// image lead nowhere else.
func (r Root) Program(name string) string {
	at, _ := find(name, r.lookUp)
	return at
}

// lookUp says what is at a path of an image, given without the first slash and with folders
// alone above the last part: where a link leads, and what else it is.
type lookUp func(name string) (link string, mode fs.FileMode, ok bool)

// find returns the path of a program, and what that is with the links in it followed.
func find(name string, look lookUp) (at, real string) {
	for dir := range strings.SplitSeq(Path, ":") {
		at := path.Join(dir, name)
		if real, mode := resolve(at, look); mode.IsRegular() && mode.Perm()&0o111 != 0 {
			return at, real
		}
	}
	return "", ""
}

// maxLinks bounds the links in a path, as Linux does.
const maxLinks = 40

// resolve follows the links in the absolute path of a file. Its mode is that of an irregular
// one when there is none.
func resolve(name string, look lookUp) (real string, mode fs.FileMode) {
	at, rest := "", strings.Split(name, "/")
	mode = fs.ModeDir
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at, mode = path.Dir("/" + at)[1:], fs.ModeDir
			continue
		}
		next := path.Join(at, part)
		link, found, ok := look(next)
		if !ok || links > maxLinks {
			return "", fs.ModeIrregular
		}
		if found&fs.ModeSymlink == 0 {
			at, mode = next, found
			continue
		}
		links++
		rest = append(strings.Split(link, "/"), rest...)
		if path.IsAbs(link) {
			at = ""
		}
	}
	return "/" + at, mode
}

// lookUp looks in the layers as overlay puts them together.
func (r Root) lookUp(name string) (link string, mode fs.FileMode, ok bool) {
	folders := slices.Clone(r.Layers)
	slices.Reverse(folders) // the highest first
	file := ""
	for part := range strings.SplitSeq(name, "/") {
		if file, mode, folders = top(folders, part); file == "" {
			return "", 0, false
		}
	}
	if mode&fs.ModeSymlink != 0 {
		link, err := os.Readlink(file)
		return link, mode, err == nil
	}
	return "", mode, true
}

// top is the file with this name that is seen in folders which lie over each other, the
// highest first, or "". Of a folder it also returns those it is made of.
func top(folders []string, name string) (file string, mode fs.FileMode, merged []string) {
	for _, folder := range folders {
		at := filepath.Join(folder, name)
		info, err := os.Lstat(at)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			if len(merged) == 0 && !isWhiteout(info) {
				file, mode = at, info.Mode()
			}
			break
		}
		if merged = append(merged, at); len(merged) == 1 {
			file, mode = at, info.Mode()
		}
		if opaque(at) {
			break
		}
	}
	return file, mode, merged
}

// isWhiteout reports whether a file is overlay's mark for one that a layer removes.
func isWhiteout(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && stat.Rdev == 0
}

// opaque reports whether a folder hides those below it.
func opaque(dir string) bool {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}
