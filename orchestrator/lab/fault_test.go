package lab_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/orchestrator/lab"
)

// inside runs f in the network of a host.
func inside(t *testing.T, h *lab.Host, f func() error) {
	t.Helper()
	err := lab.OnThread(func() error {
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.PID))
		if err != nil {
			return err
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// packets is a socket of a host.
func packets(t *testing.T, h *lab.Host) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	inside(t, h, func() (err error) {
		c, err = net.ListenPacket("udp4", h.Address.String()+":0")
		return err
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// arrive is how many of n packets reach the other socket.
func arrive(t *testing.T, from, to net.PacketConn, n int) (arrived int) {
	t.Helper()
	for range n {
		if _, err := from.WriteTo([]byte("x"), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	buffer := make([]byte, 8)
	for arrived < n {
		if err := to.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := to.ReadFrom(buffer); err != nil {
			return arrived
		}
		arrived++
	}
	return arrived
}

func TestLink(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2})
	a, b := packets(t, l.Hosts[0]), packets(t, l.Hosts[1])
	for _, tt := range []struct {
		name     string
		fault    lab.Fault // of n1
		out, in  [2]int    // how many of 200 packets leave n1, and how many reach it: from and to
		transfer [2]time.Duration
	}{
		{"no fault", lab.Fault{}, [2]int{200, 200}, [2]int{200, 200}, [2]time.Duration{0, 250 * time.Millisecond}},
		{"loss", lab.Fault{Loss: 0.5}, [2]int{50, 150}, [2]int{50, 150}, [2]time.Duration{}}, // seven deviations
		{"cut out", lab.Fault{Cut: "out"}, [2]int{0, 0}, [2]int{200, 200}, [2]time.Duration{}},
		{"cut in", lab.Fault{Cut: "in"}, [2]int{200, 200}, [2]int{0, 0}, [2]time.Duration{}},
		{"cut in and loss", lab.Fault{Cut: "in", Loss: 0.5}, [2]int{50, 150}, [2]int{0, 0}, [2]time.Duration{}},
		{"down", lab.Fault{Down: true}, [2]int{0, 0}, [2]int{0, 0}, [2]time.Duration{}},
		{"rate", lab.Fault{Rate: 8_000_000}, [2]int{200, 200}, [2]int{200, 200}, [2]time.Duration{260 * time.Millisecond, 5 * time.Second}},
		{"healed", lab.Fault{}, [2]int{200, 200}, [2]int{200, 200}, [2]time.Duration{0, 250 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := l.Link("n1", tt.fault); err != nil {
				t.Fatal(err)
			}
			if n := arrive(t, a, b, 200); n < tt.out[0] || n > tt.out[1] {
				t.Errorf("%d of 200 packets left, want %v", n, tt.out)
			}
			if n := arrive(t, b, a, 200); n < tt.in[0] || n > tt.in[1] {
				t.Errorf("%d of 200 packets came, want %v", n, tt.in)
			}
			if tt.transfer[1] == 0 {
				return
			}
			for _, ends := range [][2]*lab.Host{{l.Hosts[0], l.Hosts[1]}, {l.Hosts[1], l.Hosts[0]}} {
				if took := transfer(t, ends[0], ends[1], 300_000); took < tt.transfer[0] || took > tt.transfer[1] {
					t.Errorf("300 kB from %s took %v, want %v", ends[0].Name, took, tt.transfer)
				}
			}
		})
	}
}

// transfer is how long one host takes to send so many bytes to the other.
func transfer(t *testing.T, from, to *lab.Host, size int) time.Duration {
	t.Helper()
	var l net.Listener
	inside(t, to, func() (err error) {
		l, err = net.Listen("tcp4", to.Address.String()+":0")
		return err
	})
	defer l.Close()
	start := time.Now()
	inside(t, from, func() error {
		c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
		if err != nil {
			return err
		}
		go func() {
			_, _ = c.Write(make([]byte, size)) // whoever reads tells
			_ = c.Close()
		}()
		return nil
	})
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := io.Copy(io.Discard, c); int(n) != size || err != nil {
		t.Fatalf("%d of %d bytes came, error %v", n, size, err)
	}
	return time.Since(start)
}

func TestLinkRefuses(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1})
	for name, tt := range map[string]struct {
		host  string
		fault lab.Fault
		want  string
	}{
		"an unknown host": {"n9", lab.Fault{}, "no host n9"},
		"a loss":          {"n1", lab.Fault{Loss: 1.5}, "want 0 to 1"},
		"a cut":           {"n1", lab.Fault{Cut: "both"}, "want in or out"},
		"a rate":          {"n1", lab.Fault{Rate: 1}, "at least"},
		"a delay":         {"n1", lab.Fault{Delay: -1}, "0 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := l.Link(tt.host, tt.fault); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2, Bastion: true})
	a, b := packets(t, l.Hosts[0]), packets(t, l.Hosts[1])
	trip := func() time.Duration {
		start := time.Now()
		if n := arrive(t, a, b, 1) + arrive(t, b, a, 1); n != 2 {
			t.Errorf("%d of 2 packets came", n)
		}
		return time.Since(start)
	}
	trip() // they learn each other's address
	for _, tt := range []struct {
		name     string
		fault    lab.Fault
		trip     [2]time.Duration // there and back
		transfer [2]time.Duration // a handshake of one trip, and some more for the data
	}{
		{"delay", lab.Fault{Delay: 30 * time.Millisecond}, [2]time.Duration{60 * time.Millisecond, time.Second}, [2]time.Duration{90 * time.Millisecond, 5 * time.Second}},
		{"healed", lab.Fault{}, [2]time.Duration{0, 59 * time.Millisecond}, [2]time.Duration{0, 250 * time.Millisecond}},
		{"delay and rate", lab.Fault{Delay: time.Millisecond, Rate: 8_000_000}, [2]time.Duration{2 * time.Millisecond, time.Second}, [2]time.Duration{260 * time.Millisecond, 5 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := l.Link("n1", tt.fault); err != nil {
				t.Fatal(err)
			}
			if took := trip(); took < tt.trip[0] || took > tt.trip[1] {
				t.Errorf("there and back took %v, want %v", took, tt.trip)
			}
			for _, ends := range [][2]*lab.Host{{l.Hosts[0], l.Hosts[1]}, {l.Hosts[1], l.Hosts[0]}} {
				if took := transfer(t, ends[0], ends[1], 300_000); took < tt.transfer[0] || took > tt.transfer[1] {
					t.Errorf("300 kB from %s took %v, want %v", ends[0].Name, took, tt.transfer)
				}
			}
		})
	}
	for _, cut := range []string{"out", "in"} {
		if err := l.Link("n1", lab.Fault{Delay: time.Millisecond, Cut: cut}); err != nil {
			t.Fatal(err)
		}
		if out, in := arrive(t, a, b, 5), arrive(t, b, a, 5); cut == "out" && (out != 0 || in != 5) || cut == "in" && (out != 5 || in != 0) {
			t.Errorf("cut %s with a delay, %d of 5 packets left and %d came", cut, out, in)
		}
	}
	other, err := lab.Open(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Link("n1", lab.Fault{}); err != nil {
		t.Fatal(err)
	}
	if err := l.AwaitHealed(t.Context(), "n1"); err != nil {
		t.Error(err)
	}
	trip()
}
