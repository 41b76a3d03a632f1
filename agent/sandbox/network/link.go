package network

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// wayOut ends the errors that a user can do something about.
const wayOut = `or set network = "none" in the container block of the worker`

// explain says what was done and what the host lacks for it.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w: this takes CAP_NET_ADMIN and CAP_SYS_ADMIN; run the agent as root, %s", doing, err, wayOut)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: %w: the kernel lacks it; load its modules with `modprobe -a bridge veth`, %s", doing, err, wayOut)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// host is the network namespace that the agent is in.
type host struct {
	namespace *os.File
	netlink   *netlink.Handle
}

func openHost() (*host, error) {
	f, err := os.Open(current)
	if err != nil {
		return nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), f.Close())
	}
	return &host{f, h}, nil
}

func (h *host) close() error {
	h.netlink.Close()
	return h.namespace.Close()
}

// alone runs f while no other pool of this network namespace is in such an f.
func (h *host) alone(f func() error) error {
	lock, err := os.Open(current) // a lock belongs to what was opened
	if err != nil {
		return err
	}
	defer lock.Close()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			return f()
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock the network namespace: %w", err)
		}
	}
}

// complete asks again while what it asks for changes as it is listed.
func complete[T any](list func() (T, error)) (T, error) {
	for {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}

// addresses are the networks of the host's addresses.
func (h *host) addresses() (taken []netip.Prefix, err error) {
	all, err := complete(func() ([]netlink.Addr, error) { return h.netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		taken = append(taken, prefix(a.IPNet))
	}
	return taken, nil
}

// routes are the networks that the host has a route to, in any table, but for
// the rest of the world.
func (h *host) routes() (taken []netip.Prefix, err error) {
	all, err := complete(func() ([]netlink.Route, error) {
		return h.netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range all {
		if p := prefix(r.Dst); p.IsValid() && p.Bits() > 0 {
			taken = append(taken, p)
		}
	}
	return taken, nil
}

// prefix is n, or no prefix for nil.
func prefix(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.Prefix{}
	}
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits).Masked()
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// addBridge makes a bridge that has the address and returns its index.
func (h *host) addBridge(o owner, n int, address netip.Prefix) (index int, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = o.bridge(n)
	attrs.HardwareAddr = hardware(address.Addr()) // else it changes when a port comes or goes
	snooping := false
	b := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	if err := explain("make the bridge "+attrs.Name, h.netlink.LinkAdd(b)); err != nil {
		return 0, err
	}
	for _, step := range []func() error{
		func() error { return h.netlink.LinkSetAlias(b, o.label()) },
		func() error { return WithoutIPv6(h.netlink, b) },
		func() error { return h.netlink.AddrAdd(b, &netlink.Addr{IPNet: ipNet(address)}) },
		func() error { return h.netlink.LinkSetUp(b) },
	} {
		if err := step(); err != nil {
			return 0, errors.Join(explain("set up the bridge "+attrs.Name, err), h.netlink.LinkDel(b))
		}
	}
	return b.Index, nil
}

// addPort makes a link from a bridge to the current namespace of another
// thread, where it is device and has the address. It is down.
func (h *host) addPort(name, label string, bridge int, namespace *os.File, address netip.Prefix) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.MasterIndex = bridge
	v := &netlink.Veth{
		LinkAttrs: attrs, PeerName: device, PeerHardwareAddr: hardware(address.Addr()),
		PeerNamespace: netlink.NsFd(namespace.Fd()),
	}
	if err := explain("make the link "+name, h.netlink.LinkAdd(v)); err != nil {
		return nil, err
	}
	if err := h.netlink.LinkSetAlias(v, label); err != nil {
		return nil, errors.Join(explain("label the link "+name, err), h.netlink.LinkDel(v))
	}
	return v, nil
}

// openPort lets a port speak with the host, and with no other port. The host
// knows who is behind it: asking all ports of a bridge is more than the kernel
// has buffers for.
func (h *host) openPort(port netlink.Link, bridge int, address netip.Addr) error {
	for _, step := range []func() error{
		func() error { return WithoutIPv6(h.netlink, port) },
		func() error { return h.netlink.LinkSetIsolated(port, true) },
		func() error {
			return h.netlink.NeighSet(&netlink.Neigh{
				LinkIndex: port.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_NOARP, Flags: netlink.NTF_MASTER,
				HardwareAddr: hardware(address),
			})
		},
		func() error {
			return h.netlink.NeighSet(&netlink.Neigh{
				LinkIndex: bridge, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
				IP: address.AsSlice(), HardwareAddr: hardware(address),
			})
		},
		func() error { return h.netlink.LinkSetUp(port) },
	} {
		if err := step(); err != nil {
			return explain("set up the link "+port.Attrs().Name, err)
		}
	}
	return nil
}

// WithoutIPv6 keeps a link from giving itself an address and from telling its
// neighbours. To write the setting of the link instead takes longer the more
// namespaces there are: 1 ms with 800.
func WithoutIPv6(h *netlink.Handle, link netlink.Link) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	err := h.LinkSetIP6AddrGenMode(link, none)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil // there is no IPv6
	}
	return err
}

// setting sets one of the thread's namespace, which the kernel may lack.
func setting(name, value string) error {
	err := os.WriteFile(filepath.Join(settingsDir, name), []byte(value), 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// links lists the links of the host.
func (h *host) links() ([]netlink.Link, error) {
	all, err := complete(h.netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return all, nil
}

// deleteLinks removes links of the host; those that have gone by themselves
// are fine. The kernel waits once for each call, 30 ms, not for each link: the
// links are put into a group that nothing else is in, which is then deleted.
func (h *host) deleteLinks(indices []int) error {
	if len(indices) == 0 {
		return nil
	}
	group := 1<<30 | rand.IntN(1<<30)
	var errs []error
	for _, index := range indices {
		link := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
		if err := h.netlink.LinkSetGroup(link, group); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, explain(fmt.Sprintf("mark link %d for deletion", index), err))
		}
	}
	request := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.ENODEV) {
		errs = append(errs, explain("delete links", err))
	}
	return errors.Join(errs...)
}
