package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// chosenFrom has the subnets of labs that choose one, each a /24.
var chosenFrom = netip.MustParsePrefix("10.77.0.0/16")

const chosenBits = 24

// capacity is how many hosts a subnet has addresses for: all but its own, the
// broadcast's and the gateway's.
func capacity(p netip.Prefix) int { return 1<<(32-p.Bits()) - 3 }

// gateway is the last address of a subnet, of whatever connects it to the outside.
func gateway(p netip.Prefix) netip.Addr { return nth(p, capacity(p)+1) }

// nth is an address in a subnet; the first host's is 1.
func nth(p netip.Prefix, n int) netip.Addr {
	a := p.Masked().Addr().As4()
	for i := 3; i >= 0; i-- {
		n += int(a[i])
		a[i] = byte(n)
		n >>= 8
	}
	return netip.AddrFrom4(a)
}

// free returns the first /24 of chosenFrom that overlaps nothing taken.
func free(taken []netip.Prefix) (netip.Prefix, error) {
	for n := range 1 << (chosenBits - chosenFrom.Bits()) {
		p := netip.PrefixFrom(nth(chosenFrom, n<<(32-chosenBits)), chosenBits)
		if !overlaps(p, taken) {
			return p, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("every /%d of %v overlaps an address or a route of this machine", chosenBits, chosenFrom)
}

func overlaps(p netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if t.Overlaps(p) {
			return true
		}
	}
	return false
}

// taken are the networks that this machine has an address in or a route to.
func taken() (all []netip.Prefix, err error) {
	addresses, err := complete(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		all = append(all, prefix(a.IPNet))
	}
	routes, err := complete(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if p := prefix(r.Dst); p.Bits() > 0 { // the default route is of no network
			all = append(all, p)
		}
	}
	return all, nil
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

func prefix(n *net.IPNet) netip.Prefix {
	a, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), bits).Masked()
}

// ipNet is an address with the length of its network, as netlink takes it.
func ipNet(a netip.Addr, network netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(network.Bits(), 32)}
}

// hardware is the address of the link that has a.
func hardware(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x0a, 0x5a, b[0], b[1], b[2], b[3]} // locally administered
}

// behind is how far the hosts behind a bastion are from the bastion's subnet, so that
// no two labs have the same: 10.78.3.0/24 behind 10.77.3.0/24.
const behind = 1 << 16

// address chooses the subnets, and says where each host is in them.
func (l *Lab) address(o Options) error {
	used, err := taken()
	if err != nil {
		return err
	}
	if l.Subnet.IsValid() && overlaps(l.Subnet, used) {
		return fmt.Errorf("subnet %v overlaps an address or a route of this machine", l.Subnet)
	}
	chosen, err := free(append(used, l.Subnet))
	if err != nil && (o.Bastion || !l.Subnet.IsValid()) {
		return err
	}
	if o.Bastion {
		l.outer = chosen
		l.Bastion = &Host{Name: "bastion", Address: nth(l.outer, 1)}
		chosen = netip.PrefixFrom(nth(chosen, behind), chosenBits)
	}
	if !l.Subnet.IsValid() {
		l.Subnet = chosen
	}
	if capacity(l.Subnet) < o.Hosts {
		return fmt.Errorf("%d hosts do not fit into %v: choose a wider subnet", o.Hosts, l.Subnet)
	}
	for n := range o.Hosts {
		l.Hosts = append(l.Hosts, &Host{Name: fmt.Sprintf("n%d", n+1), Address: nth(l.Subnet, n+1)})
	}
	return nil
}
