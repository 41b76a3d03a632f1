package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/orchestrator/lab"
)

// requireLab skips a test where no lab can be made.
func requireLab(t *testing.T) {
	t.Helper()
	testenv.Require(t, testenv.Root)
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Skipf("needs sshd: %v", err)
	}
}

// up makes a lab for a test, in a folder of the test.
func up(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	requireLab(t)
	dir, err := os.MkdirTemp("", "ainur-lab-") // t.TempDir has names that ssh_config does not take
	if err != nil {
		t.Fatal(err)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(dir, "lab")
	}
	t.Cleanup(func() {
		if err := errors.Join(lab.Remove(o.Dir), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	l, err := lab.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dial connects to a host as a user with what the lab's files say.
func dial(t *testing.T, l *lab.Lab, h *lab.Host, user string) *ssh.Client {
	t.Helper()
	key, err := os.ReadFile(l.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	known, err := knownhosts.New(l.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: known,
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 5 * time.Second,
	}
	at := net.JoinHostPort(h.Address.String(), "22")
	var conn net.Conn
	if l.Bastion == nil || h == l.Bastion {
		conn, err = net.DialTimeout("tcp", at, config.Timeout)
	} else {
		conn, err = dial(t, l, l.Bastion, "root").Dial("tcp", at)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, at, config)
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(c, channels, requests)
	t.Cleanup(func() { _ = client.Close() }) // the host may have ended
	return client
}

// sh runs a script on a host and returns what it says.
func sh(t *testing.T, l *lab.Lab, h *lab.Host, script string) string {
	t.Helper()
	return run(t, dial(t, l, h, "root"), script)
}

func run(t *testing.T, c *ssh.Client, script string) string {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(script)
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestHosts(t *testing.T) {
	l := up(t, lab.Options{})
	if len(l.Hosts) != 3 {
		t.Fatalf("got %d hosts, want 3", len(l.Hosts))
	}
	for n, h := range l.Hosts {
		next := l.Hosts[(n+1)%3]
		if got := sh(t, l, h, "hostname; cat /etc/hostname"); got != h.Name+"\n"+h.Name {
			t.Errorf("%s is called %q", h.Name, got)
		}
		if got := sh(t, l, h, "exec 3<>/dev/tcp/"+next.Name+"/22; head -c 4 <&3"); got != "SSH-" {
			t.Errorf("%s sees %q of %s", h.Name, got, next.Name)
		}
		if got := sh(t, l, h, "cat /sys/class/net/eth0/address /proc/1/comm; ls -d /sys/class/net/*"); !strings.HasSuffix(got, "sshd\n/sys/class/net/eth0\n/sys/class/net/lo") {
			t.Errorf("%s has the links and the first process %q", h.Name, got)
		}
	}
	if a, b := sh(t, l, l.Hosts[0], "cat /etc/machine-id"), sh(t, l, l.Hosts[1], "cat /etc/machine-id"); a == b {
		t.Errorf("two hosts have the machine id %s", a)
	}
}

// TestOpenSSH shows that OpenSSH takes the lab's ssh_config.
func TestOpenSSH(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1, Bastion: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ssh", "-F", l.Config, "n1", "hostname").CombinedOutput()
	if string(out) != "n1\n" || err != nil {
		t.Errorf("ssh n1 says %q, error %v", out, err)
	}
}

func TestFiles(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2})
	changes := func(h *lab.Host) (got []string) {
		all, err := l.Changes(h.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			got = append(got, c.String())
		}
		return got
	}
	if got := changes(l.Hosts[0]); len(got) > 0 {
		t.Errorf("a new host has changes %q", got)
	}
	sh(t, l, l.Hosts[0], `set -e
echo new > /etc/lab-test-new
mkdir -p /opt/ainur/bin /var/lib/ainur/deployment /run/lab-test
echo state > /var/lib/ainur/deployment/state
echo changed >> /etc/debian_version
echo again > /etc/hosts
rm /etc/issue
touch /tmp/lab-test-gone; rm /tmp/lab-test-gone
echo x > "/root/a, b"
chmod 700 /usr/local
touch /var/lib/dpkg/lab-test
rm -r /etc/init.d; mkdir /etc/init.d
rmdir /run/lock
`)
	want := []string{
		"changed /etc/debian_version", "changed /etc/hosts", "changed /etc/init.d", "removed /etc/issue", "added /etc/lab-test-new",
		"added /opt/ainur", "added /opt/ainur/bin", "added /root/a, b", "added /run/lab-test", "removed /run/lock",
		"changed /usr/local", "added /var/lib/ainur", "added /var/lib/ainur/deployment", "added /var/lib/ainur/deployment/state",
		"added /var/lib/dpkg/lab-test",
	}
	if diff := cmp.Diff(want, changes(l.Hosts[0])); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if got := changes(l.Hosts[1]); len(got) > 0 {
		t.Errorf("the other host has changes %q", got)
	}
	for _, path := range []string{"/etc/lab-test-new", "/run/lab-test", "/root/a, b"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("the machine has %s", path)
		}
		if got := sh(t, l, l.Hosts[1], "ls -d '"+path+"' 2>/dev/null || echo none"); got != "none" {
			t.Errorf("the other host has %s", path)
		}
	}
	sh(t, l, l.Hosts[0], `rm -r /var/lib/dpkg/lab-test /etc/lab-test-new /opt/ainur /var/lib/ainur /run/lab-test /root/a*; mkdir /run/lock`)
	want = []string{"changed /etc/debian_version", "changed /etc/hosts", "changed /etc/init.d", "removed /etc/issue", "changed /usr/local"}
	if diff := cmp.Diff(want, changes(l.Hosts[0])); diff != "" {
		t.Errorf("changes after cleaning up (-want +got):\n%s", diff)
	}
}

func TestUser(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1, User: "faas"})
	c := dial(t, l, l.Hosts[0], "faas")
	if got := run(t, c, "whoami; cd; pwd; touch ok; stat -c %U ok"); got != "faas\n/home/faas\nfaas" {
		t.Errorf("got %q", got)
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		t.Logf("not tried: %v", err)
	} else if got := run(t, c, "sudo -n whoami"); got != "root" {
		t.Errorf("sudo makes %q of faas", got)
	}
}

func TestBastion(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2, Bastion: true})
	if got := sh(t, l, l.Hosts[1], "hostname"); got != "n2" {
		t.Errorf("the host behind the bastion is %q", got)
	}
	if got := sh(t, l, l.Hosts[1], "exec 3<>/dev/tcp/bastion/22; head -c 4 <&3"); got != "SSH-" {
		t.Errorf("a host sees %q of the bastion", got)
	}
	// This machine may have a way out where something else answers, but no such host.
	conn, err := net.DialTimeout("tcp", l.Hosts[0].Address.String()+":22", time.Second)
	if err != nil {
		return
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 64)
	if n, _ := conn.Read(said); bytes.HasPrefix(said[:n], []byte("SSH-")) {
		t.Errorf("the machine reaches %v, which says %q", l.Hosts[0].Address, said[:n])
	}
}

func TestTwoLabs(t *testing.T) {
	a, b, c := up(t, lab.Options{Hosts: 1}), up(t, lab.Options{Hosts: 1, Bastion: true}), up(t, lab.Options{Hosts: 1, Bastion: true})
	if a.Subnet.Overlaps(b.Subnet) || b.Subnet.Overlaps(c.Subnet) {
		t.Errorf("labs have the subnets %v, %v and %v", a.Subnet, b.Subnet, c.Subnet)
	}
	if err := a.Down(); err != nil {
		t.Fatal(err)
	}
	if got := sh(t, b, b.Hosts[0], "hostname"); got != "n1" {
		t.Errorf("the host of the other lab is %q", got)
	}
	if _, err := lab.Up(t.Context(), lab.Options{Dir: b.Dir}); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("a lab in the folder of another: error %v", err)
	}
	busy := netip.PrefixFrom(b.Bastion.Address, 24)
	if _, err := lab.Up(t.Context(), lab.Options{Dir: a.Dir, Subnet: busy}); err == nil || !strings.Contains(err.Error(), "overlaps") {
		t.Errorf("a lab in the subnet of another: error %v", err)
	}
	again, err := lab.Open(b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hosts[0].PID != b.Hosts[0].PID {
		t.Errorf("opened, the host is process %d, want %d", again.Hosts[0].PID, b.Hosts[0].PID)
	}
}

// sleeping leaves a process behind, and returns when it runs.
const sleeping = `setsid sleep 4321 >/dev/null 2>&1 </dev/null & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done`

func TestProcesses(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2})
	sh(t, l, l.Hosts[0], sleeping)
	has := func(h *lab.Host) bool {
		all, err := l.Processes(h.Name)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(all, func(p lab.Process) bool { return slices.Equal(p.Args, []string{"sleep", "4321"}) })
	}
	if !has(l.Hosts[0]) || has(l.Hosts[1]) {
		t.Errorf("sleep runs on the first host: %t, on the second: %t", has(l.Hosts[0]), has(l.Hosts[1]))
	}
}

// TestOff: a host that has ended is told, also to who did not make the lab.
func TestOff(t *testing.T) {
	l := up(t, lab.Options{Hosts: 2})
	if off := l.Off(); len(off) > 0 {
		t.Errorf("at first %v are off", off)
	}
	if err := syscall.Kill(l.Hosts[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	other, err := lab.Open(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for len(other.Off()) == 0 { // it takes a moment to end
		time.Sleep(time.Millisecond)
	}
	if off := other.Off(); !slices.Equal(off, []string{"n2"}) {
		t.Errorf("%v are off, want n2", off)
	}
}

// TestFrozen removes a host where processes are frozen, which no signal ends by itself.
func TestFrozen(t *testing.T) {
	l := up(t, lab.Options{Hosts: 1})
	sh(t, l, l.Hosts[0], sleeping+`
mkdir /sys/fs/cgroup/freezer/frozen || exit 0
echo $! > /sys/fs/cgroup/freezer/frozen/cgroup.procs
echo FROZEN > /sys/fs/cgroup/freezer/frozen/freezer.state
until [ "$(cat /sys/fs/cgroup/freezer/frozen/freezer.state)" = FROZEN ]; do :; done`)
	if err := l.Down(); err != nil {
		t.Error(err)
	}
}

func TestContainerd(t *testing.T) {
	testenv.Require(t, testenv.Containerd, testenv.Crun)
	l := up(t, lab.Options{Hosts: 2, Containerd: true})
	const script = `set -e
mkdir /tmp/root && mount --bind / /tmp/root
ctr run --rm --runc-binary crun --rootfs /tmp/root c1 /bin/sh -c 'echo $(hostname) $(cat /proc/1/comm)'
umount /tmp/root && rmdir /tmp/root`
	for _, h := range l.Hosts {
		if got, want := sh(t, l, h, script), h.Name+" sh"; got != want {
			t.Errorf("a container says %q, want %q", got, want)
		}
		changes, err := l.Changes(h.Name)
		if err != nil || len(changes) > 0 {
			t.Errorf("a container that is gone has changed %v, error %v", changes, err)
		}
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]lab.Options{
		"a name":       {Name: "A b"},
		"hosts":        {Hosts: lab.MaxHosts + 1},
		"a folder":     {Dir: "/run/a b"},
		"no full path": {Dir: "here"},
		"a user":       {User: "a:b"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := lab.Up(t.Context(), o); err == nil {
				t.Errorf("%+v is taken", o)
			}
		})
	}
	if _, err := lab.Open("/nowhere/lab"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a lab that is nowhere: error %v", err)
	}
	if err := lab.Remove("/nowhere/lab"); err != nil {
		t.Errorf("removing a lab that is nowhere: %v", err)
	}
}

// BenchmarkUp is how long labs take.
func BenchmarkUp(b *testing.B) {
	testenv.Require(b, testenv.Root)
	for _, hosts := range []int{3, 32} {
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			for b.Loop() {
				l, err := lab.Up(b.Context(), lab.Options{Hosts: hosts, Name: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := l.Down(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
