package pid

import (
	"os"
	"os/exec"
	"testing"
)

func TestStarted(t *testing.T) {
	own := Started(os.Getpid())
	if own == 0 || Started(os.Getpid()) != own {
		t.Errorf("this process started at %d, then at %d", own, Started(os.Getpid()))
	}
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if at := Started(child.Process.Pid); at < own {
		t.Errorf("a child started at %d, this process at %d", at, own)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	if at := Started(child.Process.Pid); at != 0 {
		t.Errorf("a process that has ended started at %d", at)
	}
}
