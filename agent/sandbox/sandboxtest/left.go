package sandboxtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// Left is an error of the test when something is on this host of runs whose ids
// begin with run: cgroups, processes, links, network namespaces, and mounts in which
// one of these texts is, such as a folder. Runs of other tests are none of its business.
func Left(t testing.TB, run string, mounts ...string) {
	t.Helper()
	glob := func(pattern string) []string {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, path := range append(glob("/sys/fs/cgroup/*/ainur/"+run+"*"), glob("/run/ainur/netns/"+run+"*")...) {
		t.Errorf("left: %s", path)
	}
	for _, path := range glob("/proc/[0-9]*/environ") {
		if environ, _ := os.ReadFile(path); strings.Contains("\x00"+string(environ), "\x00AINUR_SANDBOX="+run) { // it may have ended
			t.Errorf("left: %s", filepath.Dir(path))
		}
	}
	for _, path := range glob("/sys/class/net/*/ifalias") {
		if alias, _ := os.ReadFile(path); strings.HasPrefix(string(alias), "ainur/"+run) { // it may be gone
			t.Errorf("left: %s", filepath.Dir(path))
		}
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		for _, text := range append(mounts, "/run/ainur/netns/"+run) {
			if strings.Contains(line, text) {
				t.Errorf("left: mount %s", line)
			}
		}
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
