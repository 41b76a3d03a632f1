package resource

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
)

// HostFacts reads what this host is. What it does not say is left zero.
func HostFacts() spec.Facts {
	f := spec.Facts{
		BootID: mono.BootID(), Arch: runtime.GOARCH, LogicalCores: runtime.NumCPU(), UID: os.Getuid(), GoVersion: runtime.Version(),
		OS: osName(), Cmdline: line("/proc/cmdline"), SMT: line("/sys/devices/system/cpu/smt/control"),
		Governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), Cgroup: CgroupVersion("/sys/fs/cgroup"),
		NUMANodes: max(1, count("/sys/devices/system/node/node[0-9]*")), THP: chosen(line("/sys/kernel/mm/transparent_hugepage/enabled")),
	}
	f.Hostname, _ = os.Hostname() // "" when it has none
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	readCPU(&f, read("/proc/cpuinfo"))
	memory := split(read("/proc/meminfo"), ":")
	f.MemoryTotal, f.SwapTotal = kib(memory["MemTotal"]), kib(memory["SwapTotal"])
	f.Turbo = turbo()
	if first, _, ok := strings.Cut(line("/proc/loadavg"), " "); ok {
		f.Load1, _ = strconv.ParseFloat(first, 64) // 0 when it is no number
	}
	return f
}

// readCPU reads model, sockets and cores from the text of /proc/cpuinfo. A core
// is a pair of socket and core id; where a machine gives none, each logical core is one.
func readCPU(f *spec.Facts, cpuinfo []byte) {
	sockets, cores := map[string]bool{}, map[string]bool{}
	for block := range bytes.SplitSeq(cpuinfo, []byte("\n\n")) {
		fields := split(block, ":")
		processor, ok := fields["processor"]
		if !ok {
			continue // about the machine
		}
		if f.CPUModel == "" {
			f.CPUModel = fields["model name"]
		}
		if strings.Contains(" "+fields["flags"]+" ", " hypervisor ") {
			f.Virt = "guest"
		}
		sockets[fields["physical id"]] = true
		core, ok := fields["core id"]
		if !ok {
			core = "logical " + processor
		}
		cores[fields["physical id"]+" "+core] = true
	}
	f.Sockets, f.PhysicalCores = len(sockets), len(cores)
}

func osName() string { return strings.Trim(split(read("/etc/os-release"), "=")["PRETTY_NAME"], `"`) }

// turbo is whether the CPU may go over its base frequency, nil when unknown.
func turbo() *bool {
	for path, on := range map[string]string{
		"/sys/devices/system/cpu/intel_pstate/no_turbo": "0",
		"/sys/devices/system/cpu/cpufreq/boost":         "1",
	} {
		if value := line(path); value != "" {
			boost := value == on
			return &boost
		}
	}
	return nil
}

// read returns a file of the kernel's, nothing where there is none.
func read(path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return b
}

func line(path string) string { return string(bytes.TrimSpace(read(path))) }

// split is lines of a name, the separator and a value.
func split(b []byte, separator string) map[string]string {
	out := map[string]string{}
	for text := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(text, separator); ok {
			out[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return out
}

// chosen is the word in brackets, as in "always [madvise] never".
func chosen(s string) string {
	_, after, _ := strings.Cut(s, "[")
	word, _, _ := strings.Cut(after, "]")
	return word
}

func count(pattern string) int {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		panic("resource: " + pattern + " is a pattern of ours: " + err.Error())
	}
	return len(matches)
}

func kib(s string) spec.Bytes {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return spec.Bytes(n) * spec.KiB
}
