// Package testenv says what a test needs of the machine it runs on.
package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/resource"
)

// Need is something that not every machine has.
type Need string

// The needs.
const (
	Root       Need = "root"       // user 0
	Python     Need = "python"     // python3 on the PATH
	Go         Need = "go"         // the go command on the PATH
	Cgroup     Need = "cgroup"     // memory, cpu and pids can be limited by cgroups
	Containerd Need = "containerd" // containerd on the PATH, for tests to start
	Crun       Need = "crun"
	Runc       Need = "runc"
	Docker     Need = "docker" // dockerd on the PATH, for tests to start
	Debian     Need = "debian" // mmdebstrap, which makes root filesystems of Debian packages
)

// Require skips the test, with the reason, where the machine lacks one of the
// needs. Where AINUR_REQUIRE lists it (names separated by commas), the test fails.
func Require(t testing.TB, needs ...Need) {
	t.Helper()
	for _, need := range needs {
		err := check(need)
		switch {
		case err == nil:
		case slices.Contains(strings.Split(os.Getenv("AINUR_REQUIRE"), ","), string(need)):
			t.Fatalf("AINUR_REQUIRE lists %s: %v", need, err)
		default:
			t.Skipf("needs %s: %v", need, err)
		}
	}
}

func check(need Need) error {
	switch need {
	case Root:
		if uid := os.Getuid(); uid != 0 {
			return fmt.Errorf("running as user %d", uid)
		}
		return nil
	case Python:
		_, err := exec.LookPath("python3")
		return err
	case Go:
		_, err := exec.LookPath("go")
		return err
	case Debian:
		_, err := exec.LookPath("mmdebstrap")
		return err
	case Docker:
		_, err := exec.LookPath("dockerd")
		return err
	case Containerd, Crun, Runc:
		_, err := exec.LookPath(string(need))
		return err
	case Cgroup:
		cgroups, problems := resource.FindCgroups("/sys/fs/cgroup", "ainur/testenv")
		if len(problems) > 0 {
			return fmt.Errorf("%s", strings.Join(problems, "; "))
		}
		return cgroups.Remove()
	default:
		panic("testenv: unknown need " + string(need))
	}
}
