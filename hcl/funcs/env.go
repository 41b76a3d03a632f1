package funcs

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Env is the function env(name): a variable of an environment in the form of
// os.Environ, "" when it is not set. It is for defaults of variables only: what
// reads the environment elsewhere is not repeatable.
func Env(environ []string) function.Function { return env(environ).function() }

func env(environ []string) entry {
	return entry{Doc: Doc{
		Name: "env", Summary: "A variable of the environment, \"\" when it is not set; for the default of a variable only.",
		Params:  []Param{{"name", "of the variable"}},
		Example: `env("HOME")`, Result: `"/home/ada"`,
	}, fn: static(cty.String, func(args []cty.Value) (cty.Value, error) {
		value := ""
		for _, pair := range environ {
			if name, v, _ := strings.Cut(pair, "="); name == args[0].AsString() {
				value = v
			}
		}
		return cty.StringVal(value), nil
	}, cty.String)}
}
