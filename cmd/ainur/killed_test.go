package main

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	labs "github.com/ainur-faas/ainur/orchestrator/lab"
	"github.com/ainur-faas/ainur/orchestrator/result"
)

// number is that of a variable of the environment, or another.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestKilled kills up, run and destroy at moments of chance, AINUR_TEST_KILLS of them
// that AINUR_TEST_SEED chooses. The same again completes, and nothing is there twice,
// is done twice, or is left.
func TestKilled(t *testing.T) {
	s := threeNodes(t, labs.Options{Bastion: true}, time.Second)
	kills, seed := number(t, "AINUR_TEST_KILLS", 3), number(t, "AINUR_TEST_SEED", uint64(time.Now().UnixNano()))
	t.Logf("AINUR_TEST_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	verbs := []struct {
		name  string
		args  []string
		lasts time.Duration // when it is not killed
	}{{"up", []string{"--yes"}, 0}, {"run", []string{"--repeat", "2"}, 0}, {"destroy", []string{"--yes"}, 0}}
	for i := range verbs {
		began := time.Now()
		s.ainur(0, verbs[i].name, verbs[i].args...)
		verbs[i].lasts = time.Since(began)
	}
	for n := range kills {
		v := verbs[n%3]
		s.killed(v.name, v.args, time.Duration(chance.Int64N(int64(v.lasts))), chance.IntN(2) == 0)
		switch v.name {
		case "up":
			s.outcomes(v.name, v.args...)
			s.supervised()
		case "run":
			s.runOnce(v.args)
			s.supervised()
		case "destroy":
			s.outcomes(v.name, v.args...)
			s.unchanged()
		}
		if t.Failed() {
			t.Fatalf("after %d kills", n+1)
		}
	}
	s.outcomes("destroy", "--yes")
	s.unchanged()
}

// killed runs a verb and kills it after a while, there also what it does on the hosts.
func (s *onHosts) killed(verb string, args []string, after time.Duration, there bool) {
	s.Helper()
	cmd := s.command(verb, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	timer := time.AfterFunc(after, func() {
		for _, h := range s.lab.Hosts {
			if there {
				_ = exec.Command("nsenter", "--target", strconv.Itoa(h.PID), "--pid", "--mount", "pkill", "-KILL", "-f", "ainur setup -|sh -s|ainur-push").Run() // it may have ended
			}
		}
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended
	})
	err := cmd.Wait()
	if timer.Stop() {
		s.Logf("%s ended before it was killed after %v", verb, after)
		if err != nil {
			s.Errorf("ainur %s: %v\n%s", verb, err, &out)
		}
		return
	}
	s.Logf("%s was killed after %v, there too: %t", verb, after, there)
}

// supervised checks that the supervisor alone runs on each host, once.
func (s *onHosts) supervised() {
	s.Helper()
	for _, h := range s.lab.Hosts {
		if got := slices.Collect(maps.Values(s.running(h))); !slices.Equal(got, []string{"supervise"}) {
			s.Errorf("on %s runs %v, want the supervisor alone", h.Name, got)
		}
	}
}

// running is the verbs that run on a host, by the numbers of their processes.
func (s *onHosts) running(h *labs.Host) map[int]string {
	s.Helper()
	processes, err := s.lab.Processes(h.Name)
	if err != nil {
		s.Fatal(err)
	}
	got := map[int]string{}
	for _, p := range processes {
		if filepath.Base(p.Args[0]) == "ainur" && len(p.Args) > 1 {
			got[p.PID] = p.Args[1]
		}
	}
	return got
}

// twice finds the verbs that run more than once on a host, now and a while ago: what a process
// is about to execute has its name for a moment. What a killed up had a host set up, the next waits for.
func twice(before, now map[int]string) (verbs []string) {
	times := map[string]int{}
	for number, verb := range now {
		if before[number] == verb && verb != "setup" {
			if times[verb]++; times[verb] == 2 {
				verbs = append(verbs, verb)
			}
		}
	}
	return verbs
}

// runOnce runs the experiment to its end, in which no daemon is there twice. Of all that was
// begun of the run, none was begun twice.
func (s *onHosts) runOnce(args []string) {
	s.Helper()
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for before := map[string]map[int]string{}; ; {
			for _, h := range s.lab.Hosts {
				now := s.running(h)
				if verbs := twice(before[h.Name], now); len(verbs) > 0 {
					s.Errorf("on %s run twice: %v", h.Name, verbs)
				}
				before[h.Name] = now
			}
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	s.ainur(0, "run", args...)
	close(ended)
	watching.Wait()
	s.newest()
	runs, err := result.List(os.Getenv("AINUR_RESULTS"))
	if err != nil {
		s.Fatal(err)
	}
	for _, run := range runs {
		entries, err := run.Ledger()
		if err != nil {
			s.Fatal(err)
		}
		began := map[int]int{}
		for _, e := range entries {
			if e.Event == "repeat" && e.State == result.Running {
				began[e.Repeat]++
			}
		}
		for repeat, times := range began {
			if times != 1 {
				s.Errorf("run %s: repeat %d was begun %d times", run.Manifest.RunID, repeat, times)
			}
		}
		if sealed := run.Manifest.State == result.Sealed; sealed && len(began) != 2 || !sealed && len(began) > 0 {
			s.Errorf("run %s: %d repeats were begun, and it is %s", run.Manifest.RunID, len(began), run.Manifest.State)
		}
	}
}
