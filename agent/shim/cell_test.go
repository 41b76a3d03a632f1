package shim_test

import (
	"testing"

	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestCellOf(t *testing.T) {
	for name, tt := range map[string]struct {
		function spec.Function
		want     string
	}{
		"python":                       {spec.Function{Runtime: "python3", Env: map[string]string{"MINE": "x"}}, shim.PythonCell},
		"python reads it at its start": {spec.Function{Runtime: "python3", Env: map[string]string{"PYTHONHASHSEED": "1"}}, ""},
		"an executable starts later":   {spec.Function{Runtime: "exec", Env: map[string]string{"LD_PRELOAD": "x"}}, shim.ExecCell},
		"builtin":                      {spec.Function{Builtin: "hello"}, shim.ExecCell},
		"image":                        {spec.Function{Image: "oci-dir:x"}, ""},
		"wasm":                         {spec.Function{Runtime: "wasm"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := shim.CellOf(tt.function); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBinding(t *testing.T) {
	f := spec.Function{Runtime: "python3", Env: map[string]string{"MINE": "a \"b\""}}
	if got, want := string(shim.Binding(f)), `{"AINUR_CODE":"/ainur/code","MINE":"a \"b\""}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(f.Env) != 1 {
		t.Errorf("the function has changed: %v", f.Env)
	}
}
