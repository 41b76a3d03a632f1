package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ainur-faas/ainur/orchestrator/lab"
)

// madeIn has this binary make a lab in the folder that it names, for a test to kill it.
const madeIn = "AINUR_LAB_TEST_MADE_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(madeIn); dir != "" {
		if _, err := lab.Up(context.Background(), lab.Options{Dir: dir, Hosts: 4, Bastion: true}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// left is what is on the machine of the lab in a folder: processes whose root or
// network is a host's, links, mounts, cgroups and the folder itself.
func left(t *testing.T, l *lab.Lab) (all []string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, l.Dir) {
			all = append(all, "mount "+line)
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Attrs().Name == lab.LinkOf(l.Dir) {
			all = append(all, "link "+link.Attrs().Name)
		}
	}
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/ainur-lab/" + lab.IDOf(l.Dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range cgroups {
		all = append(all, "cgroup "+dir)
	}
	if _, err := os.Lstat(l.Dir); err == nil {
		all = append(all, "folder "+l.Dir)
	}
	return append(all, processes(t, l.Dir)...)
}

// processes are those whose mounts or open files are of the lab in a folder.
func processes(t *testing.T, dir string) (all []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte("upperdir="+dir+"/")) {
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "comm")) // it may have ended
			all = append(all, fmt.Sprintf("process %s %s", path, name))
		}
	}
	return all
}

// namespaces are the network namespaces of processes, those of hosts among them.
func namespaces(t *testing.T, l *lab.Lab) (all []string) {
	t.Helper()
	for _, dir := range append([]string{"switch"}, names(l)...) {
		text, err := os.ReadFile(filepath.Join(l.Dir, dir, "pid"))
		if err != nil {
			t.Fatal(err)
		}
		pid, _, _ := strings.Cut(string(text), " ")
		namespace, err := os.Readlink("/proc/" + pid + "/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, namespace)
	}
	return all
}

func names(l *lab.Lab) (all []string) {
	for _, h := range l.Hosts {
		all = append(all, h.Name)
	}
	return all
}

// in are the processes in any of the namespaces.
func in(t *testing.T, namespaces []string) (all []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if namespace, err := os.Readlink(path); err == nil && slices.Contains(namespaces, namespace) {
			all = append(all, path)
		}
	}
	return all
}

func TestDown(t *testing.T) {
	for name, o := range map[string]lab.Options{
		"plain":   {Hosts: 3},
		"bastion": {Hosts: 2, Bastion: true, User: "faas"},
		"daemons": {Hosts: 2, Containerd: haveContainerd()},
	} {
		t.Run(name, func(t *testing.T) {
			l := up(t, o)
			if got := left(t, l); len(got) < 4 {
				t.Fatalf("of a lab there is only %q, so nothing is tested", got)
			}
			sh(t, l, l.Hosts[0], sleeping)
			if o.Containerd {
				sh(t, l, l.Hosts[0], `mkdir /tmp/root && mount --bind / /tmp/root && ctr run -d --runc-binary crun --rootfs /tmp/root c1 /bin/sleep 4321`)
			}
			if err := l.Link("n1", lab.Fault{Rate: 1e6, Loss: 0.1, Cut: "in", Delay: time.Second}); err != nil {
				t.Fatal(err)
			}
			spaces := namespaces(t, l)
			if len(in(t, spaces)) == 0 {
				t.Fatal("no process is in a namespace of the lab, so nothing is tested")
			}
			for range 2 {
				if err := l.Down(); err != nil {
					t.Fatal(err)
				}
				if got := append(left(t, l), in(t, spaces)...); len(got) > 0 {
					t.Errorf("left: %q", got)
				}
			}
		})
	}
}

func haveContainerd() bool {
	_, containerd := exec.LookPath("containerd")
	_, crun := exec.LookPath("crun")
	return containerd == nil && crun == nil
}

// TestKilled kills the making of a lab at one time after another.
func TestKilled(t *testing.T) {
	requireLab(t)
	parent, err := os.MkdirTemp("", "ainur-lab-")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "lab")
	t.Cleanup(func() {
		if err := errors.Join(lab.Remove(dir), os.Remove(parent)); err != nil {
			t.Error(err)
		}
	})
	finished := false
	for after := 4 * time.Millisecond; !finished && after < 10*time.Second; after = after * 5 / 4 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), madeIn+"="+dir)
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
		_ = cmd.Wait()                                                   // it was killed, or not
		kill.Stop()
		if said.Len() > 0 {
			t.Errorf("killed after %v, it says %s", after, &said)
		}
		l, err := lab.Open(dir)
		finished = err == nil
		var spaces []string
		if finished {
			spaces = namespaces(t, l)
		} else if !errors.Is(err, lab.ErrUnfinished) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("killed after %v, the lab cannot be opened: %v", after, err)
		}
		if err := lab.Remove(dir); err != nil {
			t.Errorf("killed after %v: %v", after, err)
		}
		got := append(left(t, &lab.Lab{Dir: dir}), in(t, spaces)...)
		for deadline := time.Now().Add(time.Second); len(got) > 0 && time.Now().Before(deadline); { // a process that was not written down yet ends by itself
			got = left(t, &lab.Lab{Dir: dir})
		}
		if len(got) > 0 {
			t.Errorf("killed after %v, left: %q", after, got)
		}
	}
	if !finished {
		t.Error("the lab was never finished, so the end is not tested")
	}
}

// TestCancelled interrupts the making of a lab at one time after another.
func TestCancelled(t *testing.T) {
	requireLab(t)
	parent, err := os.MkdirTemp("", "ainur-lab-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(parent) // it is in the temporary folder
	dir := filepath.Join(parent, "lab")
	for _, after := range []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		l, err := lab.Up(ctx, lab.Options{Dir: dir, Hosts: 9})
		cancel()
		if err == nil {
			t.Logf("finished within %v", after)
			if err := l.Down(); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("interrupted after %v: %v", after, err)
		}
		if got := left(t, &lab.Lab{Dir: dir}); len(got) > 0 {
			t.Errorf("interrupted after %v, left: %q", after, got)
		}
	}
}
