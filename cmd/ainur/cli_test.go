package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

func TestRedact(t *testing.T) {
	variables := []spec.Variable{{Name: "key", Value: []byte(`"(sensitive)"`)}, {Name: "rate", Value: []byte(`1`)}}
	got := redact([]string{"ainur", "run", "--var", "key=s3cret", "--var=key=s3cret", "--var", "rate=1"}, variables)
	want := []string{"ainur", "run", "--var", "key=(sensitive)", "--var=key=(sensitive)", "--var", "rate=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExitCode(t *testing.T) {
	for want, err := range map[int]error{
		0: nil, 1: errors.New("x"), exitSpec: errSpec, exitUsage: fmt.Errorf("a: %w", exit(exitUsage, errors.New("b"))),
		exitLocked: fmt.Errorf("a: %w", node.ErrLocked), exitInterrupted: fmt.Errorf("a: %w", context.Canceled),
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v exits with %d, want %d", err, got, want)
		}
	}
}
