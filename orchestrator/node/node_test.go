package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ainur-faas/ainur/internal/mono"
	"github.com/ainur-faas/ainur/internal/pid"
	"github.com/ainur-faas/ainur/orchestrator/node"
	pb "github.com/ainur-faas/ainur/orchestrator/node/nodepb"
)

// TestMain is also the program that supervisors under test start: a shell.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "sh" {
		_ = syscall.Exec("/bin/sh", []string{"sh", "-c", os.Args[2]}, os.Environ()) // it returns only where there is none
		os.Exit(127)
	}
	goleak.VerifyTestMain(m)
}

// open is a supervisor of dir, closed with the test.
func open(t *testing.T, dir string) *node.Supervisor {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := node.Open(node.Options{Dir: dir, Executable: executable, Reclaim: func(run, dir string) ([]string, error) {
		return []string{"container of " + run}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// behind is s behind a connection.
func behind(t *testing.T, s *node.Supervisor, options ...grpc.DialOption) *node.Client {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(node.ServerOptions()...)
	pb.RegisterSupervisorServer(server, &node.Server{Supervisor: s, Description: node.Description{Deployment: "lab", Address: "10.0.0.1:1"}})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	options = append(slices.Concat(node.DialOptions(), []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(new(cutting).dial),
	}), options...)
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(<-served, conn.Close()); err != nil {
			t.Error(err)
		}
	})
	return node.NewClient("h", conn)
}

// everywhere runs a test on a host that is this process, and on one behind a connection.
func everywhere(t *testing.T, test func(t *testing.T, h node.Host)) {
	t.Run("here", func(t *testing.T) { test(t, open(t, t.TempDir())) })
	t.Run("behind", func(t *testing.T) { test(t, behind(t, open(t, t.TempDir()))) })
}

func task(name, script string) node.Task {
	return node.Task{Run: "R", Name: name, Args: []string{"sh", script}}
}

func TestDaemon(t *testing.T) {
	everywhere(t, func(t *testing.T, h node.Host) {
		d := task("d", `echo one; cat {dir}/config; echo "$GREETING"; exit 3`)
		d.Env, d.Files = []string{"GREETING=hello"}, map[string][]byte{"config": []byte("two\n")}
		for range 2 { // the same again starts nothing
			if err := h.Start(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		other := task("d", "true")
		if err := h.Start(t.Context(), other); !errors.Is(err, node.ErrExists) {
			t.Errorf("another daemon of the name: %v, want ErrExists", err)
		}
		for from, want := range map[int]string{0: "one two hello", 2: "hello", 3: "", 9: ""} {
			var lines []string
			exit, err := h.Follow(t.Context(), "R", "d", from, func(line []byte) { lines = append(lines, string(line)) })
			if got := strings.Join(lines, " "); err != nil || exit.Status != 3 || got != want {
				t.Errorf("from %d: %q, %+v, %v; want %q and status 3", from, got, exit, err, want)
			}
		}
		if _, err := h.Follow(t.Context(), "R", "other", 0, func([]byte) {}); !errors.Is(err, node.ErrNotFound) {
			t.Errorf("follow what there is not: %v, want ErrNotFound", err)
		}
		if exit, err := h.Stop(t.Context(), "R", "d"); err != nil || exit.Status != 3 {
			t.Errorf("stop what has ended: %+v, %v", exit, err)
		}
	})
}

// What a daemon leaves behind does not keep its end from being seen.
func TestHeldOutput(t *testing.T) {
	h := open(t, t.TempDir())
	if err := h.Start(t.Context(), task("d", `sleep 3 & echo ready`)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	exit, err := h.Follow(t.Context(), "R", "d", 0, func([]byte) {})
	if err != nil || exit.Err() != nil || time.Since(began) > 2500*time.Millisecond {
		t.Errorf("after %v: %+v, %v", time.Since(began), exit, err)
	}
}

// Lines come as they are printed, also to several, and a follower that goes leaves the daemon alone.
func TestFollow(t *testing.T) {
	everywhere(t, func(t *testing.T, h node.Host) {
		if err := h.Start(t.Context(), task("d", `echo ready; cat; echo bye`)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err := h.Follow(ctx, "R", "d", 0, func([]byte) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("follow until cancelled: %v", err)
		}
		exit, err := h.Stop(t.Context(), "R", "d")
		if err != nil || exit.Signal != "terminated" && exit.Status == 0 {
			t.Errorf("stop: %+v, %v; want the signal it was asked to end with", exit, err)
		}
	})
}

// cutting is connections that can be cut.
type cutting struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *cutting) dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", address)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, conn)
	return conn, err
}

func (c *cutting) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close() // it may be closed
	}
	c.open = nil
}

// A daemon that says nothing for longer than a host may be away is not lost when the connection is.
func TestFollowSilent(t *testing.T) {
	const patience = 300 * time.Millisecond
	var c cutting
	h := behind(t, open(t, t.TempDir()), grpc.WithContextDialer(c.dial))
	h.SetPatience(patience)
	if err := h.Start(t.Context(), task("d", `echo ready; sleep 1.5; exit 3`)); err != nil {
		t.Fatal(err)
	}
	lines := 0
	time.AfterFunc(2*patience, c.cut)
	time.AfterFunc(4*patience, c.cut)
	exit, err := h.Follow(t.Context(), "R", "d", 0, func([]byte) { lines++ })
	if err != nil || exit.Status != 3 || lines != 1 {
		t.Errorf("%d lines, %+v, %v; want one line and status 3", lines, exit, err)
	}
}

func TestLease(t *testing.T) {
	h := behind(t, open(t, t.TempDir()))
	d := task("d", `echo ready; exec sleep 60`)
	d.Lease = 200 * time.Millisecond
	if err := h.Start(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*d.Lease)
	defer cancel()
	if _, err := h.Follow(ctx, "R", "d", 0, func([]byte) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("it ended while it was followed: %v", err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		description, err := h.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if description.Runs[0].Daemons[0].Exit != nil {
			return
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("nobody followed it, and it runs on")
		}
	}
}

func TestFiles(t *testing.T) {
	everywhere(t, func(t *testing.T, h node.Host) {
		content := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // several messages
		if err := h.Put(t.Context(), "R", "a/b", bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := h.Put(t.Context(), "R", "empty", strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		files, err := h.Files(t.Context(), "R", "")
		if err != nil || len(files) != 2 || files[0].Path != "a/b" || files[0].Size != int64(len(content)) || files[1].Size != 0 {
			t.Fatalf("files: %+v, %v", files, err)
		}
		var got bytes.Buffer
		if err := h.Get(t.Context(), "R", "a/b", 5, &got); err != nil || !bytes.Equal(got.Bytes(), content[5:]) {
			t.Errorf("from byte 5: %d bytes, %v", got.Len(), err)
		}
		if files, err := h.Files(t.Context(), "R", "none"); err != nil || len(files) != 0 {
			t.Errorf("a folder that is not there: %v, %v", files, err)
		}
		if err := h.Get(t.Context(), "R", "none", 0, &got); !errors.Is(err, node.ErrNotFound) {
			t.Errorf("a file that is not there: %v, want ErrNotFound", err)
		}
		for _, path := range []string{"../x", "/etc/passwd", "a/../../x"} {
			if err := h.Put(t.Context(), "R", path, strings.NewReader("x")); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("put %s: %v, want ErrNotFound", path, err)
			}
			if err := h.Get(t.Context(), "R", path, 0, &got); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("get %s: %v, want ErrNotFound", path, err)
			}
		}
		for _, run := range []string{"", ".", "..", "../R", "a/b"} {
			if err := h.Put(t.Context(), run, "x", strings.NewReader("x")); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("put into run %q: %v, want ErrNotFound", run, err)
			}
			if _, err := h.Forget(t.Context(), run); !errors.Is(err, node.ErrNotFound) {
				t.Errorf("forget run %q: %v, want ErrNotFound", run, err)
			}
		}
	})
}

// A link or a pipe in a folder that functions can reach is not taken for a file.
func TestHostileFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	run, err := s.Run("R")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink("/etc/passwd", filepath.Join(run, "link")), exec.Command("mkfifo", filepath.Join(run, "pipe")).Run()); err != nil {
		t.Fatal(err)
	}
	if files, err := s.Files(t.Context(), "R", ""); err != nil || len(files) != 0 {
		t.Errorf("files: %v, %v", files, err)
	}
	for _, name := range []string{"link", "pipe"} {
		if err := s.Get(t.Context(), "R", name, 0, &bytes.Buffer{}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestForget(t *testing.T) {
	everywhere(t, func(t *testing.T, h node.Host) {
		if removed, err := h.Forget(t.Context(), "R"); err != nil || len(removed) != 0 {
			t.Errorf("a run that is not there: %v, %v", removed, err)
		}
		if err := h.Start(t.Context(), task("d", `echo $$; exec sleep 60`)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var child int
		_, err := h.Follow(ctx, "R", "d", 0, func(line []byte) {
			defer cancel()
			if _, err := fmt.Sscan(string(line), &child); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		removed, err := h.Forget(t.Context(), "R")
		if err != nil || len(removed) != 1 || removed[0] != "container of R" {
			t.Errorf("removed %v, %v", removed, err)
		}
		if files, err := h.Files(t.Context(), "R", ""); err != nil || len(files) != 0 {
			t.Errorf("left: %v, %v", files, err)
		}
	})
}

// A supervisor that takes over says what it knows of the daemons of the one before,
// waits until they have ended, and starts them again when it is asked to.
func TestTakeOver(t *testing.T) {
	dir := t.TempDir()
	run := filepath.Join(dir, "runs", "R")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	orphan := exec.Command("sleep", "0.3")
	if err := orphan.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = orphan.Wait() // it ends by itself
	}()
	record := fmt.Sprintf(`{"task": {"run": "R", "name": "d", "args": ["sh", "echo again"]}, "pid": %d, "started": %d, "boot_id": %q}`, orphan.Process.Pid, pid.Started(orphan.Process.Pid), mono.BootID())
	for name, content := range map[string]string{"d.daemon": record, "d.out": "before\n", "d.log": "last words"} {
		if err := os.WriteFile(filepath.Join(run, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	<-ended
	var lines []string
	collect := func(line []byte) { lines = append(lines, string(line)) }
	exit, err := s.Follow(t.Context(), "R", "d", 0, collect)
	if err != nil || !exit.Lost || exit.LastWords != "last words" || strings.Join(lines, " ") != "before" {
		t.Errorf("of the one before: %q, %+v, %v", lines, exit, err)
	}
	if err := s.Start(t.Context(), task("d", "echo again")); err != nil {
		t.Fatal(err)
	}
	lines = nil
	if exit, err := s.Follow(t.Context(), "R", "d", 0, collect); err != nil || exit.Err() != nil || strings.Join(lines, " ") != "again" {
		t.Errorf("started again: %q, %+v, %v", lines, exit, err)
	}
}

// TestOtherBoot: a process that has the number of a daemon of an earlier boot, and began as
// long after its own, is left alone.
func TestOtherBoot(t *testing.T) {
	another := exec.Command("sleep", "60")
	another.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := another.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = another.Process.Kill() // where it still is
		_ = another.Wait()
	})
	dir := t.TempDir()
	run := filepath.Join(dir, "runs", "r")
	record := fmt.Sprintf(`{"task": {"run": "r", "name": "d"}, "pid": %d, "started": %d, "boot_id": "earlier"}`, another.Process.Pid, pid.Started(another.Process.Pid))
	if err := errors.Join(os.MkdirAll(run, 0o700), os.WriteFile(filepath.Join(run, "d.daemon"), []byte(record), 0o600)); err != nil {
		t.Fatal(err)
	}
	exit, err := open(t, dir).Stop(t.Context(), "r", "d")
	if err != nil || !exit.Lost {
		t.Errorf("the daemon: %+v, %v, want it lost", exit, err)
	}
	if text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(another.Process.Pid), "stat")); err != nil || strings.Contains(string(text), ") Z ") {
		t.Errorf("the other process has ended: %s, %v", text, err)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := node.Open(node.Options{Dir: dir}); !errors.Is(err, node.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a folder that is held: %v, want ErrLocked and who holds it", err)
	}
}
