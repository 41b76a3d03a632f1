package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// openZygotes is an isolation whose functions in Python have zygotes.
func openZygotes(t *testing.T) (i *process.Isolation, runID string) {
	t.Helper()
	testenv.Require(t, testenv.Root, testenv.Python)
	runID = fmt.Sprintf("hostile-%d-%d", os.Getpid(), opened.Add(1))
	return openWith(t, t.TempDir(), runID, spec.Container{Zygote: true, Network: "none"}), runID
}

// What code does with the zygote that has imported it holds up neither the agent nor
// another function: the call fails, and the next is made without a zygote.
func TestHostileZygotes(t *testing.T) {
	const work = "def main(args):\n    return os.getppid()\n"
	for name, source := range map[string]string{
		"never forks":      "socket.recv_fds = lambda *_: time.sleep(600)\n",
		"sends no process": "socket.send_fds = lambda s, packet, fds: send(s, packet, [other])\n",
		"sends too many":   "socket.send_fds = lambda s, packet, fds: send(s, packet, [other, other])\n",
		"sends many":       "socket.send_fds = lambda s, packet, fds: send(s, packet, [other] * 100)\n",
	} {
		t.Run(name, func(t *testing.T) {
			i, runID := openZygotes(t)
			c := sandboxtest.Python(t, "import os, socket, time\nsend, other = socket.send_fds, os.memfd_create(\"leaked\")\n"+source+work)
			c.ID = "f-1"
			_, err := i.Create(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), "fork") {
				t.Fatalf("error is %v, want one of fork", err)
			}
			for deadline := time.Now().Add(5 * time.Second); len(labelled(t, runID)) > 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("processes %v are still there", labelled(t, runID))
				}
			}
			other := sandboxtest.Python(t, "def main(args):\n    return 1\n")
			other.ID = "g-1"
			r, err := sandboxtest.Must(t, i, other).Invoke(t.Context(), []byte("{}"))
			if err != nil || string(r.Result) != "1" {
				t.Errorf("another function: %s, %v", r.Result, err)
			}
			for _, f := range descriptors(t) {
				if strings.Contains(f, "leaked") {
					t.Errorf("%s of the zygote is open", f)
				}
			}
		})
	}
	t.Run("does without", func(t *testing.T) {
		i, _ := openZygotes(t)
		c := sandboxtest.Python(t, "import os, socket, time\nsocket.recv_fds = lambda *_: time.sleep(600)\n"+work)
		c.ID = "f-1"
		_, err := i.Create(t.Context(), c)
		sandboxtest.Fails(t, err, sandbox.StartFailed, "does not answer")
		c.ID = "f-2"
		if _, err := sandboxtest.Must(t, i, c).Invoke(t.Context(), []byte("{}")); err != nil {
			t.Error(err)
		}
	})
	t.Run("never reaps", func(t *testing.T) {
		i, _ := openZygotes(t)
		c := sandboxtest.Python(t, "import os, time\nos.waitid = lambda *_: time.sleep(600)\ndef main(args):\n    os._exit(3)\n")
		c.ID = "f-1"
		b := sandboxtest.Must(t, i, c)
		_, err := b.Invoke(t.Context(), []byte("{}"))
		sandboxtest.Fails(t, err, sandbox.Crashed)
		<-b.Done()
	})
}

// Code is confined while a zygote imports it, from the first instruction of the interpreter
// on: it has the one capability by which it makes forks, in a user namespace, and can do
// nothing else with it.
func TestZygotesAreConfined(t *testing.T) {
	const source = `import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def tries(call, *args):
    return "yes" if call(*args) >= 0 else os.strerror(ctypes.get_errno())
def look():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [status[name].strip() for name in ("Uid", "NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapAmb")]
long = ctypes.c_ulong
seen = look()
tried = {
    "unshare mounts": tries(libc.unshare, 0x20000), "make a user namespace": tries(libc.unshare, 0x10000000),
    "fork into a user namespace": tries(libc.syscall, %[1]d, long(0x10000011), 0, 0, 0, 0), "enter a namespace": tries(libc.setns, 0, 0),
    "bind": tries(libc.mount, b"/usr", b"/tmp", None, long(4096), None), "mount where it is": tries(libc.mount, b"tmpfs", b"/tmp", b"tmpfs", long(6), None),
    "unmount": tries(libc.umount2, b"/tmp", 2), "trace": tries(libc.ptrace, 0, 0, 0, 0), "change root": tries(libc.chroot, b"/tmp"),
}
def main(args):
    return [seen, sys.argv[0], look(), sorted(set(tried.values())), tried]
`
	c := sandboxtest.Python(t, fmt.Sprintf(source, unix.SYS_CLONE))
	c.ID = "f-1"
	i, _ := openZygotes(t)
	r, err := sandboxtest.Must(t, i, c).Invoke(t.Context(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	nobody := strings.Repeat(`\t65534`, 4)[2:]
	const one, none = "0000000000200000", "0000000000000000"
	want := fmt.Sprintf(`[["%s","1","2","%s","%s","%s","%s"],"/ainur/code/main.py",["%[1]s","1","2","%[6]s","%[6]s","%[6]s","%[6]s"],["Operation not permitted"]`, nobody, one, one, one, one, none)
	if !strings.HasPrefix(string(r.Result), want) {
		t.Errorf("%s, want %s", r.Result, want)
	}
}

// A process that code starts when it is imported is of one sandbox, and ends with it.
func TestImportStartsProcess(t *testing.T) {
	const source = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\ndef main(args):\n    return 1\n"
	i, runID := openZygotes(t)
	c := sandboxtest.Python(t, source)
	c.ID = "f-1"
	b := sandboxtest.Must(t, i, c)
	if _, err := b.Invoke(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
	if err := b.Remove(); err != nil {
		t.Error(err)
	}
	if pids := labelled(t, runID); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
}

// descriptors are what this process has open.
func descriptors(t *testing.T) (links []string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		link, _ := os.Readlink(fd) // it may be closed by now
		links = append(links, link)
	}
	return links
}
