package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// The files of the kernel that a tune block is about.
const (
	governors     = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"
	noTurbo       = "/sys/devices/system/cpu/intel_pstate/no_turbo"
	boost         = "/sys/devices/system/cpu/cpufreq/boost"
	smt           = "/sys/devices/system/cpu/smt/control"
	hugePages     = "/sys/kernel/mm/transparent_hugepage/enabled"
	numaBalancing = "/proc/sys/kernel/numa_balancing"
	aslr          = "/proc/sys/kernel/randomize_va_space"
)

// tuning is the settings of a tune block for a host, and what the host cannot do of it.
func tuning(t spec.Tune, h *facts.Host) (all []setup.Setting, notes []string) {
	add := func(name, path, value string) {
		s := setup.Setting{Name: name, Path: path, Value: value, Why: "tune." + strings.ReplaceAll(name, " ", "_"), Tune: true}
		if !s.Known(h) {
			notes = append(notes, fmt.Sprintf("%s = %s cannot be had: this host has no such setting", s.Why, value))
			return
		}
		all = append(all, s)
	}
	flag := func(name, path string, want *bool, yes, no string) {
		switch {
		case want == nil:
		case *want:
			add(name, path, yes)
		default:
			add(name, path, no)
		}
	}
	if t.Governor != "" {
		add("governor", governors, t.Governor)
	}
	if _, intel := h.Files[noTurbo]; intel {
		flag("turbo", noTurbo, t.Turbo, "0", "1")
	} else {
		flag("turbo", boost, t.Turbo, "1", "0")
	}
	if is := strings.TrimSpace(h.Files[smt]); t.SMT != "" && is != "notsupported" && is != "notimplemented" {
		add("smt", smt, t.SMT)
	}
	if t.THP != "" {
		add("thp", hugePages, t.THP)
	}
	flag("numa balancing", numaBalancing, t.NUMABalancing, "1", "0")
	flag("aslr", aslr, t.ASLR, "2", "0")
	flag("irqbalance", setup.IRQBalance, t.IRQBalance, setup.Active, setup.Inactive)
	if t.Swap != nil {
		is := setup.Value(setup.Swaps, h.Files[setup.Swaps])
		switch {
		case !*t.Swap:
			add("swap", setup.Swaps, setup.None)
		case is == setup.None:
			notes = append(notes, "tune.swap = true cannot be had: this host has no swap")
		}
	}
	if t.IsolCPUs != "" && !slices.Contains(strings.Fields(h.Cmdline), "isolcpus="+t.IsolCPUs) {
		notes = append(notes, fmt.Sprintf("tune.isolcpus: the kernel was not started with isolcpus=%s", t.IsolCPUs))
	}
	return all, notes
}

// Tune makes the changes of settings in a plan, on hosts that are set up or not.
func (s *Site) Tune(ctx context.Context, p *Plan, keepGoing bool) []Outcome {
	return s.work(keepGoing, func(h *Host) (setup.Report, error) {
		i := slices.IndexFunc(p.Hosts, func(hp HostPlan) bool { return hp.Host == h.Name })
		if i < 0 || len(p.Hosts[i].Changes) == 0 {
			return setup.Report{}, nil
		}
		hp := p.Hosts[i]
		if _, err := s.push(ctx, h, hp.desired, hp.program); err != nil {
			return setup.Report{}, err
		}
		return s.ask(ctx, h, setup.Request{Do: "tune", Desired: hp.desired, By: s.Owner})
	})
}

// Tuning is the part of a plan that is settings for the time of a run.
func (p *Plan) Tuning() *Plan {
	tuned := &Plan{Cluster: p.Cluster}
	for _, h := range p.Hosts {
		h.desired.Settings = slices.DeleteFunc(slices.Clone(h.desired.Settings), func(s setup.Setting) bool { return !s.Tune })
		h.program = slices.DeleteFunc(slices.Clone(h.Changes), func(c setup.Change) bool { return c.Step != setup.Program })
		h.Changes = slices.DeleteFunc(slices.Clone(h.Changes), func(c setup.Change) bool {
			return c.Step != setup.Kernel || !strings.HasPrefix(c.Why, "tune.")
		})
		tuned.Hosts = append(tuned.Hosts, h)
	}
	return tuned
}

// Restoring is the plan of Restore.
func (s *Site) Restoring() *Plan {
	p := &Plan{Cluster: s.Cluster.Name}
	for _, h := range s.Hosts {
		if h.Err != nil {
			continue
		}
		m, err := setup.ManifestOf(s.layout(), h.Facts)
		if err != nil {
			h.Err = s.trouble(h, "plan", err)
			continue
		}
		hp := HostPlan{Host: h.Name, Roles: h.Roles}
		if m != nil {
			hp.Changes = setup.Restoring(m)
		}
		p.Hosts = append(p.Hosts, hp)
	}
	return p
}

// Restore gives the hosts back the settings that were for the time of a run. It may
// come after Up or Tune of the same Site.
func (s *Site) Restore(ctx context.Context) []Outcome {
	l := s.layout()
	return s.work(true, func(h *Host) (setup.Report, error) {
		m, err := setup.ManifestOf(l, h.Facts)
		if err != nil {
			return setup.Report{}, s.trouble(h, "restore", err)
		}
		if !h.touched && (m == nil || len(setup.Restoring(m)) == 0) {
			return setup.Report{}, nil
		}
		report, err := s.ask(ctx, h, setup.Request{Do: "restore", Desired: setup.Desired{Layout: l}, By: s.Owner})
		if err == nil && len(report.Left) > 0 {
			err = s.trouble(h, "restore", fmt.Errorf("%w: %s", ErrLeft, strings.Join(report.Left, "; ")))
		}
		return report, err
	})
}
