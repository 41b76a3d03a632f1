#include "textflag.h"

// func vfork(args *cloneArgs, size uintptr) (pid, errno uintptr)
//
// The child runs on the stack of the parent, which sleeps until the child
// executes or ends, and overwrites the return address there: it is kept in a
// register, of which each has its own.
TEXT ·vfork(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ args+0(FP), DI
	MOVQ size+8(FP), SI
	MOVQ $435, AX // clone3
	POPQ R12
	SYSCALL
	PUSHQ R12
	CMPQ AX, $0xfffffffffffff001
	JLS  started
	NEGQ AX
	MOVQ $0, pid+16(FP)
	MOVQ AX, errno+24(FP)
	RET
started:
	MOVQ AX, pid+16(FP)
	MOVQ $0, errno+24(FP)
	RET
