// Command hello-go is a function in Go: it takes the arguments and returns what becomes JSON.
package main

import (
	"context"
	"fmt"

	"github.com/ainur-faas/ainur/agent/shim/fn"
)

func main() {
	fn.Serve(func(_ context.Context, args map[string]any) (any, error) {
		name, ok := args["name"].(string)
		if !ok {
			name = "world"
		}
		return map[string]string{"greeting": fmt.Sprintf("Hello, %s, from Go", name)}, nil
	})
}
