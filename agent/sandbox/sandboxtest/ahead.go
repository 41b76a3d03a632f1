package sandboxtest

import (
	"context"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Ahead is an isolation that makes things ahead, and has made them whenever it makes a
// sandbox.
type Ahead struct {
	Isolation interface {
		sandbox.Isolation
		sandbox.Preparer
		Settle(ctx context.Context) error // returns when all is made ahead that can be
	}
}

// Create waits for what is made ahead for c.
func (a Ahead) Create(ctx context.Context, c sandbox.Config) (sandbox.Sandbox, error) {
	if err := a.Isolation.Prepare(ctx, c); err == nil {
		_ = a.Isolation.Settle(ctx) // it fails when ctx ends, which Create says better
	}
	return a.Isolation.Create(ctx, c)
}

// Limitations are those of the isolation.
func (a Ahead) Limitations() []string { return a.Isolation.Limitations() }

// Reclaim is that of the isolation.
func (a Ahead) Reclaim() ([]string, error) { return a.Isolation.Reclaim() }

// Close is that of the isolation.
func (a Ahead) Close() error { return a.Isolation.Close() }
