package process_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// A stem cell that has become a function is a sandbox like any other, and so is a
// fork of a zygote that has waited.
func TestConformanceOfCells(t *testing.T) {
	testenv.Require(t, testenv.Root)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	for _, zygote := range []bool{false, true} {
		t.Run(fmt.Sprintf("zygote=%v", zygote), func(t *testing.T) {
			sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation {
				return sandboxtest.Ahead{Isolation: openWith(t, t.TempDir(), fmt.Sprintf("cells-%d-%d", os.Getpid(), opened.Add(1)), spec.Container{Zygote: zygote, Network: "none", StemCells: 2})}
			})
		})
	}
}

// What a cell becomes has the limits, the code and the environment of the function, and
// its folders are as those of any sandbox.
func TestCellBecomesFunction(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Python)
	const look = `import os
def main(args):
    def size(d):
        s = os.statvfs(d)
        return s.f_blocks * s.f_frsize >> 20
    def writes(d):
        try:
            open(os.path.join(d, "x"), "w")
            return True
        except OSError as e:
            return e.strerror
    return [os.environ["AINUR_SANDBOX"].split("/")[2], size("/tmp"), size("/dev/shm"), writes("/tmp"), writes("/ainur/code"), os.environ["MINE"],
        sorted(" ".join(f[4:6]).replace("nodev,", "") for f in map(str.split, open("/proc/self/mountinfo")) if f[4] in ("/dev/shm", "/ainur/code")),
        sorted(os.listdir("/proc/self/fd"))]
`
	c := sandboxtest.Python(t, look)
	c.Function.Env = map[string]string{"MINE": "yes"}
	answers := map[bool]string{}
	for _, cells := range []bool{false, true} {
		container := spec.Container{Network: "none"}
		if cells {
			container.StemCells = 1
		}
		i := sandboxtest.Ahead{Isolation: openWith(t, t.TempDir(), fmt.Sprintf("become-%d-%d", os.Getpid(), opened.Add(1)), container)}
		c.ID = "plain"
		r, err := sandboxtest.Must(t, i, c).Invoke(t.Context(), []byte("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answers[cells] = string(r.Result)
	}
	if want := strings.Replace(answers[false], `"plain"`, `"cell.1"`, 1); answers[true] != want {
		t.Errorf("in a cell: %s\nelse: %s", answers[true], want)
	}
}
