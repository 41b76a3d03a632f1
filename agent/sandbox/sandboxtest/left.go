package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Counts is how many there are of what sandboxes are made of on this host.
type Counts struct {
	Links, Mounts, Pins, Processes int
	Cgroups                        []string // of ours
}

// Count looks at the host.
func Count(t testing.TB) (c Counts) {
	t.Helper()
	links, err := os.ReadDir("/sys/class/net")
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	c.Links, c.Mounts = len(links), bytes.Count(mounts, []byte("\n"))
	pins, _ := filepath.Glob("/run/ainur/netns/*/*/*") // the patterns are ours
	c.Pins = len(pins)
	c.Cgroups, _ = filepath.Glob("/sys/fs/cgroup/*/ainur/*/*/*")
	c.Cgroups = slices.DeleteFunc(c.Cgroups, func(path string) bool { info, err := os.Stat(path); return err != nil || !info.IsDir() })
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, _ := os.ReadFile(path) // it may have ended
		if strings.Contains(string(environ), "\x00AINUR_S") {
			c.Processes++
		}
	}
	return c
}

// Left is an error of the test when there are other counts than before.
func Left(t testing.TB, before Counts) {
	t.Helper()
	if diff := cmp.Diff(before, Count(t)); diff != "" {
		t.Errorf("it is not as before (-before +after):\n%s", diff)
	}
}

// Together has n sandboxes of c at the same time, made a few at a time, each with
// one invocation, and removes them.
func Together(t testing.TB, i sandbox.Isolation, c sandbox.Config, n, atATime int) {
	t.Helper()
	boxes := make([]sandbox.Sandbox, n)
	each := func(do func(int)) {
		next := make(chan int)
		var group sync.WaitGroup
		for range atATime {
			group.Go(func() {
				for k := range next {
					do(k)
				}
			})
		}
		for k := range n {
			next <- k
		}
		close(next)
		group.Wait()
	}
	each(func(k int) {
		config := c
		config.ID = fmt.Sprintf("together-%d", k)
		b, err := i.Create(t.Context(), config)
		if err != nil {
			t.Error(err)
			return
		}
		boxes[k] = b
		if _, err := b.Invoke(t.Context(), []byte("{}\n")); err != nil {
			t.Error(err)
		}
	})
	each(func(k int) {
		if boxes[k] == nil {
			return
		}
		if _, err := boxes[k].Invoke(t.Context(), []byte("{}\n")); err != nil { // all are still there
			t.Error(err)
		}
		if err := boxes[k].Remove(); err != nil {
			t.Error(err)
		}
	})
}
