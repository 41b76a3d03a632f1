package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDependencies compares docs/decisions/0000-dependencies.md, where each
// direct module has a line that says what it replaces, with go.mod.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, m := range mod.Require {
		if !m.Indirect {
			direct = append(direct, m.Path)
		}
	}
	slices.Sort(direct)

	doc, err := os.ReadFile("../../docs/decisions/0000-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, line := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| .+ \\|$").FindAllSubmatch(doc, -1) {
		listed = append(listed, string(line[1]))
	}
	if diff := cmp.Diff(direct, listed); diff != "" {
		t.Errorf("modules of go.mod (-) and of docs/decisions/0000-dependencies.md, sorted (+):\n%s", diff)
	}
}
