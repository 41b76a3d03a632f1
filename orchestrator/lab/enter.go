package lab

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inside runs f on a thread in the network that the process in a folder keeps alive.
func (l *Lab) inside(dir string, f func() error) error {
	number := kept(l.path(dir))
	if number == 0 {
		return fmt.Errorf("%s of lab %s does not run", dir, l.Name)
	}
	return onThread(func() error {
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", number))
		if err != nil {
			return err
		}
		defer namespace.Close()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network of %s: %w", dir, err)
		}
		return f()
	})
}

// enter returns a way to change such a network.
func (l *Lab) enter(dir string) (h *netlink.Handle, err error) {
	err = l.inside(dir, func() (err error) {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	return h, err
}

// upWithin is how long the kernel may take to see that a link has two ends: about a
// second, where it has just seen that it had not.
const upWithin = 5 * time.Second

// awaitUp returns when links of such a network, which were set up, carry packets.
func (l *Lab) awaitUp(dir string, devices ...string) error {
	updates := make(chan netlink.LinkUpdate) // closed by netlink when done is
	done := make(chan struct{})
	defer func() {
		close(done)
		for range updates { // none is left behind
		}
	}()
	err := l.inside(dir, func() error {
		return netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{ListExisting: true})
	})
	if err != nil {
		close(updates)
		return fmt.Errorf("watch the links of %s: %w", dir, err)
	}
	late := time.NewTimer(upWithin)
	defer late.Stop()
	for len(devices) > 0 {
		select {
		case u, ok := <-updates:
			if !ok {
				return fmt.Errorf("watch the links of %s: it has ended", dir)
			}
			if a := u.Attrs(); a.OperState == netlink.OperUp {
				devices = slices.DeleteFunc(devices, func(d string) bool { return d == a.Name })
			}
		case <-late.C:
			return errors.New(dir + ": the links " + fmt.Sprint(devices) + " do not come up")
		}
	}
	return nil
}
