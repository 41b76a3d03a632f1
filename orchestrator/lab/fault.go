package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Fault is what is wrong with the link of a host. The zero value is nothing.
type Fault struct {
	Rate  uint64        // bits per second, each way; 0 is as fast as it goes
	Loss  float64       // of the packets, each way, from 0 to 1
	Delay time.Duration // of each packet, each way, as long as this process lives
	Down  bool          // as if the cable was pulled
	Cut   string        // in or out: nothing comes to the host, or nothing leaves it
}

func (f Fault) validate() error {
	switch {
	case f.Rate != 0 && f.Rate < minRate:
		return fmt.Errorf("rate is %d bit/s, want %d at least", f.Rate, minRate)
	case !(f.Loss >= 0 && f.Loss <= 1):
		return fmt.Errorf("loss is %g, want 0 to 1", f.Loss)
	case f.Delay < 0:
		return fmt.Errorf("delay is %v, want 0 or more", f.Delay)
	case f.Cut != "" && f.Cut != "in" && f.Cut != "out":
		return fmt.Errorf("cut is %q, want in or out", f.Cut)
	}
	return nil
}

// A link with a rate sends bursts, of what it may send in burstTime but of some
// packets at least, and what comes faster waits for queueTime at most.
const (
	minRate   = 8_000
	burstTime = 5 * time.Millisecond
	minBurst  = 16 << 10 // bytes
	queueTime = 50 * time.Millisecond
)

// Link gives the link of a host that fault and no other. All but a part of the rate
// is done at the switch, where the host neither sees nor mends it. When a process that
// delays a link is killed, the host is unplugged until the next Link.
func (l *Lab) Link(host string, f Fault) error {
	h, err := l.find(host)
	if err != nil {
		return err
	}
	if err := f.validate(); err != nil {
		return err
	}
	s, err := l.enter(switchDir)
	if err != nil {
		return err
	}
	defer s.Close()
	inside, err := l.enter(h.Name)
	if err != nil {
		return err
	}
	defer inside.Close()
	port, err := s.LinkByName(h.Name)
	if err != nil {
		return fmt.Errorf("find the link of %s: %w", host, err)
	}
	for _, step := range []func() error{
		func() error { return l.delay(s, h, port, f) },
		func() error { return shape(s, h.Name, f) },
		func() error { return shape(inside, device, f) },
		func() error { return l.lose(s, h, f) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("change the link of %s: %w", host, err)
		}
	}
	if f.Down {
		return s.LinkSetDown(port)
	}
	if err := s.LinkSetUp(port); err != nil {
		return fmt.Errorf("plug in %s: %w", host, err)
	}
	return errors.Join(l.awaitUp(switchDir, h.Name), l.awaitUp(h.Name, device))
}

// delay plugs a port into its bridge, or a relay between them.
func (l *Lab) delay(s *netlink.Handle, h *Host, port netlink.Link, f Fault) error {
	name := outerBridge
	if l.Bastion != nil && h != l.Bastion {
		name = innerBridge
	}
	bridge, err := s.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find the bridge %s: %w", name, err)
	}
	if err := l.stopRelay(s, h.Name); err != nil {
		return err
	}
	if f.Delay > 0 {
		return l.startRelay(s, h.Name, bridge, f.Delay)
	}
	return s.LinkSetMaster(port, bridge)
}

// shape gives what a link sends its rate.
func shape(h *netlink.Handle, device string, f Fault) error {
	link, err := h.LinkByName(device)
	if err != nil {
		return err
	}
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)}
	if err := remove(h, &netlink.GenericQdisc{QdiscAttrs: attrs}); err != nil {
		return err
	}
	if f.Rate == 0 {
		return nil
	}
	bytes := f.Rate / 8
	burst := max(minBurst, bytes*uint64(burstTime)/uint64(time.Second))
	limit := burst + bytes*uint64(queueTime)/uint64(time.Second)
	return h.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: attrs, Rate: bytes, Limit: uint32(min(limit, math.MaxUint32)),
		Buffer: uint32(min(float64(netlink.TickInUsec())*float64(burst)/float64(bytes)*1e6, math.MaxUint32)),
	})
}

// remove removes a qdisc that may not be there.
func remove(h *netlink.Handle, q netlink.Qdisc) error {
	if err := h.QdiscDel(q); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// lose has the switch drop packets of a host. What its port takes in leaves the host;
// a relay takes it away before, so that it is dropped at the other side of that.
func (l *Lab) lose(s *netlink.Handle, h *Host, f Fault) error {
	out, in := f.Loss, f.Loss
	switch f.Cut {
	case "out":
		out = 1
	case "in":
		in = 1
	}
	if f.Delay == 0 {
		return drop(s, h.Name, out, in)
	}
	return errors.Join(drop(s, tapOf(h.Name), out, 0), drop(s, h.Name, 0, in))
}

// drop has a link drop shares of what it takes in and of what it gives out.
func drop(h *netlink.Handle, device string, ingress, egress float64) error {
	link, err := h.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", device, err)
	}
	q := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0),
	}}
	if err := remove(h, q); err != nil || ingress == 0 && egress == 0 {
		return err
	}
	if err := h.QdiscAdd(q); err != nil {
		return err
	}
	for parent, share := range map[uint32]float64{netlink.HANDLE_MIN_INGRESS: ingress, netlink.HANDLE_MIN_EGRESS: egress} {
		if share == 0 {
			continue
		}
		program, err := loadDropper(share)
		if err != nil {
			return err
		}
		err = h.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: link.Attrs().Index, Parent: parent, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1},
			Fd:          program, Name: "ainur-lab", DirectAction: true,
		})
		if err := errors.Join(err, unix.Close(program)); err != nil {
			return err
		}
	}
	return nil
}

// loadDropper loads a program that drops a share of packets, each by chance. It is
// written in the instructions of linux/bpf.h: netem, which can do this too, is not in
// every kernel.
func loadDropper(share float64) (fd int, err error) {
	const (
		mov    = 0xb7 // BPF_ALU64 | BPF_MOV | BPF_K
		call   = 0x85 // BPF_JMP | BPF_CALL
		jge32  = 0x36 // BPF_JMP32 | BPF_JGE | BPF_K
		exit   = 0x95 // BPF_JMP | BPF_EXIT
		random = 7    // BPF_FUNC_get_prandom_u32
		pass   = 0    // TC_ACT_OK
		drop   = 2    // TC_ACT_SHOT
	)
	var code []byte
	add := func(op byte, offset int16, value uint32) {
		code = append(code, op, 0) // register 0 is all that it takes
		code = binary.NativeEndian.AppendUint16(code, uint16(offset))
		code = binary.NativeEndian.AppendUint32(code, value)
	}
	if share < 1 {
		add(call, 0, random)
		add(jge32, 2, uint32(share*(1<<32)))
	}
	add(mov, 0, drop)
	add(exit, 0, 0)
	if share < 1 {
		add(mov, 0, pass)
		add(exit, 0, 0)
	}
	license := []byte("Apache-2.0\x00")
	var pinned runtime.Pinner // the kernel gets numbers, which keep nothing in its place
	defer pinned.Unpin()
	pinned.Pin(&code[0])
	pinned.Pin(&license[0])
	attr := struct {
		kind, instructions uint32
		code, license      uint64
	}{unix.BPF_PROG_TYPE_SCHED_CLS, uint32(len(code) / 8), uint64(uintptr(unsafe.Pointer(&code[0]))), uint64(uintptr(unsafe.Pointer(&license[0])))}
	n, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return 0, fmt.Errorf("load a program that drops packets: %w", errno)
	}
	return int(n), nil
}
