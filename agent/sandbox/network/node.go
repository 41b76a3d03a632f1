package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device is the name of a namespace's link to its bridge.
const device = "eth0"

// node is a namespace that was made.
type node struct {
	place   int // in the layout
	pin     string
	link    int // index of its port on the host
	address netip.Prefix
	gateway netip.Addr
	made    state // as it was made
}

// make makes a namespace. On error nothing is left.
func (p *Pool) make() (*node, error) {
	n, bridge, err := p.reserve()
	if err != nil {
		return nil, err
	}
	var port netlink.Link
	err = inside(p.host.namespace, func() error {
		return explain("make a network namespace", unix.Unshare(unix.CLONE_NEWNET))
	}, func() (err error) {
		if err := pinCurrent(n.pin); err != nil {
			return explain("keep a network namespace", err)
		}
		port, err = p.wire(n, bridge)
		return err
	})
	if err == nil {
		n.link = port.Attrs().Index
		err = p.host.openPort(port, bridge, n.address.Addr())
	}
	if err == nil {
		err = p.remember(n)
	}
	if err != nil {
		errs := []error{err, unpin(n.pin)}
		if port != nil {
			errs = append(errs, p.host.deleteLinks([]int{port.Attrs().Index}))
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.free = append(p.free, n.place)
		return nil, errors.Join(errs...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, n)
	return n, nil
}

// reserve gives a node a place, and returns the index of its bridge.
func (p *Pool) reserve() (n *node, bridge int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := p.next
	if last := len(p.free) - 1; last >= 0 {
		place, p.free = p.free[last], p.free[:last]
	} else if p.next == p.layout.capacity() {
		return nil, 0, fmt.Errorf("all %d addresses of %v are in use: choose a wider subnet", p.next, p.layout.subnet)
	} else {
		p.next++
	}
	number, address := p.layout.place(place)
	for number >= len(p.bridges) {
		if err := p.host.alone(p.addBridge); err != nil {
			p.free = append(p.free, place)
			return nil, 0, err
		}
	}
	return &node{
		place: place, pin: p.owner.pin(p.dir, place),
		address: address, gateway: p.layout.gateway(number).Addr(),
	}, p.bridges[number], nil
}

// wire sets up the network of the thread's new namespace, and makes its port
// on the host.
func (p *Pool) wire(n *node, bridge int) (port netlink.Link, err error) {
	own, err := os.Open(current)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	if err := upByName(h, "lo"); err != nil {
		return nil, explain("set up the loopback", err)
	}
	port, err = p.host.addPort(p.owner.port(n.place), p.owner.label(), bridge, own, n.address)
	if err != nil {
		return nil, err
	}
	eth, err := h.LinkByName(device)
	if err != nil {
		return port, fmt.Errorf("find the link %s: %w", device, err)
	}
	for _, step := range []func() error{
		func() error { return WithoutIPv6(h, eth) },
		func() error { return h.AddrAdd(eth, &netlink.Addr{IPNet: ipNet(n.address)}) },
		func() error { return h.LinkSetUp(eth) },
		func() error { return p.addRoute(h, eth, n.gateway) },
	} {
		if err := step(); err != nil {
			return port, explain("set up the link "+device, err)
		}
	}
	return port, nil
}

func (p *Pool) addRoute(h *netlink.Handle, link netlink.Link, gateway netip.Addr) error {
	if !p.options.Outbound {
		return nil
	}
	return h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()})
}

func upByName(h *netlink.Handle, name string) error {
	l, err := h.LinkByName(name)
	if err != nil {
		return err
	}
	return h.LinkSetUp(l)
}
