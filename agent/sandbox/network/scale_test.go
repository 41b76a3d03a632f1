package network_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// counts is how much there is of what pools make.
type counts struct{ Links, Mounts, Pins int }

func count(t testing.TB, dir string) (c counts) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	pins, err := filepath.Glob(dir + "/*/*/*")
	if err != nil {
		t.Fatal(err)
	}
	return counts{len(links), strings.Count(string(mounts), dir), len(pins)} // mounts of other tests are seen here, too
}

// More than a bridge has ports for.
func TestMany(t *testing.T) {
	const many = 1200
	testenv.Require(t, testenv.Root)
	dir := t.TempDir()
	before := count(t, dir)
	p := open(t, network.Options{Dir: dir, Size: 8, ReadOnlySettings: true})
	start := time.Now()
	var mu sync.Mutex
	var all []*network.Namespace
	var getting sync.WaitGroup
	for range 4 {
		getting.Go(func() {
			for range many / 4 {
				n, err := p.Get(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				all = append(all, n)
				mu.Unlock()
			}
		})
	}
	getting.Wait()
	t.Logf("%d made in %v", len(all), time.Since(start))
	paths, addresses, gateways := map[string]bool{}, map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, n := range all {
		paths[n.Path()], addresses[n.Address()], gateways[n.Gateway()] = true, true, true
	}
	if len(paths) != many || len(addresses) != many || len(gateways) != 2 {
		t.Errorf("%d paths, %d addresses and %d gateways, want %d, %[4]d and 2", len(paths), len(addresses), len(gateways), many)
	}
	for _, n := range []*network.Namespace{all[0], all[many-1]} {
		address, stop := serve(t, n, n.Path())
		if got, err := greeted(address); err != nil || got != n.Path() {
			t.Errorf("got %q, error %v, want %q", got, err, n.Path())
		}
		stop()
	}
	for _, n := range all[:many/2] {
		n.Release()
	}
	start = time.Now()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %v", time.Since(start))
	if diff := cmp.Diff(before, count(t, dir)); diff != "" {
		t.Errorf("after all is gone (-before +after):\n%s", diff)
	}
}

func TestConcurrent(t *testing.T) {
	p := open(t, network.Options{Size: 3})
	var inUse sync.Map
	var using sync.WaitGroup
	for i := range 6 {
		using.Go(func() {
			for range 15 {
				n, err := p.Get(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if other, busy := inUse.LoadOrStore(n.Path(), i); busy {
					t.Errorf("%s is used by %d and %v", n.Path(), i, other)
				}
				inUse.Delete(n.Path())
				if i == 0 {
					n.Discard()
				} else {
					n.Release()
				}
			}
		})
	}
	using.Wait()
}

func TestPoolsAtOnce(t *testing.T) {
	testenv.Require(t, testenv.Root)
	pools := make([]*network.Pool, 4)
	var opening sync.WaitGroup
	for i := range pools {
		opening.Go(func() { pools[i] = open(t, network.Options{Size: 1}) })
	}
	opening.Wait()
	gateways := map[netip.Addr]bool{}
	for _, p := range pools {
		if p == nil {
			return // open has said why
		}
		n := get(t, p)
		gateways[n.Gateway()] = true
		address, _ := serve(t, n, n.Path())
		if got, err := greeted(address); err != nil || got != n.Path() {
			t.Errorf("got %q, error %v, want %q", got, err, n.Path())
		}
	}
	if len(gateways) != len(pools) {
		t.Errorf("%d pools have the gateways %v", len(pools), gateways)
	}
}

const leftRun = "left-behind"

// leavePool makes a pool, says so, and leaves it.
func leavePool(dir string) (exit int) {
	p, err := network.New(network.Options{RunID: leftRun, Name: "dead", Size: 2, Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = p.Get(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	return 0
}

// start runs this program to make a pool, and returns what it says.
func start(t *testing.T, dir string, attr *syscall.SysProcAttr) (c *exec.Cmd, says string) {
	t.Helper()
	c = exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), leave+"="+dir)
	c.SysProcAttr = attr
	_, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	says, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return c, says
}

func TestReclaim(t *testing.T) {
	testenv.Require(t, testenv.Root)
	dir := t.TempDir()
	before := count(t, dir)
	dead, says := start(t, dir, nil)
	if says != "ready\n" {
		t.Fatal(says)
	}
	other := open(t, network.Options{Dir: dir, RunID: "another-run", Name: "dead"})
	live := open(t, network.Options{Dir: dir, RunID: leftRun, Name: "live"})
	kept := []*network.Namespace{get(t, other), get(t, live)}
	if err := dead.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = dead.Wait() // it was killed
	forgetLabel(t, ofRun(t, dir, leftRun, "/dead/"))

	found := ofRun(t, dir, leftRun, "")
	removed, err := network.Reclaim(dir, leftRun, "live")
	if err != nil {
		t.Fatal(err)
	}
	if pins := matching(removed, "/"+leftRun+"/dead/"); len(pins) < 3 {
		t.Errorf("removed the namespaces %q, want 3 or more", pins)
	}
	if bridges := matching(removed, "bridge "); len(bridges) != 1 {
		t.Errorf("removed the bridges %q, want 1", bridges)
	}
	after := ofRun(t, dir, leftRun, "")
	if len(found) != len(removed)+len(after) {
		t.Errorf("found %q, removed %q, then found %q", found, removed, after)
	}
	for _, n := range kept {
		address, stop := serve(t, n, "here")
		if got, err := greeted(address); err != nil || got != "here" {
			t.Errorf("of a pool in use, got %q, error %v", got, err)
		}
		stop()
	}
	if removed, err := network.Reclaim(dir, leftRun, "live"); err != nil || len(removed) > 0 {
		t.Errorf("the second time, removed %q, error %v", removed, err)
	}
	if err := errors.Join(live.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, count(t, dir)); diff != "" {
		t.Errorf("after all is gone (-before +after):\n%s", diff)
	}
}

// ofRun lists what a run has on the host that contains a text.
func ofRun(t *testing.T, dir, run, text string) (all []string) {
	t.Helper()
	found, err := network.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, thing := range found {
		if thing.Run == run {
			all = append(all, thing.What)
		}
	}
	return matching(all, text)
}

func matching(all []string, text string) (some []string) {
	for _, s := range all {
		if strings.Contains(s, text) {
			some = append(some, s)
		}
	}
	return some
}

// forgetLabel makes a link of the dead one what it was before it was labelled.
func forgetLabel(t *testing.T, pins []string) {
	t.Helper()
	if len(pins) < 3 {
		t.Fatalf("the dead process has left the namespaces %q, want 3 or more", pins)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Alias == "ainur/"+leftRun+"/dead" && l.Type() == "veth" {
			if err := netlink.LinkSetAlias(l, ""); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Error("the dead process has left no labelled link")
}

func TestSweep(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, network.Options{Dir: dir, RunID: "run-a"}), open(t, network.Options{Dir: dir, RunID: "run-b"})
	get(t, a)
	get(t, b)
	removed, err := network.Sweep(dir, func(run string) bool { return run != "run-a" })
	if err != nil {
		t.Fatal(err)
	}
	if len(removed) != 3 { // namespace, link, bridge
		t.Errorf("removed %q, want 3", removed)
	}
	if left := ofRun(t, dir, "run-b", ""); len(left) != 3 {
		t.Errorf("of the run that is kept there is %q, want 3", left)
	}
}

// An agent without rights is told which it lacks, and how to do without.
func TestWithoutRights(t *testing.T) {
	testenv.Require(t, testenv.Root)
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	_, says := start(t, dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	for _, want := range []string{"make the bridge", "CAP_NET_ADMIN", "run the agent as root", `network = "none"`} {
		if !strings.Contains(says, want) {
			t.Errorf("got %q, want %q in it", says, want)
		}
	}
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left %q, error %v", left, err)
	}
}

// What a cold start waits for.
func BenchmarkGet(b *testing.B) {
	for name, size := range map[string]int{"ready": 8, "on-demand": 0} {
		b.Run(name, func(b *testing.B) {
			p := open(b, network.Options{Size: size, ReadOnlySettings: true})
			var spent time.Duration
			for b.Loop() {
				start := time.Now()
				n := get(b, p)
				spent += time.Since(start)
				n.Release()
				for p.Ready() < size {
					time.Sleep(100 * time.Microsecond)
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "ns/get")
		})
	}
}

// How long the pool takes for one, with no pause.
func BenchmarkReuse(b *testing.B) {
	for name, readOnly := range map[string]bool{"read-only settings": true, "settings compared": false} {
		b.Run(name, func(b *testing.B) {
			p := open(b, network.Options{Size: 8, ReadOnlySettings: readOnly})
			for b.Loop() {
				get(b, p).Release()
			}
		})
	}
}
