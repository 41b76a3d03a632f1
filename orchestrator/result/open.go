package result

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Open reads the run that ref names: the path of its directory, its id, the
// beginning of its id, "latest", or "<experiment>/latest"; all but the path are
// looked up in root.
func Open(ref, root string) (*Run, error) {
	for _, dir := range []string{ref, filepath.Join(root, ref)} {
		if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
			continue
		}
		real, err := filepath.EvalSymlinks(dir) // "latest" moves on, the run stays
		if err != nil {
			return nil, fmt.Errorf("open run: %w", err)
		}
		return read(real)
	}
	dirs, err := runDirs(root)
	if err != nil {
		return nil, err
	}
	matches := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool {
		return ref == "" || !strings.HasPrefix(filepath.Base(dir), strings.ToUpper(ref))
	})
	switch {
	case len(matches) == 1:
		return read(matches[0])
	case len(matches) > 1:
		return nil, fmt.Errorf("%q names %d runs, give more of the id: %s", ref, len(matches), strings.Join(ids(matches, 5), ", "))
	case len(dirs) == 0:
		return nil, fmt.Errorf("no run %q: %s holds no runs", ref, root)
	default:
		return nil, fmt.Errorf("no run %q in %s; the newest are %s", ref, root, strings.Join(ids(dirs, 3), ", "))
	}
}

// ids is the ids of the newest n runs.
func ids(dirs []string, n int) []string {
	var names []string
	for _, dir := range slices.Backward(dirs) {
		if names = append(names, filepath.Base(dir)); len(names) == n {
			break
		}
	}
	return names
}

// List reads the runs in root, oldest first. Runs that cannot be read are left
// out and told in the error.
func List(root string) ([]*Run, error) {
	dirs, err := runDirs(root)
	if err != nil {
		return nil, err
	}
	runs, errs := []*Run{}, []error{}
	for _, dir := range dirs {
		r, err := read(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = append(runs, r)
	}
	return runs, errors.Join(errs...)
}

// runDirs is the directories of the runs in root, oldest first. A root that is
// not there holds none.
func runDirs(root string) ([]string, error) {
	manifests, err := filepath.Glob(filepath.Join(escapeGlob(root), "*", "*", "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("list runs in %s: %w", root, err)
	}
	dirs := []string{}
	for _, path := range manifests {
		dir := filepath.Dir(path)
		if filepath.Base(dir) != "latest" && filepath.Base(filepath.Dir(dir)) != "latest" {
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(filepath.Base(a), filepath.Base(b)) })
	return dirs, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// read reads the run in dir, whatever is there of it: a run killed in the
// middle has a manifest, and the repeats that ended.
func read(dir string) (*Run, error) {
	r := &Run{Dir: dir, Repeats: []Repeat{}}
	if err := readJSON(r.path("manifest.json"), &r.Manifest); err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	if r.Manifest.Format != Format {
		return nil, fmt.Errorf("open run %s: its format is %q, this ainur reads %q", dir, r.Manifest.Format, Format)
	}
	var p planFile
	if err := errors.Join(readJSON(r.path("spec", "evaluated.json"), &r.Experiment), readJSON(r.path("plan.json"), &p)); err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r.Steps = p.Steps
	for _, s := range r.Steps {
		point := r.Point(s.Point)
		if point == nil {
			return nil, fmt.Errorf("open run %s: plan.json runs point %q, which spec/evaluated.json does not have", dir, s.Point)
		}
		folder := r.path(repeatFolder(*point, s.Repeat))
		var rep Repeat
		if err := readJSON(filepath.Join(folder, StatusFile), &rep); errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("open run: %w", err)
		}
		if err := readJSON(filepath.Join(folder, "metrics.json"), &rep.Metrics); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open run: %w", err)
		}
		r.Repeats = append(r.Repeats, rep)
	}
	if list, err := os.ReadFile(r.path(sealFile)); err == nil {
		r.SealSHA256 = sum(list)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r.Active = r.Manifest.State == Running && locked(r.path("ledger.jsonl"))
	return r, nil
}

// locked reports whether a process is writing the ledger.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // releases the lock, too
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Ledger reads the state changes. The last line of a run that was killed may be
// torn; it is left out.
func (r *Run) Ledger() ([]Entry, error) {
	f, err := os.Open(r.path("ledger.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries := []Entry{}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // no newline: the end, or torn
			return entries, nil
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read %s: line %d: %w", f.Name(), len(entries)+1, err)
		}
		entries = append(entries, e)
	}
}

// Files is the files of the run with their sizes, sorted.
func (r *Run) Files() ([]File, error) {
	var all []File
	err := filepath.WalkDir(r.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.Dir, path)
		all = append(all, File{filepath.ToSlash(rel), info.Size()})
		return err
	})
	return all, err
}

// File is one file of a run.
type File struct {
	Path string // from the run's directory, with slashes
	Size int64  // bytes
}
