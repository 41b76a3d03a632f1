package network_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox/network"
)

func TestChanges(t *testing.T) {
	link := func(name string) netlink.Link {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Error(err)
		}
		return l
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 0), Mask: net.CIDRMask(24, 32)}}
	for name, tt := range map[string]struct {
		change func() error
		want   string // the beginning of one of the changes; "" for none
	}{
		"nothing":      {func() error { return nil }, ""},
		"address":      {func() error { return netlink.AddrAdd(link("eth0"), address) }, "new: address 192.0.2.0/24"},
		"address gone": {func() error { return flushAddresses(link("eth0")) }, "gone: address 10."},
		"route": {func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: link("eth0").Attrs().Index, Dst: address.IPNet})
		}, "new: route"},
		"loopback down":  {func() error { return netlink.LinkSetDown(link("lo")) }, "gone: link 1"},
		"mtu":            {func() error { return netlink.LinkSetMTU(link("eth0"), 1280) }, "new: link 2"},
		"another link":   {func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "more"}}) }, "new: link 3 bridge more"},
		"rule":           {addRule, "new: rule"},
		"queue":          {func() error { return addQueue(link("eth0")) }, "new: queue"},
		"setting":        {func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) }, "setting ipv4/"},
		"neighbour":      {func() error { return addNeighbour(link("eth0"), 0) }, ""},
		"proxy":          {func() error { return addNeighbour(link("eth0"), netlink.NTF_PROXY) }, "new: proxy"},
		"packet filter":  {func() error { return iptables("-A", "INPUT", "-p", "udp", "-j", "DROP") }, "new: "},
		"emptied filter": {func() error { return errors.Join(iptables("-A", "INPUT", "-j", "DROP"), iptables("-F")) }, "new: "},
	} {
		t.Run(name, func(t *testing.T) {
			n := get(t, open(t, network.Options{Size: 1}))
			inside(t, n, tt.change)
			got, err := n.Changes()
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && !slices.ContainsFunc(got, func(c string) bool { return strings.HasPrefix(c, tt.want) }) {
				t.Errorf("changes are %q, want %q", got, tt.want)
			}
		})
	}
}

// learned is what TCP has learned of its peers.
func learned(t *testing.T, n *network.Namespace) (metrics int) {
	t.Helper()
	inside(t, n, func() error {
		family, err := netlink.GenlFamilyGet("tcp_metrics")
		if err != nil {
			return err
		}
		request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		request.AddData(&nl.Genlmsg{Command: 1, Version: 1}) // TCP_METRICS_CMD_GET
		all, err := request.Execute(unix.NETLINK_GENERIC, 0)
		metrics = len(all)
		return err
	})
	return metrics
}

func TestForget(t *testing.T) {
	n := get(t, open(t, network.Options{Size: 1}))
	address, stop := serve(t, n, strings.Repeat("learn how fast this is", 1000))
	for range 5 {
		if _, err := greeted(address); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if learned(t, n) == 0 {
		t.Error("TCP has learned nothing, so nothing is tested")
	}
	if got, err := n.Changes(); err != nil || len(got) > 0 {
		t.Errorf("changes are %q, error %v", got, err)
	}
	if got := learned(t, n); got > 0 {
		t.Errorf("of %d peers TCP still knows", got)
	}
}

func flushAddresses(l netlink.Link) error {
	all, err := netlink.AddrList(l, netlink.FAMILY_V4)
	for _, a := range all {
		err = errors.Join(err, netlink.AddrDel(l, &a))
	}
	return err
}

func addRule() error {
	r := netlink.NewRule()
	r.Table, r.Priority = 7, 7
	return netlink.RuleAdd(r)
}

func addQueue(l netlink.Link) error {
	attrs := netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	return netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: attrs, QdiscType: "pfifo"})
}

func addNeighbour(l netlink.Link, flags int) error {
	return netlink.NeighAdd(&netlink.Neigh{
		LinkIndex: l.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT, Flags: flags,
		IP: net.IPv4(192, 0, 2, 9), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
	})
}

func iptables(args ...string) error {
	out, err := exec.Command("iptables", args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		out, err = exec.Command("iptables-legacy", args...).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("iptables: %w: %s", err, out)
	}
	return nil
}

func TestSockets(t *testing.T) {
	for name, address := range map[string]string{"IPv4": "0.0.0.0:0", "IPv6 and IPv4": "[::]:0"} {
		t.Run(name, func(t *testing.T) {
			n := get(t, open(t, network.Options{Size: 1}))
			address, stop := serveAt(t, n, address, "hello")
			if got, err := greeted(address); err != nil || got != "hello" {
				t.Errorf("got %q, error %v", got, err)
			}
			if got, err := n.Changes(); err != nil || len(got) != 1 || !strings.HasPrefix(got[0], "sockets: 1 ") {
				t.Errorf("with a server, changes are %q, error %v", got, err)
			}
			stop() // its end of the connection would now wait for a minute
			if got, err := n.Changes(); err != nil || len(got) > 0 {
				t.Errorf("without it, changes are %q, error %v", got, err)
			}
		})
	}
}
