package docker_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// looks is a function that tells what it can do, and what it sees.
const looks = `
import os, socket, threading
def write(path):
    try:
        with open(path, 'w') as f: f.write('x')
        return True
    except OSError:
        return False
def threads():
    stop, n = threading.Event(), 0
    try:
        for n in range(600): threading.Thread(target=stop.wait, daemon=True).start()
    except RuntimeError:
        pass
    stop.set()
    return n
def reaches(address):
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((address, 9))
        return True
    except OSError:
        return False
def main(args):
    status = dict(line.split(':\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\t' in line)
    shm = os.statvfs('/dev/shm')
    return {
        'status': {k: status[k].strip() for k in ('CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')},
        'reaches': reaches('192.0.2.1'), 'pid': os.getpid(), 'threads': threads(),
        'written': [p for p in args['write'] if write(p)], 'shm': shm.f_frsize * shm.f_blocks,
    }
`

// What a sandbox must not do it cannot do.
func TestConfined(t *testing.T) {
	socket := dockertest.Start(t)
	below, err := os.MkdirTemp("/var/tmp", "ainur-docker-") // not in a folder that a sandbox has its own of
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(below, unix.MNT_DETACH) // RemoveAll tells
		if err := os.RemoveAll(below); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("tmpfs", below, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	c := sandboxtest.Python(t, looks)
	c.ID = "f-1"
	b := sandboxtest.Must(t, open(t, socket, nil), c)
	forbidden := []string{"/x", "/etc/x", "/usr/x", "/ainur/code/x", "/ainur/run/x", "/proc/sysrq-trigger", below + "/x"}
	args, err := json.Marshal(map[string]any{"write": append(forbidden, "/tmp/x", "/dev/shm/x")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Invoke(t.Context(), args)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Status       map[string]string
		Written      []string
		Reaches      bool
		PID, Threads int
		SHM          int64
	}
	if err := json.Unmarshal(r.Result, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}
	for name, value := range want {
		if got.Status[name] != value {
			t.Errorf("%s is %s, want %s", name, got.Status[name], value)
		}
	}
	if strings.Join(got.Written, " ") != "/tmp/x /dev/shm/x" {
		t.Errorf("it writes to %v", got.Written)
	}
	if got.Reaches {
		t.Error("it has a network")
	}
	if got.PID != 1 || got.Threads > 512 || got.SHM != int64(c.Function.Memory) {
		t.Errorf("process %d, %d threads, %d bytes in /dev/shm", got.PID, got.Threads, got.SHM)
	}
}

// A sandbox sees nothing of the agent's folder.
func TestHides(t *testing.T) {
	dir := sandboxtest.Dir(t)
	i := openWith(t, docker.Options{Socket: dockertest.Start(t), Dir: dir})
	sandboxtest.Hides(t, i, dir)
	sandboxtest.KeepsPrivate(t, i)
}

// A sandbox has the processor time that its function may take, and no more.
func TestCPU(t *testing.T) {
	i := open(t, dockertest.Start(t), nil)
	c := sandboxtest.Python(t, "import time\ndef main(args):\n    end = time.monotonic() + 1\n    while time.monotonic() < end: pass\n")
	c.ID, c.Function.MilliCPU = "f-1", 200
	b := sandboxtest.Must(t, i, c)
	before := b.CPU()
	r, err := b.Invoke(t.Context(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if used, took := b.CPU()-before, r.ExecEnd-r.ExecStart; used <= 0 || used > took*3/10 { // 2/10, and a period
		t.Errorf("it used %v in %v", used, took)
	}
}

// Where cgroups are not files, the daemon freezes, and nothing is measured.
func TestWithoutCgroups(t *testing.T) {
	i := open(t, dockertest.Start(t), nil)
	if err := docker.ForgetCgroups(i); err != nil {
		t.Fatal(err)
	}
	b := sandboxtest.Must(t, i, hello("f-1"))
	for range 2 {
		if err := b.Freeze(); err != nil {
			t.Fatal(err)
		}
		if err := b.Thaw(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Invoke(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if memory, cpu := b.Memory(), b.CPU(); memory != -1 || cpu != -1 {
		t.Errorf("%d bytes, %v", memory, cpu)
	}
	if err := b.Freeze(); err != nil { // a frozen one can be removed
		t.Fatal(err)
	}
}

func TestLimitations(t *testing.T) {
	socket := dockertest.Start(t)
	i := openWith(t, docker.Options{Socket: socket, Container: spec.Container{Network: "host"}})
	if all := strings.Join(i.Limitations(), "\n"); !strings.Contains(all, "share the network") {
		t.Errorf("sandboxes share the network and it is not said: %s", all)
	}
	_, err := docker.New(docker.Options{Socket: socket, Dir: t.TempDir(), RunID: "x", Container: spec.Container{OCIRuntime: "nothing-like-it"}})
	if err == nil || !strings.Contains(err.Error(), "it has") || !strings.Contains(err.Error(), "runc") {
		t.Errorf("a runtime that is not there: %v", err)
	}
	_, err = docker.New(docker.Options{Socket: t.TempDir() + "/nothing", Dir: t.TempDir(), RunID: "x"})
	if err == nil || !strings.Contains(err.Error(), "install and start it") {
		t.Errorf("no daemon: %v", err)
	}
}

// What an image says about its own running does not disturb a function: neither a
// check of its health, nor a volume, which would stay.
func TestImageSaysMore(t *testing.T) {
	socket := dockertest.Start(t)
	store, base := ocitest.Python(t)
	iluvatar := ocitest.Derive(t, store, base, "app", "../link/testdata/iluvatar", func(c *v1.Config) {
		c.Entrypoint, c.Volumes, c.User = []string{"python3", "server.py", "unix"}, map[string]struct{}{"/data": {}}, "nobody"
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD-SHELL", "echo checked >> /app/health"}, Interval: 100 * time.Millisecond}
	})
	i := open(t, socket, store)
	f := spec.Function{Name: "f", Image: iluvatar, Server: "unix", Memory: 128 * spec.MiB, MilliCPU: 1000, Timeout: time.Minute}
	b := sandboxtest.Must(t, i, sandbox.Config{ID: "f-1", Image: iluvatar, Function: f})
	if test := inspect(t, socket).Container.Config.Healthcheck; test == nil || fmt.Sprint(test.Test) != "[NONE]" {
		t.Errorf("its health is checked: %v", test)
	}
	if _, err := b.Invoke(t.Context(), []byte(`{"n":41,"do":"write"}`)); err != nil {
		t.Error(err)
	}
	r, err := b.Invoke(t.Context(), []byte(`{"do":"fill"}`))
	if err != nil || string(r.Result) != `[0, "No space left on device"]` && string(r.Result) != `[1, "No space left on device"]` {
		t.Errorf("it fills the folder of its socket: %s, %v", r.Result, err)
	}
	_, err = b.Invoke(t.Context(), []byte(`{"do":"raise"}`))
	sandboxtest.Fails(t, err, sandbox.UserError, "by design")
	_, err = b.Invoke(t.Context(), []byte(`{"do":"exit"}`))
	sandboxtest.Fails(t, err, sandbox.Crashed, "exit status 9", "last words")
}
