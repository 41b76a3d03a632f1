package lab

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox/network"
)

// The bridges of a switch. With a bastion there are two, and it is on both; nothing
// else connects them.
const (
	outerBridge = "outer" // with the link to this machine
	innerBridge = "inner" // of the hosts behind a bastion
)

// switchDir is the folder of the switch in that of a lab. No host is called so.
const switchDir = "switch"

// wired is the network namespace of a switch while hosts are plugged in.
type wired struct {
	netlink   *netlink.Handle
	bridges   map[string]netlink.Link
	namespace *os.File
}

func (s *wired) close() {
	s.netlink.Close()
	_ = s.namespace.Close() // only looked at
}

// id is short and belongs to the folder: what is on the machine itself is named after
// it, and is found by it when nothing else is known of the lab.
func (l *Lab) id() string {
	sum := sha256.Sum256([]byte(l.Dir))
	return hex.EncodeToString(sum[:4])
}

// link is the name of the machine's end of the link to the switch.
func (l *Lab) link() string { return "lab" + l.id() }

// makeSwitch makes the namespace of the switch, its bridges and the link to it.
func (l *Lab) makeSwitch(ctx context.Context) (_ *wired, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir := l.path(switchDir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	machine, err := os.Open(own + "net")
	if err != nil {
		return nil, err
	}
	defer machine.Close()
	s := &wired{bridges: map[string]netlink.Link{}}
	defer func() {
		if err != nil && s.netlink != nil {
			s.close()
		}
	}()
	var p process
	err = onThread(func() (err error) {
		if s.netlink, s.namespace, err = newNetwork(); err != nil {
			return err
		}
		p, err = start(blocked+"exec sleep infinity", 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the switch: %w", err)
	}
	_, err = l.keep(p, dir, func() error {
		if err := s.addBridges(l.Bastion != nil); err != nil {
			return err
		}
		subnet := l.Subnet
		if l.Bastion != nil {
			subnet = l.outer
		}
		return s.connect(l.link(), machine, subnet)
	})
	if err != nil {
		return nil, fmt.Errorf("make the switch: %w", err)
	}
	return s, nil
}

// newNetwork puts the thread into a network of its own, with a loopback.
func newNetwork() (*netlink.Handle, *os.File, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return nil, nil, fmt.Errorf("make a network namespace: %w", err)
	}
	namespace, err := os.Open(own + "net")
	if err != nil {
		return nil, nil, err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open netlink: %w", err), namespace.Close())
	}
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		h.Close()
		return nil, nil, errors.Join(fmt.Errorf("set up the loopback: %w", err), namespace.Close())
	}
	return h, namespace, nil
}

func (s *wired) addBridges(bastion bool) error {
	names := []string{outerBridge}
	if bastion {
		names = append(names, innerBridge)
	}
	for n, name := range names {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		attrs.HardwareAddr = []byte{0x0a, 0x5b, 0, 0, 0, byte(n)} // else it changes with the ports
		snooping := false
		b := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
		for _, step := range []func() error{
			func() error { return s.netlink.LinkAdd(b) },
			func() error { return network.WithoutIPv6(s.netlink, b) },
			func() error { return s.netlink.LinkSetUp(b) },
		} {
			if err := step(); err != nil {
				return fmt.Errorf("make the bridge %s: %w", name, err)
			}
		}
		s.bridges[name] = b
	}
	return nil
}

// connect makes the machine a host of the outer bridge: the gateway's address is its own.
func (s *wired) connect(name string, machine *os.File, subnet netip.Prefix) error {
	if err := s.plug("machine", outerBridge, machine, name, gateway(subnet)); err != nil {
		return err
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	return setUp(h, name, gateway(subnet), subnet)
}

// plug makes a link from a bridge into a namespace, where it is called device.
func (s *wired) plug(port, bridge string, namespace *os.File, device string, address netip.Addr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	attrs.MasterIndex = s.bridges[bridge].Attrs().Index
	v := &netlink.Veth{LinkAttrs: attrs, PeerName: device, PeerHardwareAddr: hardware(address), PeerNamespace: netlink.NsFd(namespace.Fd())}
	for _, step := range []func() error{
		func() error { return s.netlink.LinkAdd(v) },
		func() error { return network.WithoutIPv6(s.netlink, v) },
		func() error { return s.netlink.LinkSetUp(v) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("make the link %s: %w", port, err)
		}
	}
	return nil
}

// setUp gives a link its address in the subnet.
func setUp(h *netlink.Handle, device string, address netip.Addr, subnet netip.Prefix) error {
	link, err := h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", device, err)
	}
	for _, step := range []func() error{
		func() error { return network.WithoutIPv6(h, link) },
		func() error { return h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(address, subnet)}) },
		func() error { return h.LinkSetUp(link) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("set up the link %s: %w", device, err)
		}
	}
	return nil
}

// unplug removes the machine's end of the link to the switch, and so the other one.
func (l *Lab) unplug() error {
	link, err := netlink.LinkByName(l.link())
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove the link %s: %w", l.link(), err)
	}
	return nil
}

// newID is 16 random bytes in hexadecimal.
func newID() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("draw an id: %w", err)
	}
	return hex.EncodeToString(b), nil
}
