package process

import (
	"fmt"
	"runtime"
	"sync"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// forbidden are the system calls that a sandbox may not make, for which it gets
// EPERM: what containers may not by Docker's default profile (docs.docker.com,
// "Significant syscalls blocked by the default profile"), and io_uring.
var forbidden = []string{
	"acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
	"init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "mount",
	"mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root",
	"process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "setns", "settimeofday", "swapoff", "swapon",
	"umount2", "unshare", "userfaultfd", "vhangup",
}

// namespaceFlags are what clone may not make.
var namespaceFlags = []uint64{
	unix.CLONE_NEWUSER, unix.CLONE_NEWNS, unix.CLONE_NEWPID, unix.CLONE_NEWNET, unix.CLONE_NEWIPC, unix.CLONE_NEWUTS, unix.CLONE_NEWCGROUP,
}

// filter is the program for the kernel, the same for every sandbox.
var filter = sync.OnceValues(func() ([]unix.SockFilter, error) {
	denied := seccomp.SyscallGroup{Action: seccomp.Action(unix.SECCOMP_RET_ERRNO | int(unix.EPERM)), Names: forbidden}
	for _, flag := range namespaceFlags {
		denied.NamesWithCondtions = append(denied.NamesWithCondtions, seccomp.NameWithConditions{
			Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: flag}},
		})
	}
	policy := seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{
		denied,
		// Its flags are in memory, which a filter cannot read. C libraries fall back to clone.
		{Action: seccomp.Action(unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS)), Names: []string{"clone3"}},
	}}
	program, err := policy.Assemble()
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	native, ok := auditArchitecture[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("seccomp filter: the architecture %s has no number here", runtime.GOARCH)
	}
	// System calls of another architecture, which have other numbers, pass the library's filter.
	out := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 4}, // arch of struct seccomp_data
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: native},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_KILL_PROCESS},
	}
	for _, r := range raw {
		out = append(out, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	return out, nil
})

// auditArchitecture is what the kernel calls an architecture in struct seccomp_data.
var auditArchitecture = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}
