package hcl

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Clusters are those of an experiment, each host once, before anything is known of
// the hosts. The name may be "" when there is only one experiment.
func (m *Module) Clusters(name string) ([]spec.Cluster, hcl.Diagnostics) {
	name, p := m.choose(name)
	if p != nil {
		return nil, hcl.Diagnostics{p.Diagnostic()}
	}
	var all []spec.Cluster
	seen := map[string]bool{}
	base := m.evaluator(false)
	diags := base.eachPoint(name, unchecked, func(point spec.Point) {
		if c := point.Cluster; c.Name != "" && !seen[c.Name] {
			seen[c.Name] = true
			all = append(all, c)
		}
	})
	diags = diag.Sort(append(diags, base.diags...))
	if diags.HasErrors() {
		return nil, diags
	}
	return all, nil // what is to be warned of, Experiment warns of
}

func (b *builder) cluster(in *instance) spec.Cluster {
	b.use(in.Block)
	c := spec.Cluster{Name: in.name, Install: install(in), Tune: tune(in.One("tune"))}
	if become := in.One("become"); become != nil {
		c.Become = spec.Become{Method: decode.Get[string](become, "method"), User: decode.Get[string](become, "user")}
		if from := b.refs(become, "password"); len(from) > 0 {
			c.Become.Password = secret(from[0])
		}
	}
	first := map[string]hcl.Range{}
	for _, h := range hostBlocks(in) {
		if at, dup := first[h.Label]; dup {
			b.report(diag.Problem{ID: "AIN1109", Summary: fmt.Sprintf("host %q is declared twice", h.Label), At: &h.Range, Related: []diag.Related{{At: at, Label: "the first is here"}}})
		}
		first[h.Label] = h.Range
		c.Hosts = append(c.Hosts, hostOf(in, h))
	}
	if in := in.One("install"); in != nil {
		for _, name := range []string{"prefix", "state_dir"} {
			at := in.Attrs[name].Range
			if path, ok := in.Attrs[name].Go.(string); ok && !folder.MatchString(path) {
				b.report(diag.Problem{
					ID: "AIN1203", Summary: fmt.Sprintf("%s cannot be %q", name, path), At: &at,
					Notes: []diag.Note{diag.Help("an absolute path, of letters, digits and . _ - + = , @ :")},
				})
			}
		}
	}
	return c
}

// folder is a path that is one word for every shell.
var folder = regexp.MustCompile(`^/[\w./+=,@:-]*$`)

// hostOf is a host of a cluster.
func hostOf(cluster *instance, b *decode.Block) spec.Host {
	h := spec.Host{
		Name: b.Label, Address: decode.Get[string](b, "address"), Connection: decode.Get[string](b, "connection"),
		InternalAddress: decode.Get[string](b, "internal_address"), NIC: decode.Get[string](b, "nic"),
		Roles: decode.Get[[]string](b, "roles"), Labels: decode.Get[map[string]string](b, "labels"),
	}
	if h.Connection == "ssh" {
		h.SSH = sshOf(cluster, b)
	}
	return h
}

// sshOf is how a host is reached: as its own arguments say, else its ssh block,
// else that of its cluster.
func sshOf(cluster *instance, host *decode.Block) spec.SSH {
	blocks := []*decode.Block{host, host.One("ssh"), cluster.One("ssh")}
	standard := cluster.in.decoder.Standard(cluster.Def.Block("ssh"), cluster.Range)
	given := func(name string) *decode.Block {
		for _, b := range blocks {
			if b != nil && b.Attrs[name].Given {
				return b
			}
		}
		return nil
	}
	says := func(name string) *decode.Block { return cmp.Or(given(name), standard) }
	s := spec.SSH{
		User: valueOf[string](given("user"), "user"), Port: int(valueOf[int64](given("port"), "port")),
		Config: decode.Get[string](says("config"), "config"), Agent: decode.Get[string](says("agent"), "agent"),
		Identity: valueOf[[]string](given("identity"), "identity"), ProxyJump: valueOf[[]string](given("proxy_jump"), "proxy_jump"),
		KnownHosts: valueOf[string](given("known_hosts"), "known_hosts"),
		HostKey:    decode.Get[string](says("host_key"), "host_key"), HostKeys: decode.Get[[]string](says("host_keys"), "host_keys"),
		Connect: decode.Get[time.Duration](says("connect"), "connect"), Handshake: decode.Get[time.Duration](says("handshake"), "handshake"),
		Keepalive: decode.Get[time.Duration](says("keepalive"), "keepalive"), KeepaliveMax: int(decode.Get[int64](says("keepalive_max"), "keepalive_max")),
		CommandTimeout: decode.Get[time.Duration](says("command_timeout"), "command_timeout"),
		MaxSessions:    int(decode.Get[int64](says("max_sessions"), "max_sessions")), Retries: int(decode.Get[int64](says("retries"), "retries")),
		Compress: decode.Get[bool](says("compress"), "compress"),
	}
	if b := given("identities_only"); b != nil {
		only := decode.Get[bool](b, "identities_only")
		s.IdentitiesOnly = &only
	}
	return s
}

// valueOf is an argument of a block that may be nil, which then has none.
func valueOf[T any](b *decode.Block, name string) (v T) {
	if b == nil {
		return v
	}
	return decode.Get[T](b, name)
}

func secret(in *instance) *spec.Secret {
	return &spec.Secret{
		Name: in.name, Env: decode.Get[string](in.Block, "env"), File: decode.Get[string](in.Block, "file"),
		Command: decode.Get[[]string](in.Block, "command"), Prompt: decode.Get[string](in.Block, "prompt"),
	}
}

// install is where ainur is put on the hosts of a cluster.
func install(cluster *instance) spec.Install {
	b := cluster.One("install")
	if b == nil {
		b = cluster.in.decoder.Standard(cluster.Def.Block("install"), cluster.Range)
	}
	return spec.Install{
		Packages: decode.Get[bool](b, "packages"), Prefix: decode.Get[string](b, "prefix"), StateDir: decode.Get[string](b, "state_dir"),
		RunAs: decode.Get[string](b, "run_as"), Via: decode.Get[string](b, "via"),
	}
}

// tune is settings of hosts; b is nil when they stay as they are.
func tune(b *decode.Block) *spec.Tune {
	if b == nil {
		return nil
	}
	flag := func(name string) *bool {
		if !b.Attrs[name].Given {
			return nil
		}
		v := decode.Get[bool](b, name)
		return &v
	}
	return &spec.Tune{
		Governor: decode.Get[string](b, "governor"), Turbo: flag("turbo"), SMT: strings.TrimPrefix(decode.Get[string](b, "smt"), "leave"),
		THP: decode.Get[string](b, "thp"), NUMABalancing: flag("numa_balancing"), Swap: flag("swap"), IRQBalance: flag("irqbalance"),
		ASLR: flag("aslr"), IsolCPUs: decode.Get[string](b, "isolcpus"), Restore: decode.Get[bool](b, "restore"),
	}
}
