// Package containerdtest starts a containerd daemon for a test.
package containerdtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/testenv"
)

const config = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "%[1]s/sock"
[ttrpc]
  address = "%[1]s/sock.ttrpc"
`

// Start runs a daemon with its own root, state and socket until the end of the
// test, and returns the socket. The test is skipped where there is none to start.
func Start(t testing.TB) (socket string) {
	t.Helper()
	testenv.Require(t, testenv.Root, testenv.Containerd)
	dir, err := os.MkdirTemp("/dev/shm", "ainur-containerd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Remove(t, dir) })
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("containerd", "--config", file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, stop := make(chan error), make(chan struct{})
	go func() { // on a thread that no other code can end, with which the daemon would end
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-stop
	}()
	t.Cleanup(func() { close(stop) })
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // it ends by the signal
	})
	socket = filepath.Join(dir, "sock")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		client, err := containerd.New(socket, containerd.WithTimeout(time.Second))
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_, err = client.Version(ctx)
			cancel()
			_ = client.Close() // only asked
		}
		if err == nil {
			return socket
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name()) // what there is
			t.Fatalf("containerd does not start: %v\n%s", err, said)
		}
	}
}

// Remove removes the folder of a daemon that has ended, with what it has mounted there.
func Remove(t testing.TB, dir string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			_ = unix.Unmount(fields[4], unix.MNT_DETACH) // RemoveAll tells
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
