// Package dockertest starts a Docker daemon for a test.
package dockertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/sandbox/containerd/containerdtest"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// Start runs a daemon with its own containerd, folders and socket until the end of
// the test, and returns the socket. It has no network of its own but what flags say,
// such as "--bip=10.99.0.1/24". The test is skipped where there is none to start.
func Start(t testing.TB, flags ...string) (socket string) {
	t.Helper()
	testenv.Require(t, testenv.Root, testenv.Docker)
	containerd := containerdtest.Start(t)
	dir, err := os.MkdirTemp("/dev/shm", "ainur-docker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { containerdtest.Remove(t, dir) })
	socket = filepath.Join(dir, "sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if len(flags) == 0 {
		flags = []string{"--bridge=none"}
	}
	args := append([]string{
		"--containerd", containerd, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--host", "unix://" + socket, "--pidfile", filepath.Join(dir, "pid"), "--iptables=false", "--ip-forward=false", "--ip-masq=false",
	}, flags...)
	cmd := exec.Command("dockerd", args...)
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
	api, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := api.Ping(ctx, client.PingOptions{})
		cancel()
		if err == nil {
			return socket
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(log.Name()) // what there is
			t.Fatalf("dockerd does not start: %v\n%s", err, said)
		}
	}
}
