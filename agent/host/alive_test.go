package host_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/host"
)

// An agent lives however its run is written among its arguments.
func TestAlive(t *testing.T) {
	for _, args := range [][]string{{"agent", "--run", "alive-a"}, {"agent", "--run=alive-a"}} {
		cmd := exec.Command("sh", append([]string{"-c", "read line", "ainur"}, args...)...)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !host.Alive()("alive-a") && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond) // until the shell has its arguments
		}
		if alive := host.Alive(); !alive("alive-a") || alive("alive-b") {
			t.Errorf("%s: alive %v, another %v", strings.Join(args, " "), alive("alive-a"), alive("alive-b"))
		}
		stdin.Close()
		if err := cmd.Wait(); err == nil {
			t.Error("read a line of nothing")
		}
	}
}
