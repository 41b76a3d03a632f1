package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// state is what can be seen of a namespace, a sorted line for each part.
type state []string

// changes are the lines that only one of two states has.
func changes(made, now state) (differences []string) {
	for _, line := range made {
		if _, found := slices.BinarySearch(now, line); !found {
			differences = append(differences, "gone: "+line)
		}
	}
	for _, line := range now {
		if _, found := slices.BinarySearch(made, line); !found {
			differences = append(differences, "new: "+line)
		}
	}
	return differences
}

// remember keeps what a namespace is like, if it may be used again.
func (p *Pool) remember(n *node) error {
	if p.options.Size == 0 {
		return nil
	}
	return inside(p.host.namespace, func() error { return enter(n.pin) }, func() (err error) {
		if n.made, err = look(); err != nil || p.options.ReadOnlySettings {
			return err
		}
		return p.settings.learn()
	})
}

// clean removes from a released namespace what is there after any use, and says
// what else is not as it was made.
func (p *Pool) clean(n *node) (differences []string, err error) {
	err = inside(p.host.namespace, func() error { return enter(n.pin) }, func() error {
		sockets, err := endSockets()
		if err != nil || sockets != "" {
			differences = []string{sockets}
			return err
		}
		if err := forget(); err != nil {
			return err
		}
		now, err := look()
		if differences = changes(n.made, now); err != nil || len(differences) > 0 || p.options.ReadOnlySettings {
			return err
		}
		differences, err = p.settings.differ()
		return err
	})
	return differences, err
}

// ofThread is where the kernel shows the network of the reading thread.
const ofThread = "/proc/thread-self/net"

// endSockets ends the connections that outlived their process, and says which
// sockets are left. It counts those of the thread's namespace itself: nothing
// may hold one there.
func endSockets() (left string, err error) {
	if left, err = openSockets(); err != nil || left == "" {
		return left, err
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := complete(func() ([]*netlink.Socket, error) { return netlink.SocketDiagTCP(family) })
		if err != nil {
			return left, nil // the kernel may lack it
		}
		for _, s := range sockets {
			if s.INode == 0 { // no file has it open; what is not ended is counted below
				_ = netlink.SocketDestroy(
					&net.TCPAddr{IP: s.ID.Source, Port: int(s.ID.SourcePort)},
					&net.TCPAddr{IP: s.ID.Destination, Port: int(s.ID.DestinationPort)},
				)
			}
		}
	}
	return openSockets()
}

// openSockets says which sockets are in the thread's namespace, of any family
// and those that wait for late packets, too. "" is none.
func openSockets() (left string, err error) {
	protocols, err := os.ReadFile(filepath.Join(ofThread, "protocols"))
	if err != nil {
		return "", err
	}
	sockstat, err := os.ReadFile(filepath.Join(ofThread, "sockstat"))
	if err != nil {
		return "", err
	}
	return parseSockets(string(protocols), string(sockstat))
}

// parseSockets reads net/protocols of proc(5), with a header and lines such as
// "TCP 2304 1 ...", of which the third column counts the sockets; and
// net/sockstat, with "TCP: inuse 0 orphan 0 tw 1 ...", of which tw counts the
// connections that wait. The other numbers are the whole host's, or late: the
// total goes down only when the kernel has freed a socket.
func parseSockets(protocols, sockstat string) (left string, err error) {
	var found []string
	header, lines, _ := strings.Cut(protocols, "\n")
	if f := strings.Fields(header); len(f) < 3 || f[2] != "sockets" {
		return "", fmt.Errorf("read the number of sockets: unexpected %q", header)
	}
	for line := range strings.Lines(lines) {
		f := strings.Fields(line)
		if len(f) < 3 {
			return "", fmt.Errorf("read the number of sockets: unexpected %q", line)
		}
		if n, err := strconv.Atoi(f[2]); err != nil || n > 0 {
			found = append(found, f[2]+" "+f[0])
		}
	}
	_, waiting, ok := strings.Cut(sockstat, " tw ")
	if !ok {
		return "", fmt.Errorf("read the number of waiting connections: unexpected %q", sockstat)
	}
	if waiting, _, _ = strings.Cut(waiting, " "); waiting != "0" {
		found = append(found, waiting+" waiting")
	}
	if len(found) == 0 {
		return "", nil
	}
	return "sockets: " + strings.Join(found, ", "), nil
}

// forget empties what the thread's namespace has learned of its neighbours and
// of the ways to them.
func forget() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	known, err := complete(func() ([]netlink.Neigh, error) { return h.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range known {
		if n.State&netlink.NUD_NOARP != 0 {
			continue
		}
		if err := h.NeighDel(&n); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("forget the neighbour %v: %w", n.IP, err)
		}
	}
	return errors.Join(forgetPeers(), setting("ipv4/route/flush", "1"), setting("ipv6/route/flush", "1"))
}

// forgetPeers empties what TCP has learned of the speed of its peers.
func forgetPeers() error {
	const del, version = 2, 1 // TCP_METRICS_CMD_DEL, TCP_METRICS_GENL_VERSION of linux/tcp_metrics.h
	family, err := netlink.GenlFamilyGet("tcp_metrics")
	if errors.Is(err, unix.ENOENT) {
		return nil // the kernel does not keep them
	}
	if err != nil {
		return fmt.Errorf("find tcp_metrics: %w", err)
	}
	request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
	request.AddData(&nl.Genlmsg{Command: del, Version: version}) // of no peer: of all
	if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
		return fmt.Errorf("forget TCP metrics: %w", err)
	}
	return nil
}

// look returns the state of the thread's namespace.
func look() (s state, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	for _, part := range []struct {
		what string
		list func(*netlink.Handle) ([]string, error)
	}{
		{"links", linkLines},
		{"addresses", addressLines},
		{"routes", routeLines},
		{"rules", ruleLines},
		{"queues", queueLines},
		{"neighbours", neighbourLines},
		{"packet filters", filterLines},
	} {
		lines, err := part.list(h)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", part.what, err)
		}
		s = append(s, lines...)
	}
	slices.Sort(s)
	return s, nil
}

// later are the flags of links and routes that the kernel sets and clears
// some time after a link is up.
const (
	laterOfLinks  = unix.IFF_RUNNING | unix.IFF_LOWER_UP | unix.IFF_DORMANT
	laterOfRoutes = unix.RTNH_F_LINKDOWN | unix.RTNH_F_DEAD
	multicast     = "ff00::/8" // a route to it, too
)

func linkLines(h *netlink.Handle) (lines []string, err error) {
	all, err := complete(h.LinkList)
	for _, l := range all {
		a := l.Attrs()
		lines = append(lines, fmt.Sprintf("link %d %s %s: flags %x mtu %d queue %d address %v alias %q master %d group %d promiscuous %d xdp %t names %v",
			a.Index, l.Type(), a.Name, a.RawFlags&^laterOfLinks, a.MTU, a.TxQLen, a.HardwareAddr, a.Alias, a.MasterIndex, a.Group, a.Promisc, a.Xdp != nil && a.Xdp.Attached, a.AltNames))
	}
	return lines, err
}

func addressLines(h *netlink.Handle) (lines []string, err error) {
	all, err := complete(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	for _, a := range all {
		lines = append(lines, fmt.Sprintf("address %v of link %d: label %q peer %v broadcast %v scope %d flags %x lifetime %d %d",
			a.IPNet, a.LinkIndex, a.Label, a.Peer, a.Broadcast, a.Scope, a.Flags, a.ValidLft, a.PreferedLft))
	}
	return lines, err
}

func routeLines(h *netlink.Handle) (lines []string, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := complete(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			if r.Protocol == unix.RTPROT_KERNEL && r.Dst.String() == multicast {
				continue
			}
			r.Flags &^= laterOfRoutes
			lines = append(lines, fmt.Sprintf("route %v type %d priority %d mtu %d window %d rtt %d", r, r.Type, r.Priority, r.MTU, r.Window, r.Rtt))
		}
	}
	return lines, nil
}

func ruleLines(h *netlink.Handle) (lines []string, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := complete(func() ([]netlink.Rule, error) { return h.RuleList(family) })
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			lines = append(lines, fmt.Sprintf("rule %v family %d type %d mark %x in %q out %q invert %t", r, family, r.Type, r.Mark, r.IifName, r.OifName, r.Invert))
		}
	}
	return lines, nil
}

// queueLines are the queueing disciplines, but for the absence of one, which
// the kernel shows when a link has carried something.
func queueLines(h *netlink.Handle) (lines []string, err error) {
	all, err := complete(func() ([]netlink.Qdisc, error) { return h.QdiscList(nil) })
	for _, q := range all {
		if q.Type() != "noqueue" {
			lines = append(lines, fmt.Sprintf("queue %s %v", q.Type(), q.Attrs()))
		}
	}
	return lines, err
}

// neighbourLines are those that are not learned.
func neighbourLines(h *netlink.Handle) (lines []string, err error) {
	all, err := complete(func() ([]netlink.Neigh, error) { return h.NeighProxyList(0, netlink.FAMILY_ALL) })
	for _, n := range all {
		lines = append(lines, fmt.Sprintf("proxy for the neighbour %v on link %d", n.IP, n.LinkIndex))
	}
	return lines, err
}

// filterLines are the tables of iptables, and how often nftables were changed.
func filterLines(*netlink.Handle) (lines []string, err error) {
	for _, file := range []string{"ip_tables_names", "ip6_tables_names", "arp_tables_names"} {
		b, err := os.ReadFile(filepath.Join(ofThread, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for name := range strings.Lines(string(b)) {
			lines = append(lines, file+" "+strings.TrimSpace(name))
		}
	}
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddRawData([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}) // struct nfgenmsg
	replies, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	if err != nil {
		return lines, nil // the kernel has no nftables
	}
	for _, reply := range replies {
		attrs, err := nl.ParseRouteAttr(reply[min(4, len(reply)):])
		if err != nil {
			return nil, err
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.NFTA_GEN_ID {
				lines = append(lines, fmt.Sprintf("nftables generation %x", a.Value))
			}
		}
	}
	return lines, nil
}
