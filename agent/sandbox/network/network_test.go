package network_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox/network"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// The environment of this program when a test starts it.
const (
	ownHost = "AINUR_TEST_OWN_HOST" // set: in namespaces of its own, so that it can count what there is
	leave   = "AINUR_TEST_LEAVE"    // folder of pins: make a pool and wait for the end of stdin
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(leave); dir != "" {
		os.Exit(leavePool(dir))
	}
	if os.Getuid() != 0 || os.Getenv(ownHost) != "" {
		goleak.VerifyTestMain(m) // it exits
	}
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), ownHost+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the child ends with the thread that started it
	if err := c.Run(); err != nil && c.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(c.ProcessState.ExitCode())
}

var opened atomic.Int64

// open is a pool that leaves nothing on the host. What o lacks is filled in.
func open(t testing.TB, o network.Options) *network.Pool {
	t.Helper()
	testenv.Require(t, testenv.Root)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.RunID == "" {
		o.RunID = fmt.Sprintf("test-%d-%d", os.Getpid(), opened.Add(1))
	}
	if o.Name == "" {
		o.Name = "a"
	}
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	p, err := network.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		found, err := network.List(o.Dir)
		if err != nil {
			t.Error(err)
		}
		for _, thing := range found {
			if thing.Run == o.RunID {
				t.Errorf("left on the host: %s", thing.What)
			}
		}
	})
	return p
}

func get(t testing.TB, p *network.Pool) *network.Namespace {
	t.Helper()
	n, err := p.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// inside calls f on a thread in the namespace, which then ends.
func inside(t testing.TB, n *network.Namespace, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		done <- func() error {
			namespace, err := os.Open(n.Path())
			if err != nil {
				return err
			}
			defer namespace.Close()
			if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// serve starts a server in the namespace that sends its greeting and hangs up.
func serve(t testing.TB, n *network.Namespace, greeting string) (address string, stop func()) {
	t.Helper()
	return serveAt(t, n, netip.AddrPortFrom(n.Address(), 0).String(), greeting)
}

func serveAt(t testing.TB, n *network.Namespace, at, greeting string) (address string, stop func()) {
	t.Helper()
	var l net.Listener
	inside(t, n, func() (err error) {
		l, err = net.Listen("tcp", at)
		return err
	})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, greeting) // the client sees what is missing
			_ = c.Close()
		}
	})
	stop = sync.OnceFunc(func() { _ = l.Close(); serving.Wait() })
	t.Cleanup(stop)
	port := l.Addr().(*net.TCPAddr).AddrPort().Port()
	return netip.AddrPortFrom(n.Address(), port).String(), stop
}

// greeted reads what a server sends. Where other tests run beside, the kernel may
// lose the first packet, and sends it again after a second.
func greeted(address string) (string, error) { return greetedWithin(address, 10*time.Second) }

func greetedWithin(address string, d time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", address, d)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestGet(t *testing.T) {
	for name, size := range map[string]int{"ready": 2, "on demand": 0} {
		t.Run(name, func(t *testing.T) {
			p := open(t, network.Options{Size: size})
			a, b := get(t, p), get(t, p)
			if a.Path() == b.Path() || a.Address() == b.Address() || a.Gateway() != b.Gateway() {
				t.Errorf("got %s %v by %v and %s %v by %v", a.Path(), a.Address(), a.Gateway(), b.Path(), b.Address(), b.Gateway())
			}
			for _, n := range []*network.Namespace{a, b} {
				address, _ := serve(t, n, n.Path())
				if got, err := greeted(address); err != nil || got != n.Path() {
					t.Errorf("%s says %q, error %v; want %q", address, got, err, n.Path())
				}
				inside(t, n, func() error {
					_, err := greeted(address)
					return err
				})
			}
		})
	}
}

func TestReach(t *testing.T) {
	p := open(t, network.Options{Subnet: netip.MustParsePrefix("10.99.7.0/24")})
	a, b := get(t, p), get(t, p)
	address, _ := serve(t, b, "b")
	host, err := net.Listen("tcp", netip.AddrPortFrom(a.Gateway(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	var fromPeer, fromHost error
	inside(t, a, func() error {
		_, fromPeer = greetedWithin(address, 300*time.Millisecond) // which it is not to be
		var c net.Conn
		if c, fromHost = net.DialTimeout("tcp", host.Addr().String(), 10*time.Second); fromHost == nil {
			fromHost = c.Close()
		}
		return nil
	})
	if fromPeer == nil {
		t.Errorf("%v reaches %v, a sandbox beside it", a.Address(), b.Address())
	}
	if fromHost != nil {
		t.Errorf("%v does not reach the host: %v", a.Address(), fromHost)
	}
}

func TestOutbound(t *testing.T) {
	for _, outbound := range []bool{true, false} {
		t.Run(fmt.Sprint(outbound), func(t *testing.T) {
			n := get(t, open(t, network.Options{Outbound: outbound}))
			var gateways []string
			inside(t, n, func() error {
				routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
				for _, r := range routes {
					if ones, _ := r.Dst.Mask.Size(); ones == 0 {
						gateways = append(gateways, r.Gw.String())
					}
				}
				return err
			})
			var want []string
			if outbound {
				want = []string{n.Gateway().String()}
			}
			if diff := cmp.Diff(want, gateways); diff != "" {
				t.Errorf("default routes (-want +got):\n%s", diff)
			}
		})
	}
}

// One after the other uses a namespace, in which a server hangs up first: its
// ends of connections would be there for a minute.
func TestReuse(t *testing.T) {
	p := open(t, network.Options{Size: 1})
	used := map[string]int{}
	for range 20 {
		n := get(t, p)
		used[n.Path()]++
		address, stop := serve(t, n, "hello")
		if got, err := greeted(address); err != nil || got != "hello" {
			t.Fatalf("got %q, error %v", got, err)
		}
		stop()
		n.Release()
		n.Release() // nothing
		for p.Ready() < 2 {
			time.Sleep(time.Millisecond)
		}
	}
	if len(used) > 2 {
		t.Errorf("got the namespaces %v, want 2", used)
	}
}

func TestDiscard(t *testing.T) {
	p := open(t, network.Options{Size: 1})
	n := get(t, p)
	path := n.Path()
	n.Discard()
	n.Release()
	for range 100 { // it is deleted later
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s is still there after a second", path)
}

func TestFull(t *testing.T) {
	p := open(t, network.Options{Subnet: netip.MustParsePrefix("10.99.8.4/30")})
	n := get(t, p)
	if got, want := n.Address().String()+" "+n.Gateway().String(), "10.99.8.6 10.99.8.5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err := p.Get(t.Context())
	if err == nil || !strings.Contains(err.Error(), "choose a wider subnet") {
		t.Errorf("got error %v", err)
	}
}

func TestGetFails(t *testing.T) {
	p := open(t, network.Options{Size: 1})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no longer wanted")
	cancel(why)
	if _, err := p.Get(ctx); !errors.Is(err, why) {
		t.Errorf("got error %v, want %v", err, why)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Get(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got error %v", err)
	}
}

func TestNewFails(t *testing.T) {
	testenv.Require(t, testenv.Root)
	dir := t.TempDir()
	first := open(t, network.Options{Dir: dir, RunID: "twice", Name: "a", Subnet: netip.MustParsePrefix("10.99.0.0/24")})
	get(t, first)
	for name, tt := range map[string]struct {
		options network.Options
		want    string
	}{
		"no run":       {network.Options{Name: "a"}, `run "" is not fit`},
		"name in use":  {network.Options{RunID: "twice", Name: "a"}, "a name of its own"},
		"slash":        {network.Options{RunID: "r", Name: "a/b"}, `name "a/b" is not fit`},
		"negative":     {network.Options{RunID: "r", Name: "a", Size: -1}, "size is -1"},
		"IPv6":         {network.Options{RunID: "r", Name: "a", Subnet: netip.MustParsePrefix("fd00::/64")}, "want an IPv4 prefix"},
		"too wide":     {network.Options{RunID: "r", Name: "a", Subnet: netip.MustParsePrefix("10.0.0.0/8")}, "16 to 30 bits"},
		"taken":        {network.Options{RunID: "r", Name: "a", Subnet: netip.MustParsePrefix("10.99.0.0/20")}, "overlaps 10.99.0.0/24"},
		"more than is": {network.Options{RunID: "r", Name: "a", Subnet: netip.MustParsePrefix("10.98.0.0/29"), Size: 9}, "choose a wider subnet"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.options.Dir = dir
			tt.options.Log = slog.New(slog.DiscardHandler)
			if _, err := network.New(tt.options); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if found := ofRun(t, dir, "r", ""); len(found) > 0 {
				t.Errorf("left on the host: %q", found)
			}
			if found := ofRun(t, dir, "twice", ""); len(found) != 3 { // namespace, link, bridge
				t.Errorf("of the first pool there is %q, want 3", found)
			}
		})
	}
}
