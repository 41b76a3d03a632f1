package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The scripts, whose files are simulated and run, name every policy there is: gpus.txtar those of GPUs in
// lists, policies.txtar each where it belongs.
func TestEveryPolicyRuns(t *testing.T) {
	file := func(script string) string {
		text, err := os.ReadFile("testdata/script/" + script)
		if err != nil {
			t.Fatal(err)
		}
		_, file, _ := strings.Cut(string(text), "-- all.ainur.hcl --")
		return file
	}
	gpus, all := file("gpus.txtar"), file("policies.txtar")
	for _, e := range catalogue() {
		kind := strings.TrimSuffix(e.Kind, " policy")
		named := func(name string) bool {
			quoted := `"` + name + `"`
			if kind == "gpu_queue" || kind == "placement" {
				return strings.Contains(gpus, quoted)
			}
			return strings.Contains(all, kind+" = "+quoted) || strings.Contains(all, kind+" "+quoted)
		}
		if !slices.ContainsFunc(append(e.Aliases, e.Name), named) {
			t.Errorf("%s %q is run by no script", e.Kind, e.Name)
		}
	}
}
