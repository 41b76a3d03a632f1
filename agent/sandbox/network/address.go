package network

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The subnets that a pool chooses from are /16s of chosenFrom.
var chosenFrom = netip.MustParsePrefix("10.64.0.0/10")

const (
	widest     = 16 // bits of the widest subnet: the names of links hold no higher index
	narrowest  = 30 // bits of the narrowest: it has one address to give
	bridgeBits = 22 // of a bridge's network: its 1 021 addresses are as many ports as a bridge can have
)

// layout is how a subnet is dealt out: one network to each bridge, and of each
// network the first address to the bridge and the others to namespaces.
type layout struct {
	subnet netip.Prefix
	bits   int // of a bridge's network
}

func newLayout(subnet netip.Prefix) (layout, error) {
	if !subnet.Addr().Is4() || subnet.Bits() < widest || subnet.Bits() > narrowest {
		return layout{}, fmt.Errorf("subnet %v: want an IPv4 prefix of %d to %d bits", subnet, widest, narrowest)
	}
	return layout{subnet: subnet.Masked(), bits: max(bridgeBits, subnet.Bits())}, nil
}

// perBridge is the number of namespaces on a bridge: its network without the
// address of the network, of the bridge and of the broadcast.
func (l layout) perBridge() int { return 1<<(32-l.bits) - 3 }

// capacity is the number of namespaces in the subnet.
func (l layout) capacity() int { return 1 << (l.bits - l.subnet.Bits()) * l.perBridge() }

// gateway is the address of bridge n in its network.
func (l layout) gateway(n int) netip.Prefix { return l.host(n, 1) }

// place is the bridge and the address of namespace n, which is below capacity.
func (l layout) place(n int) (bridge int, address netip.Prefix) {
	bridge = n / l.perBridge()
	return bridge, l.host(bridge, 2+n%l.perBridge())
}

// host is an address in the network of a bridge.
func (l layout) host(bridge, n int) netip.Prefix {
	a := l.subnet.Addr().As4()
	n += bridge << (32 - l.bits)
	a[1], a[2], a[3] = a[1]|byte(n>>16), a[2]|byte(n>>8), a[3]|byte(n)
	return netip.PrefixFrom(netip.AddrFrom4(a), l.bits)
}

// choose returns the first /16 of chosenFrom that overlaps nothing taken.
func choose(taken []netip.Prefix) (netip.Prefix, error) {
	a := chosenFrom.Addr().As4()
	for range 1 << (widest - chosenFrom.Bits()) {
		subnet := netip.PrefixFrom(netip.AddrFrom4(a), widest)
		if _, found := overlap(subnet, taken); !found {
			return subnet, nil
		}
		a[1]++
	}
	return netip.Prefix{}, fmt.Errorf("every /%d of %v overlaps an address or a route of this host", widest, chosenFrom)
}

// overlap is the first prefix that has addresses in common with p.
func overlap(p netip.Prefix, taken []netip.Prefix) (netip.Prefix, bool) {
	for _, t := range taken {
		if t.Overlaps(p) {
			return t, true
		}
	}
	return netip.Prefix{}, false
}

// hardware is the address of the link that has a, on a network of ours. It
// depends on nothing else, so that no neighbour remembers a wrong one.
func hardware(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x0a, 0x58, b[0], b[1], b[2], b[3]} // locally administered
}

// owner is whose a bridge, link or pin is.
type owner struct {
	run, name string // see Options
}

// labelPrefix begins the alias of every link of ours.
const labelPrefix = "ainur/"

func (o owner) label() string { return labelPrefix + o.run + "/" + o.name }

func parseLabel(label string) (o owner, ok bool) {
	rest, ours := strings.CutPrefix(label, labelPrefix)
	run, name, cut := strings.Cut(rest, "/")
	return owner{run, name}, ours && cut
}

// The names of links: linkPrefix, hashLength letters of the owner's, then - and
// a number for a bridge, or four digits for a port. That is 15 bytes at most, as
// Linux wants it.
const (
	linkPrefix = "ainur"
	hashLength = 6
)

// links begins the names of the owner's links. They are found by it when they
// were not labelled in time.
func (o owner) links() string {
	sum := sha256.Sum256([]byte(o.label()))
	return linkPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:hashLength])
}

func (o owner) bridge(n int) string { return o.links() + "-" + strconv.Itoa(n) }
func (o owner) port(n int) string   { return fmt.Sprintf("%s%04x", o.links(), n) }

// linkOwner is what the name of a link says: the beginning that links returned.
func linkOwner(name string) (links string, ours bool) {
	n := len(linkPrefix) + hashLength
	if len(name) <= n || !strings.HasPrefix(name, linkPrefix) {
		return "", false
	}
	return name[:n], true
}
