package orchestrator

import (
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestDrift(t *testing.T) {
	on, off := true, false
	before := spec.Facts{BootID: "a", Kernel: "6.1", Governor: "performance", Turbo: &off, LogicalCores: 4, Load1: 0.1}
	for want, change := range map[string]func(*spec.Facts){
		"":                                     func(f *spec.Facts) { f.Load1, f.UID = 9, 1 },
		"rebooted":                             func(f *spec.Facts) { f.BootID = "b" },
		"governor was performance, is unknown": func(f *spec.Facts) { f.Governor = "" },
		"turbo was off, is on":                 func(f *spec.Facts) { f.Turbo = &on },
		"logical cores was 4, is 2":            func(f *spec.Facts) { f.LogicalCores = 2 },
	} {
		after := before
		change(&after)
		got := strings.Join(drift("h", before, after, true), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	after := before
	after.BootID = "b"
	if got := drift("h", before, after, false); got != nil {
		t.Errorf("a reboot between two attempts: %q", got)
	}
}
