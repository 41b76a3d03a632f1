package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/remote/local"
	"github.com/ainur-faas/ainur/orchestrator/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	testenv.Require(t, testenv.Root)
	remotetest.Run(t, func(t *testing.T) remote.Conn {
		c, err := local.Dial(spec.Host{Name: "here", Connection: "local", SSH: spec.SSH{CommandTimeout: time.Minute}}, spec.Become{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
}

// A namespace has a network of its own, and all else of the machine.
func TestNamespace(t *testing.T) {
	testenv.Require(t, testenv.Root)
	name := fmt.Sprintf("ainur-test-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("ip netns add: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	host := spec.Host{Name: name, Connection: "netns"}
	c, err := local.Dial(host, spec.Become{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		var out bytes.Buffer
		if err := c.Run(t.Context(), remote.Command{Args: args, Root: true, Stdout: &out}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	run("ip", "link", "set", "lo", "up")
	if got := run("ip", "-o", "link"); strings.Count(got, "\n") != 1 {
		t.Errorf("its links are %s", got)
	}
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	if conn, err := c.Dial(t.Context(), "tcp", outside.Addr().String()); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("what listens outside was reached: %v, %v", conn, err)
	}
	if conn, err := net.Dial("tcp", outside.Addr().String()); err != nil {
		t.Errorf("we are in the namespace: %v", err)
	} else {
		conn.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	listening := make(chan error, 1)
	go func() { // that of the test, in there
		listening <- c.Run(ctx, remote.Command{Args: []string{os.Args[0], "-test.run=^TestListen$"}, Stdout: io.Discard})
	}()
	var conn net.Conn
	for began := time.Now(); conn == nil && time.Since(began) < 10*time.Second; time.Sleep(20 * time.Millisecond) {
		conn, err = c.Dial(t.Context(), "tcp", listenAt)
	}
	if err != nil {
		t.Errorf("what listens inside was not reached: %v", err)
	} else if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := <-listening; err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	host.Name = "nowhere"
	if _, err := local.Dial(host, spec.Become{}, nil); !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "ip netns add") {
		t.Errorf("a namespace that is not there: %v", err)
	}
}

// listenAt is where TestListen listens, in a namespace that is its own.
const listenAt = "127.0.0.1:47011"

// TestListen is the program that TestNamespace runs.
func TestListen(t *testing.T) {
	if links, err := net.Interfaces(); err != nil || len(links) != 1 {
		t.Skip("not in a namespace of its own")
	}
	l, err := net.Listen("tcp", listenAt)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}
