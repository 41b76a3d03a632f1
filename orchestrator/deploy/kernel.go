package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// The files of the kernel that a load may need to be otherwise.
const (
	somaxconn = "/proc/sys/net/core/somaxconn"
	portRange = "/proc/sys/net/ipv4/ip_local_port_range"
)

// known are the settings that a host may get, without values.
func known() (all []setup.Setting) {
	for _, path := range []string{somaxconn, portRange, governors, noTurbo, boost, smt, hugePages, numaBalancing, aslr} {
		all = append(all, setup.Setting{Path: path})
	}
	return all
}

// settings are what the kernel of a host is to have for an experiment: as much room
// for connections as calls may be under way. What has the room stays as it is.
func settings(exp *spec.Experiment, host spec.Host, h *facts.Host) (all []setup.Setting) {
	if exp == nil || !slices.ContainsFunc(roles(exp, host), func(p string) bool { return p == "balancer" || p == "load" }) {
		return nil
	}
	calls := 0
	for _, p := range exp.Points {
		for _, l := range p.Loads {
			calls = max(calls, l.MaxInFlight)
		}
	}
	why := fmt.Sprintf("%d calls may be under way", calls)
	if is, err := strconv.Atoi(strings.TrimSpace(h.Files[somaxconn])); err == nil && is < calls {
		all = append(all, setup.Setting{Name: "sysctl net.core.somaxconn", Path: somaxconn, Value: strconv.Itoa(max(calls, 65535)), Why: why})
	}
	var first, last int
	if n, _ := fmt.Sscan(h.Files[portRange], &first, &last); n == 2 && last-first < calls && calls < 64000 {
		all = append(all, setup.Setting{Name: "sysctl net.ipv4.ip_local_port_range", Path: portRange, Value: "1024 65535", Why: why})
	}
	return all
}

// parts are what a host has in an experiment.
func parts(exp *spec.Experiment, host string) (all []string) {
	add := func(part, on string) {
		if on == host && !slices.Contains(all, part) {
			all = append(all, part)
		}
	}
	for _, p := range exp.Points {
		if p.Balancer != nil {
			add("balancer", p.Balancer.Host)
		}
		for _, w := range p.Workers {
			add("worker", w.Host)
		}
		for _, l := range p.Loads {
			for _, from := range p.Generators(l) {
				add("load", from)
			}
		}
	}
	return all
}

// roles are what is shown of a host: what it has in the experiment and what it is for.
func roles(exp *spec.Experiment, h spec.Host) []string {
	all := slices.Clone(h.Roles)
	if exp != nil {
		all = append(all, parts(exp, h.Name)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
