package process

import (
	"fmt"
	"maps"
	"math"
	"slices"

	profile "github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/elastic/go-seccomp-bpf/arch"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// forbidden are the system calls of Docker's default profile that a sandbox may not make
// here: one without a PID namespace of its own would reach others of its user.
var forbidden = []string{"process_vm_readv", "process_vm_writev", "ptrace"}

// What a filter returns.
const (
	allow  = unix.SECCOMP_RET_ALLOW
	kill   = unix.SECCOMP_RET_KILL_PROCESS
	refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// rule is what becomes of a system call.
type rule struct {
	otherwise uint32 // what the filter returns where no condition holds
	allowed   []condition
}

// condition holds when the bits of mask of an argument are those of value. The kernel takes
// no more than 32 bits of any argument on which there is a condition.
type condition struct {
	argument    uint
	mask, value uint32
}

// equals is a condition on all of an argument.
func equals(argument uint, value uint32) condition { return condition{argument, math.MaxUint32, value} }

// filter is a program for the kernel that allows what Docker's default profile allows
// (as containerd has it) to a container without capabilities, except what is forbidden,
// and these system calls by name under these conditions.
func filter(also map[string][]condition) ([]unix.SockFilter, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	rules := map[uint32]rule{}
	for _, s := range profile.DefaultProfile(&specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}}}).Syscalls {
		for _, name := range s.Names {
			number, ok := machine.SyscallNames[name]
			if !ok || slices.Contains(forbidden, name) { // most are those of other architectures
				continue
			}
			if err := add(rules, uint32(number), s); err != nil {
				return nil, fmt.Errorf("seccomp filter: %s: %w", name, err)
			}
		}
	}
	for name, conditions := range also {
		number := uint32(machine.SyscallNames[name])
		r, ok := rules[number]
		if !ok {
			r.otherwise = refuse
		}
		r.allowed = append(r.allowed, conditions...)
		rules[number] = r
	}
	return append([]unix.SockFilter{
		load(4), // arch of struct seccomp_data: another has other numbers
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: uint32(machine.ID)},
		give(kill),
		load(0), // the number
	}, choose(numbers(rules))...), nil
}

// fewValues is how many a condition on an argument may be of.
const fewValues = 1 << 10

// add makes what a profile says of a system call part of the rules.
func add(rules map[uint32]rule, number uint32, s specs.LinuxSyscall) error {
	r, known := rules[number]
	switch {
	case s.Action == specs.ActErrno && s.ErrnoRet != nil:
		rules[number] = rule{otherwise: unix.SECCOMP_RET_ERRNO | uint32(*s.ErrnoRet)}
		return nil
	case s.Action != specs.ActAllow || len(s.Args) > 1:
		return fmt.Errorf("action %s under %d conditions is unknown", s.Action, len(s.Args))
	case len(s.Args) == 0:
		rules[number] = rule{otherwise: allow}
		return nil
	case !known:
		r.otherwise = refuse
	}
	switch a := s.Args[0]; {
	case a.Op == specs.OpEqualTo && a.Value <= math.MaxUint32:
		r.allowed = append(r.allowed, equals(a.Index, uint32(a.Value)))
	case a.Op == specs.OpLessThan && a.Value <= fewValues:
		for v := range uint32(a.Value) {
			r.allowed = append(r.allowed, equals(a.Index, v))
		}
	case a.Op == specs.OpMaskedEqual && a.Value <= math.MaxUint32 && a.ValueTwo <= math.MaxUint32:
		r.allowed = append(r.allowed, condition{a.Index, uint32(a.Value), uint32(a.ValueTwo)})
	default:
		return fmt.Errorf("condition %s of %#x is unknown", a.Op, a.Value)
	}
	rules[number] = r
	return nil
}

// span is the numbers from one on, up to the next span, and the program for them.
type span struct {
	from uint32
	code []unix.SockFilter
}

// numbers are the spans of rules. C libraries know what to do where a system call is newer
// than all that there are rules for, as where the kernel does not have it.
func numbers(rules map[uint32]rule) []span {
	spans := []span{{0, []unix.SockFilter{give(refuse)}}}
	for _, number := range slices.Sorted(maps.Keys(rules)) {
		spans = except(spans, number, rules[number].code())
	}
	spans[len(spans)-1].code = []unix.SockFilter{give(absent)}
	return spans
}

// except gives a number, in or after the last span, a program of its own.
func except(spans []span, number uint32, code []unix.SockFilter) []span {
	last := spans[len(spans)-1]
	if last.from == number {
		spans = spans[:len(spans)-1]
	}
	if n := len(spans); n == 0 || !slices.Equal(spans[n-1].code, code) {
		spans = append(spans, span{number, code})
	}
	if number == math.MaxUint32 {
		return spans
	}
	return append(spans, span{number + 1, last.code})
}

// code is the program for a system call.
func (r rule) code() []unix.SockFilter {
	code := []unix.SockFilter{give(r.otherwise)}
	values := map[uint][]uint32{} // of an argument that must be one of them
	for _, c := range r.allowed {
		if c.mask == math.MaxUint32 {
			values[c.argument] = append(values[c.argument], c.value)
			continue
		}
		masked := []unix.SockFilter{
			load(at(c.argument)),
			{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: c.value},
			give(allow),
		}
		code = append(masked, code...)
	}
	for _, argument := range slices.Sorted(maps.Keys(values)) {
		code = oneOf(argument, values[argument], code)
	}
	return code
}

// oneOf allows where an argument is one of the values, and goes on to code elsewhere.
func oneOf(argument uint, values []uint32, code []unix.SockFilter) []unix.SockFilter {
	spans := []span{{0, code}}
	for _, v := range slices.Sorted(slices.Values(values)) {
		spans = except(spans, v, []unix.SockFilter{give(allow)})
	}
	return append([]unix.SockFilter{load(at(argument))}, choose(spans)...)
}

// choose is the program for a number that has been loaded: a tree, so that the kernel,
// which goes through the program for every number there is when it gets it, has few steps.
func choose(spans []span) []unix.SockFilter {
	if len(spans) == 1 {
		return spans[0].code
	}
	half := len(spans) / 2
	below, above := choose(spans[:half]), choose(spans[half:])
	jump := []unix.SockFilter{
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: spans[half].from},
		{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(below))}, // a conditional jump reaches 255
	}
	return slices.Concat(jump, below, above)
}

// at is where the lower half of an argument is in struct seccomp_data, on a machine that
// has it first.
func at(argument uint) uint32 { return uint32(16 + 8*argument) }

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

func give(what uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what}
}
