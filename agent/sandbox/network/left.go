package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// item is something of ours on the host.
type item struct {
	owner owner
	what  string // for the user
	link  int    // index, 0 for a pin
}

// List names all that is ours on the host: network namespaces, links and
// bridges. dir is where namespaces are pinned, as in Options.
func List(dir string) (found []sandbox.Thing, err error) {
	h, err := openHost()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	items, err := h.find(pinnedBelow(dir))
	for _, i := range items {
		found = append(found, sandbox.Thing{What: i.what, Run: i.owner.run})
	}
	return found, errors.Join(err, h.close())
}

// Reclaim removes what pools of a run have left on the host, and names it. The
// processes they were in must be dead. What has the name except is not touched.
func Reclaim(dir, runID, except string) (removed []string, err error) {
	return sweep(pinnedBelow(dir), func(o owner) bool { return o.run == runID && o.name != except })
}

// Sweep removes what is ours on the host of runs that are not to be kept, and
// names it. The agents of those runs must be dead.
func Sweep(dir string, keep func(run string) bool) (removed []string, err error) {
	return sweep(pinnedBelow(dir), func(o owner) bool { return !keep(o.run) })
}

// sweep removes what chosen owners have, the links first: a folder of pins says
// whose a link is that was not labelled in time.
func sweep(dir string, chosen func(owner) bool) (removed []string, err error) {
	h, err := openHost()
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	items, err := h.find(dir)
	errs := []error{err}
	var links []int
	for _, i := range items {
		if chosen(i.owner) && i.link != 0 {
			links = append(links, i.link)
		}
	}
	if err := h.deleteLinks(links); err != nil {
		return nil, fmt.Errorf("network: remove what was left: %w", errors.Join(append(errs, err, h.close())...))
	}
	for _, o := range owners(dir) {
		if chosen(o) {
			errs = append(errs, h.unpinAll(o.pins(dir)))
		}
	}
	for _, i := range items {
		if chosen(i.owner) {
			removed = append(removed, i.what)
		}
	}
	if err := errors.Join(append(errs, h.close())...); err != nil {
		return removed, fmt.Errorf("network: remove what was left: %w", err)
	}
	return removed, nil
}

// find lists what is ours.
func (h *host) find(dir string) (items []item, err error) {
	var errs []error
	byLinks := map[string]owner{}
	for _, o := range owners(dir) {
		byLinks[o.links()] = o
		pins, err := os.ReadDir(o.pins(dir))
		errs = append(errs, err)
		for _, pin := range pins {
			items = append(items, item{owner: o, what: "network namespace " + filepath.Join(o.pins(dir), pin.Name())})
		}
	}
	links, err := h.links()
	for _, l := range links {
		a := l.Attrs()
		o, ours := parseLabel(a.Alias)
		if beginning, named := linkOwner(a.Name); !ours && named {
			o, ours = byLinks[beginning]
		}
		if _, is := l.(*netlink.Bridge); ours && is {
			items = append(items, item{o, "bridge " + a.Name, a.Index})
		} else if ours {
			items = append(items, item{o, "link " + a.Name, a.Index})
		}
	}
	return items, errors.Join(append(errs, err)...)
}

// owners are those who have a folder of pins.
func owners(dir string) (all []owner) {
	folders, _ := filepath.Glob(filepath.Join(escaped(dir), "*", "*")) // errors are of the pattern only
	for _, f := range folders {
		all = append(all, owner{filepath.Base(filepath.Dir(f)), filepath.Base(f)})
	}
	return all
}

// escaped is a pattern that matches only dir.
func escaped(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
