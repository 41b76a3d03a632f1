// Command ainur plans, runs and simulates serverless experiments.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ainur-faas/ainur/agent/shim"
)

// version is set by the build.
var version = "dev"

func main() {
	shim.Builtin()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
