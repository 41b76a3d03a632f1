package orchestrator

import (
	"fmt"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// drift says how a host is other than it was, in what may change numbers. A reboot
// counts only within the same attempt at a run.
func drift(host string, before, after spec.Facts, sameAttempt bool) (changes []string) {
	compare := func(what string, was, is any) {
		if was != is {
			changes = append(changes, fmt.Sprintf("host %s changed during the run: %s was %v, is %v", host, what, shown(was), shown(is)))
		}
	}
	if sameAttempt && before.BootID != after.BootID {
		changes = append(changes, fmt.Sprintf("host %s was rebooted during the run", host))
	}
	compare("kernel", before.Kernel, after.Kernel)
	compare("kernel command line", before.Cmdline, after.Cmdline)
	compare("CPU", before.CPUModel, after.CPUModel)
	compare("logical cores", before.LogicalCores, after.LogicalCores)
	compare("SMT", before.SMT, after.SMT)
	compare("governor", before.Governor, after.Governor)
	compare("turbo", known(before.Turbo), known(after.Turbo))
	compare("memory", before.MemoryTotal, after.MemoryTotal)
	compare("swap", before.SwapTotal, after.SwapTotal)
	compare("transparent huge pages", before.THP, after.THP)
	return changes
}

// known is "on", "off" or "", which is not known.
func known(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "on"
	default:
		return "off"
	}
}

func shown(v any) any {
	if v == "" {
		return "unknown"
	}
	return v
}
