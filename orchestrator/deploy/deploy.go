// Package deploy brings the hosts of a cluster to what is desired, from one place and
// all at a time, and back to how they were.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// Options say how hosts are worked with.
type Options struct {
	Dial     func(ctx context.Context, h spec.Host, b spec.Become) (remote.Conn, error)
	Data     string        // folder of the authorities of deployments, on this machine
	Cache    string        // folder of what can be made again, on this machine
	Version  string        // of this ainur
	Owner    string        // who asks, for others who wait
	Parallel int           // hosts at a time; 0 is 32
	Lock     bool          // take the lock of the deployment on every host
	Wait     time.Duration // for locks
	NoTune   bool          // leave out the settings for the time of a run
	Full     bool          // ask the hosts also for what only a reader wants to know
	// Tell gets what a user should know while it happens; nil drops it.
	Tell func(host, message string)
}

// Site is the hosts of a cluster, connected.
type Site struct {
	Options
	Cluster spec.Cluster
	Hosts   []*Host
	programs
	unlock func() error
}

// Host is one of a Site.
type Host struct {
	spec.Host
	Facts *facts.Host // nil after Err
	Err   error       // why it is of no use; nil: it is
	conn  remote.Conn
	held  *facts.Held
	// released: the lock is given back
	released atomic.Bool
	// touched: it has a manifest, since it was asked or before
	touched bool
}

// Conn is the connection to the host.
func (h *Host) Conn() remote.Conn { return h.conn }

// Error is what went wrong on a host.
type Error struct {
	Host string
	Step string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("host %s: %s: %v", e.Host, e.Step, e.Err) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Open connects to all hosts and asks them what they are. What fails on a host is its
// Err. The Site is to be closed whatever happens.
func Open(ctx context.Context, c spec.Cluster, o Options) (*Site, error) {
	if o.Tell == nil {
		o.Tell = func(string, string) {}
	}
	if o.Parallel == 0 {
		o.Parallel = min(max(1, len(c.Hosts)), 32)
	}
	s := &Site{Options: o, Cluster: c, programs: programs{cache: o.Cache}, unlock: func() error { return nil }}
	for _, h := range c.Hosts {
		s.Hosts = append(s.Hosts, &Host{Host: h})
	}
	if o.Lock {
		unlock, err := lockHere(filepath.Join(o.Data, c.Name), o.Owner, o.Wait)
		if err != nil {
			return s, err
		}
		s.unlock = unlock
	}
	s.each(func(h *Host) { h.Err = s.open(ctx, h) })
	return s, context.Cause(ctx)
}

// each does something with every host, so many at a time.
func (s *Site) each(do func(*Host)) {
	var all errgroup.Group
	all.SetLimit(s.Parallel)
	for _, h := range s.Hosts {
		all.Go(func() error {
			do(h)
			return nil
		})
	}
	_ = all.Wait() // what fails is the host's
}

// clockSamples is how often the clock of a host is asked for its time.
const clockSamples = 4

func (s *Site) open(ctx context.Context, h *Host) (err error) {
	if h.conn, err = s.Dial(ctx, h.Host, s.Cluster.Become); err != nil {
		return err
	}
	asker := ""
	if s.Lock {
		asker = s.Owner
	}
	h.Facts, h.held, err = facts.Hold(ctx, h.conn, s.query(), asker, s.Wait)
	if err == nil {
		h.Facts.Offset, h.Facts.OffsetErr, err = h.held.Clock(clockSamples)
	}
	if err != nil {
		return s.trouble(h, "facts", err)
	}
	switch {
	case h.Facts.NoLock != "":
		s.Tell(h.Name, h.Facts.NoLock+": nobody else is kept out")
	case s.Lock:
		go func() {
			<-h.held.Lost()
			if !h.released.Load() {
				s.Tell(h.Name, "the lock is lost with the connection: others may begin to work with the host")
			}
		}()
	}
	return nil
}

// Refresh asks the hosts again what they are.
func (s *Site) Refresh(ctx context.Context) {
	s.each(func(h *Host) {
		if h.Err != nil {
			return
		}
		now, err := facts.Read(ctx, h.conn, s.query())
		if err != nil {
			h.Err = s.trouble(h, "facts", err)
			return
		}
		now.Offset, now.OffsetErr = h.Facts.Offset, h.Facts.OffsetErr
		h.Facts = now
	})
}

// trouble is an error with its host and step.
func (s *Site) trouble(h *Host, step string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{h.Name, step, err}
}

// layout is where things are on every host.
func (s *Site) layout() setup.Layout {
	return setup.Layout{Deployment: s.Cluster.Name, Prefix: filepath.Clean(s.Cluster.Install.Prefix), StateDir: filepath.Clean(s.Cluster.Install.StateDir)}
}

// packages are what install.packages installs.
var packages = []string{"containerd", "runc"}

func (s *Site) query() facts.Query {
	d := setup.Desired{Layout: s.layout(), Settings: known()}
	if s.Cluster.Install.Packages {
		d.Packages = packages
	}
	q := d.Query()
	q.Full = s.Full
	return q
}

// Failed joins what went wrong on hosts.
func (s *Site) Failed() error {
	var errs []error
	for _, h := range s.Hosts {
		errs = append(errs, h.Err)
	}
	return errors.Join(errs...)
}

// Close gives locks back and ends connections.
func (s *Site) Close() error {
	var mu sync.Mutex
	var errs []error
	s.each(func(h *Host) {
		if h.held != nil {
			h.released.Store(true)
			h.held.Release()
		}
		var err error
		if h.conn != nil {
			err = h.conn.Close()
		}
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	})
	return errors.Join(append(errs, s.unlock())...)
}

// names are those by which others reach the host.
func names(h spec.Host) []string {
	all := []string{h.Name, h.Address, h.Internal()}
	slices.Sort(all)
	return slices.Compact(all)
}

// desired is what a host is to have.
func (s *Site) desired(h *Host, authority []byte, settings []setup.Setting) (setup.Desired, error) {
	p, err := s.program(h.Facts.Arch)
	if err != nil {
		return setup.Desired{}, err
	}
	d := setup.Desired{
		Layout: s.layout(), Version: s.Version, SHA256: p.sha256, Listen: net.JoinHostPort(h.Internal(), "0"),
		Authority: authority, Names: names(h.Host), Via: s.Cluster.Install.Via, Settings: settings,
	}
	if s.Cluster.Install.Packages {
		d.Packages = packages
	}
	return d, nil
}
