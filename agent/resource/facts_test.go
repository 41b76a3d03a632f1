package resource

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestReadCPU(t *testing.T) {
	intel := func(processor, socket, core string) string {
		return "processor\t: " + processor + "\nmodel name\t: Xeon\nphysical id\t: " + socket + "\ncore id\t\t: " + core + "\nflags\t\t: fpu hypervisor\n"
	}
	for name, tt := range map[string]struct {
		cpuinfo []string
		want    spec.Facts
	}{
		"two sockets of two cores of two threads": {
			[]string{
				intel("0", "0", "0"), intel("1", "0", "1"), intel("2", "1", "0"), intel("3", "1", "1"),
				intel("4", "0", "0"), intel("5", "0", "1"), intel("6", "1", "0"), intel("7", "1", "1"),
			},
			spec.Facts{CPUModel: "Xeon", Virt: "guest", Sockets: 2, PhysicalCores: 4},
		},
		"no topology, and a block about the machine": {
			[]string{"processor\t: 0\nBogoMIPS\t: 50\n", "processor\t: 1\nBogoMIPS\t: 50\n", "Hardware\t: board\n"},
			spec.Facts{Sockets: 1, PhysicalCores: 2},
		},
		"nothing": {nil, spec.Facts{}},
	} {
		t.Run(name, func(t *testing.T) {
			var got spec.Facts
			readCPU(&got, []byte(strings.Join(tt.cpuinfo, "\n")))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string]string{"always [madvise] never": "madvise", "[always] madvise never": "always", "": ""} {
		if got := Chosen(text); got != want {
			t.Errorf("Chosen(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]spec.Bytes{"16 kB": 16 * spec.KiB, "0 kB": 0, "": 0, "many kB": 0} {
		if got := kib(text); got != want {
			t.Errorf("kib(%q) = %d, want %d", text, got, want)
		}
	}
	for list, want := range map[string]int{"0": 1, "0-3,8": 5, "": 0, "3-1": 0, "x": 0} {
		if got := counted(list); got != want {
			t.Errorf("counted(%q) = %d, want %d", list, got, want)
		}
	}
	if got, want := split([]byte("A = 1\nno pair\nB=\"x y\"\n"), "="), (map[string]string{"A": "1", "B": `"x y"`}); !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
