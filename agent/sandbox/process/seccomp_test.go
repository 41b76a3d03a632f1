package process

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The filter begins with the architecture: numbers of another mean other calls.
func TestFilterArchitecture(t *testing.T) {
	program, err := filter()
	if err != nil {
		t.Fatal(err)
	}
	first := program[:3]
	if first[0].K != 4 || first[1].Jt != 1 || first[1].Jf != 0 || first[2].K != unix.SECCOMP_RET_KILL_PROCESS {
		t.Errorf("it begins with %+v", first)
	}
}
