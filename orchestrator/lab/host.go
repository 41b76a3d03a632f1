package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device is the name of a host's link; the bastion has a second one to the hosts.
const (
	device      = "eth0"
	innerDevice = "eth1"
)

// What daemons write to their logs when they serve.
const (
	sshdServes       = "Server listening on"
	containerdServes = "containerd successfully booted"
)

// The scripts of a host's first process. The daemon that it becomes collects
// processes whose parents have ended, as an init does.
const (
	begin      = "mount -n -t proc -o nosuid,nodev,noexec proc /proc && " + blocked
	containerd = "{ containerd >&3 2>&1 & } && "
	sshd       = "exec /usr/sbin/sshd -D -e 3>&-"
)

// makeHost makes a host and plugs it in, and returns when its daemons serve.
func (l *Lab) makeHost(ctx context.Context, s *wired, h *Host, hostKey []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	all, err := l.prepare(h, hostKey)
	if err != nil {
		return err
	}
	if err := l.makeCgroups(h); err != nil {
		return err
	}
	cgroups, err := l.cgroups(h)
	if err != nil {
		return err
	}
	dir := l.path(h.Name)
	var logs []*os.File
	for _, name := range []string{"sshd.log", "containerd.log"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		logs = append(logs, f)
	}
	script := begin + sshd
	if l.containerd {
		script = begin + containerd + sshd
	}
	var p process
	var inside *netlink.Handle
	var network *os.File
	err = onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		if inside, network, err = newNetwork(); err != nil {
			return err
		}
		if err := unix.Sethostname([]byte(h.Name)); err != nil {
			return fmt.Errorf("set the host's name: %w", err)
		}
		if err := mountRoot(dir, all, cgroups); err != nil {
			return err
		}
		p, err = start(script, unix.CLONE_NEWPID, logs...)
		return err
	})
	if inside != nil {
		defer inside.Close()
		defer network.Close()
	}
	if err != nil {
		return err
	}
	h.PID = p.cmd.Process.Pid
	ended, err := l.keep(p, dir, func() error {
		if err := l.join(h); err != nil {
			return err
		}
		return l.wire(s, h, network, inside)
	})
	if err != nil {
		return err
	}
	if err := await(ctx, filepath.Join(dir, "sshd.log"), sshdServes, ended); err != nil {
		return fmt.Errorf("start sshd: %w", err)
	}
	if l.containerd {
		if err := await(ctx, filepath.Join(dir, "containerd.log"), containerdServes, ended); err != nil {
			return fmt.Errorf("start containerd: %w", err)
		}
	}
	if err := l.awaitUp(h.Name, device); err != nil {
		return err
	}
	return l.remember(h)
}

// wire connects a host with the switch.
func (l *Lab) wire(s *wired, h *Host, network *os.File, inside *netlink.Handle) error {
	type end struct {
		bridge, port, device string
		address              netip.Addr
		subnet               netip.Prefix
	}
	ends := []end{{outerBridge, h.Name, device, h.Address, l.Subnet}}
	switch {
	case l.Bastion == nil:
	case h == l.Bastion:
		ends[0].subnet = l.outer
		ends = append(ends, end{innerBridge, h.Name + "-in", innerDevice, gateway(l.Subnet), l.Subnet})
	default:
		ends[0].bridge = innerBridge
	}
	for _, e := range ends {
		if err := s.plug(e.port, e.bridge, network, e.device, e.address); err != nil {
			return err
		}
		if err := setUp(inside, e.device, e.address, e.subnet); err != nil {
			return err
		}
	}
	return nil
}
