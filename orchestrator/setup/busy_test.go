package setup

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/orchestrator/node"
	"github.com/ainur-faas/ainur/orchestrator/node/nodepb"
)

// TestBusy: a supervisor under which something of a run is alive is not replaced.
func TestBusy(t *testing.T) {
	testenv.Require(t, testenv.Root)
	l := Layout{Deployment: "ainur-setup-test-busy", Prefix: t.TempDir(), StateDir: t.TempDir()}
	if err := idle(t.Context(), l); err != nil {
		t.Errorf("nothing runs, and it is %v", err)
	}
	made := !exists(volatile)
	if err := os.MkdirAll(l.Run(), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := os.RemoveAll(l.Run())
		if made {
			err = errors.Join(err, os.Remove(filepath.Dir(l.Run())))
		}
		if err != nil {
			t.Error(err)
		}
	})
	s, err := node.Open(node.Options{Dir: l.Node(), Executable: "/bin/sleep"})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", l.Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	nodepb.RegisterSupervisorServer(server, &node.Server{Supervisor: s})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(<-served, s.Close()); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context(), node.Task{Run: "R", Name: "load", Args: []string{"60"}}); err != nil {
		t.Fatal(err)
	}
	if err := idle(t.Context(), l); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "run R, whose load runs") {
		t.Errorf("a run is under way, and it is %v", err)
	}
	if _, err := s.Stop(t.Context(), "R", "load"); err != nil {
		t.Fatal(err)
	}
	if err := idle(t.Context(), l); err != nil {
		t.Errorf("the run has ended, and it is %v", err)
	}
}
