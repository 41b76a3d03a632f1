package process

import (
	"encoding/binary"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A filter allows what the profile does and what is asked for beside, and nothing else.
func TestFilter(t *testing.T) {
	also := map[string][]condition{"clone": {equals(0, unix.CLONE_NEWPID)}, "mount": {equals(3, 6), equals(3, 7), equals(3, 14)}}
	native, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		also map[string][]condition
		call string
		args [6]uint64
		want uint32
	}{
		"what all do":                           {call: "read", want: allow},
		"the last that there is a rule for":     {call: "mseal", want: allow},
		"a new mount":                           {call: "fsmount", want: refuse},
		"a trace":                               {call: "ptrace", want: refuse},
		"another's memory":                      {call: "process_vm_readv", want: refuse},
		"rings":                                 {call: "io_uring_setup", want: refuse},
		"keys":                                  {call: "keyctl", want: refuse},
		"a thread":                              {call: "clone", args: [6]uint64{unix.CLONE_VM | unix.CLONE_THREAD}, want: allow},
		"a namespace":                           {call: "clone", args: [6]uint64{unix.CLONE_NEWPID}, want: refuse},
		"flags in memory":                       {call: "clone3", want: absent},
		"a socket":                              {call: "socket", args: [6]uint64{unix.AF_INET}, want: allow},
		"the last kind of socket that there is": {call: "socket", args: [6]uint64{unix.AF_VSOCK}, want: refuse},
		"a personality":                         {call: "personality", args: [6]uint64{0xffffffff}, want: allow},
		"another personality":                   {call: "personality", args: [6]uint64{0xfffffffe}, want: refuse},
		"that namespace":                        {also: also, call: "clone", args: [6]uint64{unix.CLONE_NEWPID}, want: allow},
		"that and another":                      {also: also, call: "clone", args: [6]uint64{unix.CLONE_NEWPID | unix.CLONE_NEWUSER}, want: refuse},
		"a thread beside":                       {also: also, call: "clone", args: [6]uint64{unix.CLONE_VM}, want: allow},
		"that mount":                            {also: also, call: "mount", args: [6]uint64{0, 0, 0, 14}, want: allow},
		"the mount after it":                    {also: also, call: "mount", args: [6]uint64{0, 0, 0, 15}, want: refuse},
		"the mount before it":                   {also: also, call: "mount", args: [6]uint64{0, 0, 0, 5}, want: refuse},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(t, tt.also, uint32(native.ID), uint32(native.SyscallNames[tt.call]), tt.args); got != tt.want {
				t.Errorf("%s%v: %#x, want %#x", tt.call, tt.args, got, tt.want)
			}
		})
	}
	if got := ask(t, nil, uint32(native.ID), 5000, [6]uint64{}); got != absent {
		t.Errorf("a system call newer than all rules: %#x", got)
	}
	if got := ask(t, nil, uint32(native.ID), 1<<30, [6]uint64{}); got != absent {
		t.Errorf("a number of x32: %#x", got)
	}
	if got := ask(t, nil, uint32(native.ID)+1, 0, [6]uint64{}); got != kill {
		t.Errorf("another architecture: %#x", got)
	}
}

// ask is what a filter says of a system call.
func ask(t *testing.T, also map[string][]condition, machine, number uint32, args [6]uint64) uint32 {
	t.Helper()
	program, err := filter(also)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]bpf.RawInstruction, len(program))
	for n, i := range program {
		raw[n] = bpf.RawInstruction{Op: i.Code, Jt: i.Jt, Jf: i.Jf, K: i.K}
	}
	instructions, ok := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(instructions)
	if err != nil || !ok {
		t.Fatal(err, ok)
	}
	data := binary.BigEndian.AppendUint32(nil, number) // as the VM reads words
	data = binary.BigEndian.AppendUint32(data, machine)
	data = append(data, make([]byte, 8)...)
	for _, a := range args {
		data = binary.BigEndian.AppendUint32(data, uint32(a))
		data = binary.BigEndian.AppendUint32(data, uint32(a>>32))
	}
	verdict, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(verdict)
}
