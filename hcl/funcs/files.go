package funcs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Abs makes path absolute: it counts from the folder root, and where nothing
// is there, as may be for a path from the command line, from the working directory.
func Abs(root, path string) string {
	if under := filepath.Join(root, path); !filepath.IsAbs(path) && (exists(under) || !exists(path)) {
		path = under
	}
	abs, err := filepath.Abs(path)
	if err != nil { // the working directory is gone
		return path
	}
	return abs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var anyPath = []Param{{"path", "absolute, or from the folder of the file"}}

// fileFunctions are the functions that read files, and those on paths.
func fileFunctions(o Options) []entry {
	return []entry{
		{Doc: Doc{
			Name: "file", Summary: "The text of a file.",
			Params:  anyPath,
			Example: `file("hello.txt")`, Result: `"hello"`,
		}, fn: onPath(func(p string) (string, error) { return readText(Abs(o.Root, p)) })},
		{Doc: Doc{
			Name: "fileexists", Summary: "Whether a path is a file.",
			Params:  anyPath,
			Example: `fileexists("missing.txt")`, Result: `false`,
		}, fn: static(cty.Bool, func(args []cty.Value) (cty.Value, error) {
			info, err := os.Stat(Abs(o.Root, args[0].AsString()))
			return cty.BoolVal(err == nil && info.Mode().IsRegular()), nil
		}, cty.String)},
		{Doc: Doc{
			Name: "fileset", Summary: "The files in a folder whose paths match a pattern, sorted.",
			Params:  []Param{{"folder", "absolute, or from the folder of the file"}, {"pattern", "* is any part of a name, ? a character, [ab] one of two, and ** any folders"}},
			Example: `fileset(".", "**/*.csv")`, Result: `["data.csv", "traces/day1.csv"]`,
		}, fn: static(cty.List(cty.String), func(args []cty.Value) (cty.Value, error) {
			return fileset(Abs(o.Root, args[0].AsString()), args[1].AsString())
		}, cty.String, cty.String)},
		{Doc: Doc{
			Name: "filesha256", Summary: "The SHA-256, in hex, of a file.",
			Params:  anyPath,
			Example: `filesha256("hello.txt")`, Result: `"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`,
		}, fn: onPath(func(p string) (string, error) { return fileHash(Abs(o.Root, p)) })},
		{Doc: Doc{
			Name: "templatefile", Summary: "The text of a file in which ${name} and %{ for } are replaced.",
			Params:  []Param{{"path", "absolute, or from the folder of the file"}, {"values", "an object: the names that the file may use"}},
			Example: `templatefile("greeting.tmpl", { name = "Ada" })`, Result: `"Hello Ada!"`,
		}, fn: templatefile(o)},
		{Doc: Doc{
			Name: "abspath", Summary: "A path from the root of the file system.",
			Params:  anyPath,
			Example: `abspath("/data/../traces")`, Result: `"/traces"`,
		}, fn: onPath(func(p string) (string, error) { return Abs(o.Root, p), nil })},
		{Doc: Doc{
			Name: "basename", Summary: "The last part of a path.",
			Params:  []Param{{"path", "any path"}},
			Example: `basename("traces/day1.csv")`, Result: `"day1.csv"`,
		}, fn: onPath(func(p string) (string, error) { return filepath.Base(p), nil })},
		{Doc: Doc{
			Name: "dirname", Summary: "A path without its last part.",
			Params:  []Param{{"path", "any path"}},
			Example: `dirname("traces/day1.csv")`, Result: `"traces"`,
		}, fn: onPath(func(p string) (string, error) { return filepath.Dir(p), nil })},
		{Doc: Doc{
			Name: "pathexpand", Summary: "A path with a leading ~ replaced by the home folder.",
			Params:  []Param{{"path", "any path"}},
			Example: `pathexpand("~/.ssh/config")`, Result: `"/home/ada/.ssh/config"`,
		}, fn: onPath(func(p string) (string, error) {
			rest, ok := strings.CutPrefix(p, "~")
			if !ok || rest != "" && rest[0] != '/' {
				return p, nil
			}
			home, err := os.UserHomeDir()
			return home + rest, err
		})},
	}
}

func onPath(f func(string) (string, error)) function.Function {
	return static(cty.String, func(args []cty.Value) (cty.Value, error) {
		s, err := f(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return cty.StringVal(s), nil
	}, cty.String)
}

// open opens a file. What is no file may have no end.
func open(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return os.Open(path)
}

func readText(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	switch {
	case err != nil:
		return "", err
	case len(b) > maxText:
		return "", fmt.Errorf("%s is over the limit of %d MiB", path, maxText>>20)
	case !utf8.Valid(b):
		return "", fmt.Errorf("%s is not UTF-8 text", path)
	}
	return string(b), nil
}

func fileHash(path string) (string, error) {
	f, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func fileset(folder, pattern string) (cty.Value, error) {
	s := finder{parts: strings.Split(filepath.ToSlash(pattern), "/")}
	for _, part := range s.parts {
		if _, err := filepath.Match(part, ""); err != nil || part == ".." || part == "" {
			return cty.NilVal, function.NewArgErrorf(1, "%q is no pattern of paths in the folder", pattern)
		}
	}
	if err := s.folder(folder, "", []int{0}); err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	if len(s.found) == 0 {
		return cty.ListValEmpty(cty.String), nil
	}
	slices.Sort(s.found)
	var names []cty.Value
	for _, f := range s.found {
		names = append(names, cty.StringVal(f))
	}
	return cty.ListVal(names), nil
}

// finder looks for the files whose paths match a pattern.
type finder struct {
	parts []string // of the pattern, between slashes
	seen  int      // files and folders
	found []string
}

// folder looks in a folder, whose path from the first one is rel. at are the
// parts of the pattern that its files may match.
func (f *finder) folder(root, rel string, at []int) error {
	entries, err := os.ReadDir(filepath.Join(root, rel))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if f.seen++; f.seen > maxList {
			return fmt.Errorf("looking for files is over the limit of %d files and folders; name the folder more closely", maxList)
		}
		next := f.step(at, e.Name())
		if len(next) == 0 {
			continue
		}
		name := filepath.Join(rel, e.Name())
		if e.IsDir() {
			if err := f.folder(root, name, next); err != nil {
				return err
			}
			continue
		}
		info, err := fs.Stat(os.DirFS(root), filepath.ToSlash(name)) // of what a link leads to
		if err == nil && info.Mode().IsRegular() && slices.Contains(next, len(f.parts)) {
			f.found = append(f.found, filepath.ToSlash(name))
		}
	}
	return nil
}

// step is the parts that may come after a name that is to match one of at. The
// end of the pattern is among them when it matches.
func (f *finder) step(at []int, name string) (next []int) {
	end := len(f.parts)
	for _, i := range at {
		for ; i < end && f.parts[i] == "**"; i++ { // it may stand for no folder
			next = append(next, i)
			if i == end-1 { // and at the end for a file
				next = append(next, end)
			}
		}
		if i == end {
			continue
		}
		if ok, err := filepath.Match(f.parts[i], name); ok && err == nil {
			next = append(next, i+1)
		}
	}
	slices.Sort(next)
	return slices.Compact(next)
}
