package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/testenv"
)

var update = flag.Bool("update", false, "rewrite the expected output inside testdata/script")

// TestMain makes this binary the program "ainur" on the PATH of every test.
func TestMain(m *testing.M) {
	shim.Builtin()
	testscript.Main(m, map[string]func(){"ainur": main})
}

// TestScript runs the verbs as a user does. A script whose name begins with
// python_ needs it.
func TestScript(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		name := filepath.Base(script)
		t.Run(name, func(t *testing.T) {
			if len(name) > 7 && name[:7] == "python_" {
				testenv.Require(t, testenv.Python)
			}
			testscript.Run(t, testscript.Params{
				Files: []string{script}, UpdateScripts: *update, RequireExplicitExec: true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("AINUR_STATE_DIR", filepath.Join(e.WorkDir, "state"))
					e.Setenv("EXAMPLES", examples)
					e.Setenv("DESIGNS", filepath.Join(examples, "..", "cmd", "ainur", "testdata", "designs"))
					e.Setenv("GOCACHE", os.Getenv("GOCACHE"))
					e.Setenv("GOPATH", os.Getenv("GOPATH"))
					return nil
				},
			})
		})
	}
}
