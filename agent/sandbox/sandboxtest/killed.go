package sandboxtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// churnAtATime is how many sandboxes Churn makes at the same time.
const churnAtATime = 4

// Churn is the part of a process that Killed kills: it makes sandboxes of c, calls
// them, and removes every second one, for ever. It says on standard output when it
// begins to make one, and when it has removed one.
func Churn(i sandbox.Isolation, c sandbox.Config) {
	var serial atomic.Int64
	var group sync.WaitGroup
	for range churnAtATime {
		group.Go(func() {
			for {
				n := serial.Add(1)
				config := c
				config.ID = fmt.Sprintf("churn-%d", n)
				fmt.Println("begun")
				b, err := i.Create(context.Background(), config)
				if err == nil {
					_, err = b.Invoke(context.Background(), []byte("{}\n"))
				}
				if err == nil && n%2 == 0 {
					err = b.Remove()
					fmt.Println("ended")
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, "churn:", err)
					os.Exit(1)
				}
			}
		})
	}
	group.Wait()
}

// Killed starts this test binary with the variable name=value, which then calls
// Churn, and kills it after a number of starts by chance, again and again until
// there were so many. It returns how many of them had not been removed by then.
func Killed(t *testing.T, name, value string, starts int) (left int) {
	t.Helper()
	chance := rand.New(rand.NewPCG(1, uint64(starts)))
	for begun := 0; begun < starts; {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), name+"="+value)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for most := 1 + chance.IntN(40); most > 0 && lines.Scan(); {
			if lines.Text() == "begun" {
				begun, left, most = begun+1, left+1, most-1
			} else {
				left--
			}
		}
		time.Sleep(time.Duration(chance.Int64N(int64(20 * time.Millisecond))))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it has said in the meantime
			if lines.Text() == "begun" {
				begun, left = begun+1, left+1
			} else {
				left--
			}
		}
		var status *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &status) || status.Exited() {
			t.Fatalf("it ended by itself: %v", err)
		}
	}
	return left
}
