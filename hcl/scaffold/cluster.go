package scaffold

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Host is a machine as the file of another tool has it.
type Host struct {
	Name      string
	Address   string // name or IP address
	NIC       string // network interface of the experiment's traffic, "" when it is not known
	Internal  string // address among the hosts; "" is Address
	Local     bool   // it is this machine, reached without SSH
	User      string // "" leaves it to SSH
	Port      int    // 0 leaves it to SSH
	Identity  []string
	ProxyJump []string
	Roles     []string
	Labels    map[string]string
}

// Inventory is the hosts of a file.
type Inventory struct {
	From   string // where they come from, for a comment; "" says nothing
	Config string // OpenSSH configuration to honour; "" is the default one
	Become string // sudo, doas or su, "" when nothing is said
	Hosts  []Host // at least one
	Notes  []string
}

// Roles that templates give work to, with the names that others have for them.
var workRoles = []struct {
	role  string
	names []string
}{
	{"balancer", []string{"balancer", "balancers", "controller", "controllers", "loadbalancer", "lb", "master"}},
	{"load", []string{"load", "loader", "loaders", "loadgen", "load_generator", "client", "clients"}},
	{"worker", []string{"worker", "workers", "node", "nodes", "compute"}},
}

// assign gives hosts the roles that templates need, where no host has them: to
// those of a group whose name says so, else the first balances and makes the
// load and the others work.
func (inv *Inventory) assign() {
	for _, w := range workRoles {
		if len(inv.with(w.role)) > 0 {
			continue
		}
		chosen := inv.with(w.names...)
		if len(chosen) == 0 {
			switch w.role {
			case "balancer":
				chosen = []int{inv.first()}
			case "load":
				chosen = inv.with("balancer")
			case "worker":
				chosen = inv.without("balancer", "load")
			}
		}
		if len(chosen) == 0 {
			chosen = inv.without()
		}
		for _, i := range chosen {
			inv.Hosts[i].Roles = append(slices.Clone(inv.Hosts[i].Roles), w.role)
		}
	}
}

// with are the hosts that have one of the roles.
func (inv *Inventory) with(roles ...string) (all []int) {
	for i, h := range inv.Hosts {
		if h.has(roles) {
			all = append(all, i)
		}
	}
	return all
}

// without are the hosts that have none of the roles.
func (inv *Inventory) without(roles ...string) (all []int) {
	for i, h := range inv.Hosts {
		if !h.has(roles) {
			all = append(all, i)
		}
	}
	return all
}

func (h Host) has(roles []string) bool {
	return slices.ContainsFunc(h.Roles, func(r string) bool { return slices.Contains(roles, strings.ToLower(r)) })
}

// first is the host for a balancer that nobody asked for: one that is no
// worker, if there is one.
func (inv *Inventory) first() int {
	if free := inv.without(workRoles[2].names...); len(free) > 0 {
		return free[0]
	}
	return 0
}

// sameAddress notes hosts that are one machine.
func (inv *Inventory) sameAddress() (n notes) {
	first := map[string]string{}
	for _, h := range inv.Hosts {
		at := fmt.Sprintf("%s port %d", h.Address, h.Port)
		if other, seen := first[at]; seen {
			n.add("%s and %s have one address, %s: they share a clock and processors", other, h.Name, h.Address)
			continue
		}
		first[at] = h.Name
	}
	return n
}

// ids are the identifiers of the hosts.
func (inv *Inventory) ids() []string {
	taken := names{}
	var ids []string
	for _, h := range inv.Hosts {
		ids = append(ids, taken.take(h.Name, "h"))
	}
	return ids
}

// write fills the body of a cluster block.
func (inv *Inventory) write(body *hclwrite.Body) {
	begun := false
	part := func() {
		if begun {
			body.AppendNewline()
		}
		begun = true
	}
	if inv.From != "" {
		comment(body, "From "+inv.From+".")
	}
	for _, n := range inv.Notes {
		comment(body, n)
	}
	ids, all, short := inv.ids(), inv.common(), inv.short()
	if len(short) > 1 {
		part()
		body.SetAttributeRaw("hosts", hostList(short))
		body.SetAttributeValue("roles", texts([]string{"worker"}))
	}
	ssh := sshBlock(all)
	setText(ssh.Body(), "config", inv.Config)
	if len(ssh.Body().Attributes()) > 0 {
		part()
		body.AppendBlock(ssh)
	}
	if inv.Become != "" {
		part()
		setText(body.AppendNewBlock("become", nil).Body(), "method", inv.Become)
	}
	for i, h := range inv.Hosts {
		if len(short) > 1 && h.plain() {
			continue
		}
		part()
		hostBlock(body.AppendNewBlock("host", []string{ids[i]}).Body(), ids[i], h, all)
	}
}

// short are the hosts that differ by their address only.
func (inv *Inventory) short() (addresses []string) {
	for _, h := range inv.Hosts {
		if h.plain() {
			addresses = append(addresses, h.Address)
		}
	}
	return addresses
}

// plain reports whether h is a worker of which nothing but the address is known.
func (h Host) plain() bool {
	return h.Name == h.Address && h.Internal+h.NIC == "" && !h.Local && h.User == "" && h.Port == 0 && len(h.Identity)+len(h.ProxyJump)+len(h.Labels) == 0 &&
		slices.Equal(h.Roles, []string{"worker"})
}

// common is what all hosts behind SSH have alike.
func (inv *Inventory) common() (all Host) {
	begun := false
	for _, h := range inv.Hosts {
		switch {
		case h.Local:
		case !begun:
			all, begun = h, true
		default:
			if h.User != all.User {
				all.User = ""
			}
			if h.Port != all.Port {
				all.Port = 0
			}
			if !slices.Equal(h.Identity, all.Identity) {
				all.Identity = nil
			}
			if !slices.Equal(h.ProxyJump, all.ProxyJump) {
				all.ProxyJump = nil
			}
		}
	}
	return all
}

// sshBlock says how h is reached; it may be empty.
func sshBlock(h Host) *hclwrite.Block {
	b := hclwrite.NewBlock("ssh", nil)
	setText(b.Body(), "user", h.User)
	setNumber(b.Body(), "port", h.Port)
	setTexts(b.Body(), "identity", h.Identity)
	setTexts(b.Body(), "proxy_jump", h.ProxyJump)
	return b
}

// hostBlock fills the body of a host with what it does not have from all.
func hostBlock(body *hclwrite.Body, id string, h, all Host) {
	body.SetAttributeValue("address", cty.StringVal(h.Address))
	if h.Local {
		body.SetAttributeValue("connection", cty.StringVal("local"))
	} else {
		if h.User != all.User {
			setText(body, "user", h.User)
		}
		if h.Port != all.Port {
			setNumber(body, "port", h.Port)
		}
	}
	setText(body, "nic", h.NIC)
	setText(body, "internal_address", h.Internal)
	setTexts(body, "roles", h.Roles)
	labels := map[string]cty.Value{}
	for k, v := range h.Labels {
		labels[k] = cty.StringVal(v)
	}
	if id != h.Name {
		labels["original_name"] = cty.StringVal(h.Name)
	}
	if len(labels) > 0 {
		body.SetAttributeValue("labels", cty.ObjectVal(labels))
	}
	own := Host{Identity: h.Identity, ProxyJump: h.ProxyJump}
	if slices.Equal(own.Identity, all.Identity) {
		own.Identity = nil
	}
	if slices.Equal(own.ProxyJump, all.ProxyJump) {
		own.ProxyJump = nil
	}
	if b := sshBlock(own); !h.Local && len(b.Body().Attributes()) > 0 {
		body.AppendNewline()
		body.AppendBlock(b)
	}
}

func setText(body *hclwrite.Body, name, value string) {
	if value != "" {
		body.SetAttributeValue(name, cty.StringVal(value))
	}
}

func setNumber(body *hclwrite.Body, name string, value int) {
	if value != 0 {
		body.SetAttributeValue(name, cty.NumberIntVal(int64(value)))
	}
}

func setTexts(body *hclwrite.Body, name string, values []string) {
	if len(values) > 0 {
		body.SetAttributeValue(name, texts(values))
	}
}

func texts(values []string) cty.Value {
	var list []cty.Value
	for _, v := range values {
		list = append(list, cty.StringVal(v))
	}
	return cty.ListVal(list)
}

// reference is cluster.lab.host.ctl as an expression.
func reference(parts ...string) hclwrite.Tokens {
	t := hcl.Traversal{hcl.TraverseRoot{Name: parts[0]}}
	for _, p := range parts[1:] {
		t = append(t, hcl.TraverseAttr{Name: p})
	}
	return hclwrite.TokensForTraversal(t)
}

// Names are the names of the hosts.
func (inv *Inventory) Names() (all []string) {
	for _, h := range inv.Hosts {
		all = append(all, h.Name)
	}
	return all
}
