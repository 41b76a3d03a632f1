package resource

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// HostFacts reads what this host is. What it does not say is left zero.
func HostFacts() spec.Facts {
	f := FactsOf(Files{Read: read, Exists: exists})
	f.Arch, f.LogicalCores, f.UID, f.GoVersion = runtime.GOARCH, runtime.NumCPU(), os.Getuid(), runtime.Version()
	return f
}

// Runnable is how many threads of this host run or could, the caller's own not counted; 0 where the host does not say.
func Runnable() int {
	fields := strings.Fields(string(read("/proc/loadavg")))
	if len(fields) < 4 {
		return 0
	}
	running, _, _ := strings.Cut(fields[3], "/")
	n, _ := strconv.Atoi(running) // 0 when it is no number
	return max(0, n-1)
}

// Files are those of a host, which may be another than this one.
type Files struct {
	Read   func(path string) []byte // nil where there is none
	Exists func(path string) bool
}

func (f Files) line(path string) string { return string(bytes.TrimSpace(f.Read(path))) }

// FactsPaths are the files that FactsOf reads.
var FactsPaths = []string{
	"/etc/os-release", "/proc/cmdline", "/proc/cpuinfo", "/proc/loadavg", "/proc/meminfo",
	"/proc/sys/kernel/hostname", "/proc/sys/kernel/osrelease", "/proc/sys/kernel/random/boot_id",
	"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "/sys/devices/system/cpu/smt/control", noTurbo, boost,
	"/sys/devices/system/node/online", "/sys/kernel/mm/transparent_hugepage/enabled",
}

// FactsOf is what a host is by its files, without what only a program there knows:
// architecture, logical cores, user and version of Go.
func FactsOf(files Files) spec.Facts {
	f := spec.Facts{
		Hostname: files.line("/proc/sys/kernel/hostname"), BootID: files.line("/proc/sys/kernel/random/boot_id"), Kernel: files.line("/proc/sys/kernel/osrelease"),
		OS:      strings.Trim(split(files.Read("/etc/os-release"), "=")["PRETTY_NAME"], `"`),
		Cmdline: files.line("/proc/cmdline"), SMT: files.line("/sys/devices/system/cpu/smt/control"),
		Governor: files.line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"), Cgroup: cgroupVersion(CgroupRoot, files.Exists),
		NUMANodes: max(1, counted(files.line("/sys/devices/system/node/online"))), THP: Chosen(files.line("/sys/kernel/mm/transparent_hugepage/enabled")),
		Turbo: turbo(files),
	}
	readCPU(&f, files.Read("/proc/cpuinfo"))
	memory := split(files.Read("/proc/meminfo"), ":")
	f.MemoryTotal, f.SwapTotal = kib(memory["MemTotal"]), kib(memory["SwapTotal"])
	if first, _, ok := strings.Cut(files.line("/proc/loadavg"), " "); ok {
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

// Where two drivers say whether the CPU may go over its base frequency.
const (
	noTurbo = "/sys/devices/system/cpu/intel_pstate/no_turbo"
	boost   = "/sys/devices/system/cpu/cpufreq/boost"
)

// turbo is whether the CPU may go over its base frequency, nil when unknown.
func turbo(files Files) *bool {
	for path, on := range map[string]string{noTurbo: "0", boost: "1"} {
		if value := files.line(path); value != "" {
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

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

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

// Chosen is the word in brackets, as in "always [madvise] never".
func Chosen(s string) string {
	_, after, _ := strings.Cut(s, "[")
	word, _, _ := strings.Cut(after, "]")
	return word
}

// counted is how many numbers a list of the kernel's has, as "0-3,8".
func counted(list string) (n int) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err == nil && err2 == nil && last >= first {
			n += last - first + 1
		}
	}
	return n
}

func kib(s string) spec.Bytes {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return spec.Bytes(n) * spec.KiB
}
