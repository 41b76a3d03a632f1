package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/agent/sandbox/network"
)

// relay delays what a host sends and gets. It stands between the host's port and the
// bridge: it reads the frames of the port by a packet socket, and is on the bridge by a
// tap, whose removal, by whomever, ends it. Frames go with the header of virtio, so that
// one may be as large as the kernel likes.
type relay struct {
	port, tap *os.File
	delay     time.Duration
	running   sync.WaitGroup
	ended     chan struct{} // closed when the first of its four goroutines has ended
	once      sync.Once
}

// tapOf is the name of the tap of a host's relay, in the network of the switch.
func tapOf(host string) string { return host + ".d" }

const (
	largestFrame = 66 << 10 // bytes: a packet of 64 KiB with its headers
	mostFrames   = 16 << 10 // that are on their way each way; more are dropped, as a router does
)

// frame is due at a time.
type frame struct {
	due  time.Time
	text []byte
}

// startRelay puts a relay between a port and its bridge. h is of the switch.
func (l *Lab) startRelay(h *netlink.Handle, host string, bridge netlink.Link, delay time.Duration) error {
	port, err := h.LinkByName(host)
	if err != nil {
		return fmt.Errorf("find the link of %s: %w", host, err)
	}
	r := &relay{delay: delay, ended: make(chan struct{})}
	err = l.inside(switchDir, func() (err error) {
		if r.tap, err = openTap(tapOf(host)); err != nil {
			return fmt.Errorf("make a tap: %w", err)
		}
		if r.port, err = openPort(port.Attrs().Index); err != nil {
			return errors.Join(fmt.Errorf("listen at the port of %s: %w", host, err), r.tap.Close())
		}
		return nil
	})
	if err != nil {
		return err
	}
	tap, err := h.LinkByName(tapOf(host))
	for _, step := range []func() error{
		func() error { return err },
		func() error { return network.WithoutIPv6(h, tap) },
		func() error { return h.LinkSetNoMaster(port) },
		func() error { return h.LinkSetMaster(tap, bridge) },
		func() error { return h.LinkSetUp(tap) },
	} {
		if err := step(); err != nil {
			return errors.Join(fmt.Errorf("connect the relay of %s: %w", host, err), r.port.Close(), r.tap.Close())
		}
	}
	r.carry(r.port, r.tap)
	r.carry(r.tap, r.port)
	l.relays.Store(host, r)
	return nil
}

// openTap makes a tap in the thread's network. It goes when the file is closed.
func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openPort opens what comes in at a link of the thread's network, and the way out.
func openPort(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	every := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) },
		func() error { return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: index}) },
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, unix.Close(fd))
		}
	}
	return os.NewFile(uintptr(fd), "port"), nil
}

// carry takes frames from one end to the other until one of them is closed.
func (r *relay) carry(from, to *os.File) {
	waiting := make(chan frame, mostFrames) // closed by who reads
	r.running.Go(func() {
		defer r.stop()
		defer close(waiting)
		buffer := make([]byte, largestFrame)
		for {
			n, err := from.Read(buffer)
			if errors.Is(err, unix.ENETDOWN) { // the port was set down, and may be set up again
				continue
			}
			if err != nil {
				return
			}
			select {
			case waiting <- frame{time.Now().Add(r.delay), append([]byte(nil), buffer[:n]...)}:
			default: // it is dropped
			}
		}
	})
	r.running.Go(func() {
		defer r.stop()
		for f := range waiting {
			select {
			case <-time.After(time.Until(f.due)):
			case <-r.ended:
				return
			}
			_, _ = to.Write(f.text) // the link may not take it: it is down, or closed, which ended tells
		}
	})
}

// stop has all goroutines end.
func (r *relay) stop() {
	r.once.Do(func() {
		_ = r.port.Close() // what it had is lost
		_ = r.tap.Close()
		close(r.ended)
	})
}

// stopRelay ends the relay of a host, also when another process has it. h is of the switch.
func (l *Lab) stopRelay(h *netlink.Handle, host string) error {
	if r, ok := l.relays.LoadAndDelete(host); ok {
		r.(*relay).stop()
		r.(*relay).running.Wait()
	}
	tap, err := h.LinkByName(tapOf(host))
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = h.LinkDel(tap)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("end the relay of %s: %w", host, err)
	}
	return nil
}

// stopRelays ends those of every host.
func (l *Lab) stopRelays() error {
	if kept(l.path(switchDir)) == 0 {
		return nil
	}
	h, err := l.enter(switchDir)
	if err != nil {
		return err
	}
	defer h.Close()
	links, err := complete(h.LinkList)
	if err != nil {
		return fmt.Errorf("list the links of the switch: %w", err)
	}
	var errs []error
	for _, link := range links {
		errs = append(errs, l.stopRelay(h, link.Attrs().Name))
	}
	return errors.Join(errs...)
}

// AwaitHealed returns when the delay of a host that this process has made is over: by
// another Link, or because the lab was removed.
func (l *Lab) AwaitHealed(ctx context.Context, host string) error {
	r, ok := l.relays.Load(host)
	if !ok {
		return nil
	}
	select {
	case <-r.(*relay).ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
