// Command files is a function that says what is in the files it is asked for.
package main

import (
	"context"
	"os"

	"github.com/ainur-faas/ainur/agent/shim/fn"
)

func main() {
	fn.Serve(func(_ context.Context, args map[string]any) (any, error) {
		found := map[string]string{}
		for path := range args {
			b, _ := os.ReadFile(path) // "" when it is not there
			found[path] = string(b)
		}
		return found, nil
	})
}
