package funcs

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Env is the function env(name): a variable of an environment in the form of
// os.Environ, "" when it is not set. It is for defaults of variables only: what
// reads the environment elsewhere is not repeatable.
func Env(environ []string) function.Function {
	return simple("A variable of the environment, \"\" when it is not set. For the default of a variable only.", cty.String,
		[]function.Parameter{{Name: "name", Type: cty.String}},
		func(args []cty.Value) (cty.Value, error) {
			value := ""
			for _, entry := range environ {
				if name, v, _ := strings.Cut(entry, "="); name == args[0].AsString() {
					value = v
				}
			}
			return cty.StringVal(value), nil
		})
}
