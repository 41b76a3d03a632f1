package lab_test

import (
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/orchestrator/lab"
)

func TestUp(t *testing.T) {
	testenv.Require(t, testenv.Root)
	start := time.Now()
	l, err := lab.Up(t.Context(), lab.Options{Name: "try"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log("up", time.Since(start))
	t.Log(l.Processes("n1"))
	t.Log(l.Changes("n1"))
	start = time.Now()
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	t.Log("down", time.Since(start))
}
