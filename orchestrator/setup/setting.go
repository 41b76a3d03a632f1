package setup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
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
	if s.Path == Swaps { // a kernel without swap has no file
		return []string{Swaps}
	}
	for path := range h.Files {
		if ok, err := filepath.Match(s.Path, path); err == nil && ok {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// Known reports whether the host has such a setting.
func (s Setting) Known(h *facts.Host) bool { return len(s.paths(h)) > 0 }

// is what the host has: of several files one that is otherwise. It is not ok where
// the host has nothing of the kind.
func (s Setting) is(h *facts.Host) (value string, ok bool) {
	for _, path := range s.paths(h) {
		if value, ok = Value(path, h.Files[path]), true; value != s.Value {
			break
		}
	}
	return value, ok
}

// Two settings are no files that can be written to.
const (
	Swaps      = "/proc/swaps"        // its value is devices with their priorities, or None
	IRQBalance = "service irqbalance" // its value is Active or something else
	None       = "none"
	Active     = "active"
	Inactive   = "inactive"
)

// Value is the one in the text of a setting's file: in brackets where it shows all that may be.
func Value(path, text string) string {
	text = strings.TrimSpace(text)
	if path == Swaps {
		return swapsIn(text)
	}
	if word := resource.Chosen(text); word != "" {
		return word
	}
	return strings.Join(strings.Fields(text), " ")
}

// swapsIn are the devices in the text of /proc/swaps, each with its priority after it.
func swapsIn(text string) string {
	var all []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) >= 5 && strings.HasPrefix(fields[0], "/") {
			all = append(all, fields[0]+" "+fields[4])
		}
	}
	if len(all) == 0 {
		return None
	}
	return strings.Join(all, ", ")
}

// current is the value that this host has.
func current(ctx context.Context, path string) (string, error) {
	if path == IRQBalance {
		out, _ := exec.CommandContext(ctx, "systemctl", "is-active", "irqbalance").Output() // it says so also by its status
		return strings.TrimSpace(string(out)), nil
	}
	text, err := os.ReadFile(path)
	if path == Swaps && errors.Is(err, fs.ErrNotExist) {
		return None, nil
	}
	return Value(path, string(text)), err
}

// assign gives this host a value.
func assign(ctx context.Context, path, value string) error {
	switch path {
	case IRQBalance:
		verb := "stop"
		if value == Active {
			verb = "start"
		}
		return systemctl(ctx, verb, "irqbalance")
	case Swaps:
		return swap(ctx, value)
	}
	return os.WriteFile(path, []byte(value+"\n"), 0)
}

// swap makes the devices in value, and no others, those that are swapped to.
func swap(ctx context.Context, value string) error {
	is, err := current(ctx, Swaps)
	if err != nil {
		return err
	}
	for device := range strings.SplitSeq(is, ", ") {
		if name, _, ok := strings.Cut(device, " "); ok && !slices.Contains(strings.Split(value, ", "), device) {
			if _, err := quietly(ctx, []string{"swapoff", name}); err != nil {
				return err
			}
		}
	}
	for device := range strings.SplitSeq(value, ", ") {
		name, priority, ok := strings.Cut(device, " ")
		if !ok || slices.Contains(strings.Split(is, ", "), device) {
			continue
		}
		args := []string{"swapon", name}
		if !strings.HasPrefix(priority, "-") { // which the kernel gives where nobody does
			args = []string{"swapon", "-p", priority, name}
		}
		if _, err := quietly(ctx, args); err != nil {
			return err
		}
	}
	return nil
}
