package main

import (
	"os"
	"strings"
	"testing"
)

// policies.txtar, which is simulated and run, names every policy there is.
func TestEveryPolicyRuns(t *testing.T) {
	const script = "testdata/script/policies.txtar"
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	_, file, _ := strings.Cut(string(text), "-- all.ainur.hcl --")
	for _, e := range catalogue() {
		kind := strings.TrimSuffix(e.Kind, " policy")
		named := func(name string) bool {
			return strings.Contains(file, kind+` = "`+name+`"`) || strings.Contains(file, kind+` "`+name+`"`)
		}
		found := named(e.Name)
		for _, other := range e.Aliases {
			found = found || named(other)
		}
		if !found {
			t.Errorf("%s %q is not run by %s", e.Kind, e.Name, script)
		}
	}
}
