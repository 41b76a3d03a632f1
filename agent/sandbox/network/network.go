// Package network keeps network namespaces ready for sandboxes.
//
// Each has the loopback, and a link to a bridge of the host with an address of
// its own: the host reaches all of them, and they do not reach one another.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// Options of a Pool. RunID, Name and Log are required.
type Options struct {
	RunID string // labels links and pins, with Name; each is fit for a file name
	Name  string // of the user, unique in the run: agents of one run can share a host
	// Subnet has the addresses, an IPv4 prefix of 16 to 30 bits; zero = the first
	// free /16 of 10.64.0.0/10. An address is free again a moment after Release.
	Subnet netip.Prefix
	// Size is how many namespaces are kept ready: so many are made ahead, and
	// released ones are kept up to twice as many. 0 = each is made on demand.
	Size int
	Dir  string // where namespaces are pinned; made if missing; "" = /run/ainur/netns
	// Outbound gives namespaces a default route through the host. Whether the
	// host forwards and translates what comes that way is not the pool's business.
	Outbound bool
	// ReadOnlySettings is a promise that sandboxes cannot write to /proc/sys. Else
	// a released namespace is used again only after its settings were compared, at
	// the cost of 4 ms of processor time, and of more when the host has hundreds.
	ReadOnlySettings bool
	Log              *slog.Logger
}

func (o Options) validate() error {
	for _, label := range []struct{ what, value string }{{"run", o.RunID}, {"name", o.Name}} {
		if v := label.value; v == "" || v == "." || v == ".." || strings.ContainsAny(v, "/\x00") {
			return fmt.Errorf("%s %q is not fit for a file name", label.what, v)
		}
	}
	if o.Size < 0 {
		return fmt.Errorf("size is %d, want 0 or more", o.Size)
	}
	return nil
}

// Pool makes namespaces, and keeps some ready. It is safe for concurrent use.
type Pool struct {
	options  Options
	owner    owner
	dir      string // of the pins
	layout   layout
	host     *host
	settings settings

	making   sync.WaitGroup // calls of Get under way
	keeping  sync.WaitGroup // what New has started
	toKeep   chan struct{}  // holds one when there may be work for keep; never closed
	toDelete chan struct{}  // holds one when there may be work for deleteDoomed; never closed

	mu       sync.Mutex
	closed   bool
	bridges  []int   // indices of links
	next     int     // the places from here on were never used
	free     []int   // places below next
	all      []*node // made, and not deleted
	ready    []*node
	released []*node // to look at; with ready no more than twice Size
	doomed   []*node // to delete
	starved  bool    // the last attempt to fill the pool failed: wait for a reason to try again

	closing  sync.Once
	closeErr error
}

// errClosed is the failure of Get after Close.
var errClosed = errors.New("the pool of network namespaces is closed")

// New prepares the host and makes the namespaces to keep ready.
func New(o Options) (*Pool, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	h, err := openHost()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	p := &Pool{
		options: o, owner: owner{o.RunID, o.Name}, dir: pinnedBelow(o.Dir), host: h,
		toKeep: make(chan struct{}, 1), toDelete: make(chan struct{}, 1),
	}
	if err := h.alone(func() error { return claim(p.owner.pins(p.dir)) }); err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), h.close())
	}
	err = p.prepare()
	p.keeping.Go(p.keep)
	p.keeping.Go(p.deleteDoomed)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("network: %w", err), p.Close())
	}
	return p, nil
}

// prepare makes the first bridge and fills the pool.
func (p *Pool) prepare() error {
	err := p.host.alone(func() error {
		subnet, err := p.subnet()
		if err != nil {
			return err
		}
		if p.layout, err = newLayout(subnet); err != nil {
			return err
		}
		return p.addBridge()
	})
	for err == nil && len(p.ready) < p.options.Size {
		var n *node
		if n, err = p.make(); err == nil {
			p.ready = append(p.ready, n)
		}
	}
	return err
}

// subnet is that of the options, or a free one.
func (p *Pool) subnet() (netip.Prefix, error) {
	if p.options.Subnet.IsValid() {
		return p.options.Subnet, nil
	}
	addresses, err := p.host.addresses()
	if err != nil {
		return netip.Prefix{}, err
	}
	routes, err := p.host.routes()
	if err != nil {
		return netip.Prefix{}, err
	}
	return choose(slices.Concat(addresses, routes))
}

// addBridge makes the next bridge. The caller is alone on the host, and holds
// p.mu when others know of p.
func (p *Pool) addBridge() error {
	gateway := p.layout.gateway(len(p.bridges))
	taken, err := p.host.addresses()
	if err != nil {
		return err
	}
	if other, found := overlap(gateway, taken); found {
		return fmt.Errorf("the subnet %v overlaps %v, a network of this host: choose another", p.layout.subnet, other)
	}
	index, err := p.host.addBridge(p.owner, len(p.bridges), gateway)
	if err != nil {
		return err
	}
	p.bridges = append(p.bridges, index)
	return nil
}

// Get returns a namespace that nothing uses, a ready one if there is one. The
// caller must release it.
func (p *Pool) Get(ctx context.Context) (*Namespace, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	n, err := p.take()
	if err != nil {
		return nil, err
	}
	defer p.making.Done()
	if n == nil {
		if n, err = p.make(); err != nil {
			return nil, err
		}
	}
	return &Namespace{pool: p, node: n}, nil
}

// take returns a ready namespace or nil, and counts a call that Close waits for.
func (p *Pool) take() (*node, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	p.making.Add(1)
	if len(p.ready) == 0 {
		return nil, nil
	}
	n := p.ready[0]
	p.ready = p.ready[1:]
	p.starved = false
	signal(p.toKeep)
	return n, nil
}

// Namespace is a network namespace in use.
type Namespace struct {
	pool *Pool
	node *node
	once sync.Once
}

// Path is a file that setns and OCI runtimes take.
func (n *Namespace) Path() string { return n.node.pin }

// Address is where the host reaches it.
func (n *Namespace) Address() netip.Addr { return n.node.address.Addr() }

// Gateway is the address of the host on its network.
func (n *Namespace) Gateway() netip.Addr { return n.node.gateway }

// Release gives the namespace back, in which nothing must run any more. It is
// used again if it is as it was made; else it is deleted. That is done later.
// Of what a process with CAP_NET_ADMIN may do not everything is found: call
// Discard for such a one.
func (n *Namespace) Release() { n.end(false) }

// Discard gives the namespace back to be deleted.
func (n *Namespace) Discard() { n.end(true) }

// end does nothing the second time.
func (n *Namespace) end(discard bool) {
	n.once.Do(func() {
		p := n.pool
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starved = false
		if discard || len(p.ready)+len(p.released) >= 2*p.options.Size {
			p.doom(n.node)
		} else {
			p.released = append(p.released, n.node)
		}
		signal(p.toKeep)
	})
}

// Close removes the namespaces, also those in use, their links and the bridges.
func (p *Pool) Close() error {
	p.closing.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		signal(p.toKeep)
		signal(p.toDelete)
		p.keeping.Wait()
		p.making.Wait()
		links := slices.Clone(p.bridges)
		for _, n := range p.all {
			links = append(links, n.link)
		}
		p.closeErr = errors.Join(p.host.deleteLinks(links), p.host.unpinAll(p.owner.pins(p.dir)), p.host.close())
	})
	return p.closeErr
}
