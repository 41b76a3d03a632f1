package process_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// openConfined is an isolation for a user without rights. The test is skipped where the
// kernel has no Landlock.
func openConfined(t *testing.T, namespaces bool) *process.Isolation {
	t.Helper()
	i := openIn(t, t.TempDir(), fmt.Sprintf("confined-%d-%d", os.Getpid(), opened.Add(1)))
	if err := i.Confine(namespaces); err != nil {
		t.Skip(err)
	}
	return i
}

func TestConformanceConfined(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	for _, namespaces := range []bool{false, true} {
		t.Run(fmt.Sprintf("namespaces=%t", namespaces), func(t *testing.T) {
			sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation { return openConfined(t, namespaces) })
		})
	}
}

// A function reads its own code and the system's files, and writes in its own folder.
func TestConfined(t *testing.T) {
	testenv.Require(t, testenv.Python)
	private := t.TempDir()
	if err := os.WriteFile(filepath.Join(private, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	const source = `import os
def main(args):
    def tries(do):
        try:
            do()
            return "yes"
        except OSError as e:
            return e.strerror
    secret, own = args["private"] + "/secret", os.environ["TMPDIR"]
    return {
        "read a secret": tries(lambda: open(secret)), "list its folder": tries(lambda: os.listdir(args["private"])),
        "write there": tries(lambda: open(args["private"] + "/new", "w")), "write in /tmp": tries(lambda: open("/tmp/ainur-%d" % os.getpid(), "w")),
        "remove it": tries(lambda: os.unlink(secret)), "write its code": tries(lambda: open(os.environ["AINUR_CODE"] + "/main.py", "a")),
        "read its code": tries(lambda: open(os.environ["AINUR_CODE"] + "/main.py")), "read /etc": tries(lambda: open("/etc/passwd")),
        "write in its own": tries(lambda: open(own + "/x", "w")), "rename there": tries(lambda: (os.mkdir(own + "/d"), os.rename(own + "/x", own + "/d/x"))),
        "write to /dev/null": tries(lambda: open("/dev/null", "w")), "read the agent's environment": tries(lambda: open("/proc/%d/environ" % args["pid"]).read()),
        "unshare": tries(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else "Operation not permitted",
    }
`
	c := sandboxtest.Python(t, source)
	c.ID = "f-1"
	b := sandboxtest.Must(t, openConfined(t, true), c)
	r, err := b.Invoke(t.Context(), fmt.Appendf(nil, `{"private":%q,"pid":%d}`, private, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	const no = "Permission denied"
	for what, want := range map[string]string{
		"read a secret": no, "list its folder": no, "write there": no, "write in /tmp": no, "remove it": no, "write its code": no, "read the agent's environment": no,
		"read its code": "yes", "read /etc": "yes", "write in its own": "yes", "rename there": "yes", "write to /dev/null": "yes", "unshare": "Operation not permitted",
	} {
		if !strings.Contains(string(r.Result), fmt.Sprintf("%q:%q", what, want)) {
			t.Errorf("%s: want %s, got %s", what, want, r.Result)
		}
	}
}

// As a user without rights, all of it holds as well: these tests again, as nobody.
func TestNobody(t *testing.T) {
	testenv.Require(t, testenv.Root)
	dir, err := os.MkdirTemp("", "nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	b, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "test"), b, 0o755)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run", "^(TestConformance|TestConfined|TestPrivileges|TestReclaim|TestLimitations)$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "TMPDIR=" + dir, "HOME=" + dir}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, name := range []string{"TestConformance", "TestConfined"} {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}
