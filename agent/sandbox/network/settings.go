package network

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// settingsDir is where the kernel shows those of the reading thread's namespace.
const settingsDir = "/proc/sys/net"

// settings are what the new namespaces of a pool have in common below settingsDir.
type settings struct {
	mu     sync.Mutex
	values map[string]string // by path; nil when not known
}

// learn reads the settings of the thread's namespace, a new one, if they are
// not known.
func (s *settings) learn() (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values, err = readSettings()
	}
	return err
}

// differ names the settings of the thread's namespace that are not those of a
// new one. What is known is then forgotten: it may be the host that has changed.
func (s *settings) differ() (differences []string, err error) {
	now, err := readSettings()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if value, known := s.values[path]; !known || value != now[path] {
			differences = append(differences, "setting "+strings.TrimPrefix(path, settingsDir+"/"))
		}
	}
	if len(differences) > 0 || len(now) != len(s.values) {
		s.values = nil
	}
	return differences, nil
}

// volatile are settings that the kernel itself changes.
var volatile = []string{"nf_conntrack_count"}

// readSettings reads those of the thread's namespace. What cannot be read
// counts as empty.
func readSettings() (values map[string]string, err error) {
	values = map[string]string{}
	err = filepath.WalkDir(settingsDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains(volatile, d.Name()) {
			return err
		}
		b, _ := os.ReadFile(path)
		values[path] = string(b)
		return nil
	})
	return values, err
}
