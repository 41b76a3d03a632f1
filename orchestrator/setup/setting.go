package setup

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/orchestrator/facts"
)

// Setting is a value that files of the kernel are to have.
type Setting struct {
	Name  string `json:"name"` // to be shown
	Path  string `json:"path"` // of the file, or a pattern of paths
	Value string `json:"value"`
	Why   string `json:"why"`
	Tune  bool   `json:"tune,omitempty"` // for the time of a run
}

// paths are the files that the host has for it.
func (s Setting) paths(h *facts.Host) (all []string) {
	for path := range h.Files {
		if ok, err := filepath.Match(s.Path, path); err == nil && ok {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// is what the host has: of several files one that is otherwise. It is not ok where
// the host has nothing of the kind.
func (s Setting) is(h *facts.Host) (value string, ok bool) {
	for _, path := range s.paths(h) {
		if value, ok = valueIn(h.Files[path]), true; value != s.Value {
			break
		}
	}
	return value, ok
}

// valueIn is the value in a file of the kernel, in brackets where it shows all that may be.
func valueIn(text string) string {
	text = strings.TrimSpace(text)
	if word := resource.Chosen(text); word != "" {
		return word
	}
	return strings.Join(strings.Fields(text), " ")
}
