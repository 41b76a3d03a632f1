package resource_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/resource"
	"github.com/ainur-faas/ainur/agent/testenv"
)

// tree makes a folder of files, as the kernel shows cgroups.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The files of a host, and those that the kernel puts into the cgroup ainur/run/a.
var (
	v1 = map[string]string{
		"memory/ainur/run/cgroup.procs": "", "cpu/ainur/run/cgroup.procs": "", "pids/ainur/run/cgroup.procs": "",
		"memory/ainur/run/tasks": "", "cpu/ainur/run/tasks": "", "pids/ainur/run/tasks": "",
		"memory/ainur/run/a/memory.limit_in_bytes": "", "memory/ainur/run/a/tasks": "",
		"memory/ainur/run/a/memory.usage_in_bytes": "123\n",
		"memory/ainur/run/a/memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"cpu/ainur/run/a/cpu.cfs_quota_us":         "", "cpu/ainur/run/a/cpu.cfs_period_us": "", "cpu/ainur/run/a/tasks": "",
		"pids/ainur/run/a/pids.max": "", "pids/ainur/run/a/tasks": "",
		"cpuacct/ainur/run/cgroup.procs": "", "cpuacct/ainur/run/tasks": "", "cpuacct/ainur/run/a/tasks": "", "cpuacct/ainur/run/a/cpuacct.usage": "5000\n",
		"freezer/ainur/run/cgroup.procs": "", "freezer/ainur/run/tasks": "", "freezer/ainur/run/a/tasks": "", "freezer/ainur/run/a/freezer.state": "",
	}
	v2 = map[string]string{
		"cgroup.controllers": "cpu memory pids", "cgroup.subtree_control": "memory",
		"ainur/cgroup.subtree_control": "cpu memory pids", "ainur/run/cgroup.subtree_control": "memory cpu",
		"ainur/run/a/memory.max": "", "ainur/run/a/memory.oom.group": "", "ainur/run/a/cpu.max": "", "ainur/run/a/pids.max": "",
		"ainur/run/a/cpu.stat": "usage_usec 5\nuser_usec 3\n", "ainur/run/a/cgroup.freeze": "", "ainur/run/a/cgroup.events": "populated 1\nfrozen 1\n",
		"ainur/run/a/memory.current": "123\n", "ainur/run/a/memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\n",
	}
)

// The same limits and readings, in the words of each version.
func TestCgroupFiles(t *testing.T) {
	for version, tt := range map[string]struct{ files, want map[string]string }{
		"v1": {v1, map[string]string{
			"memory/ainur/run/a/memory.limit_in_bytes": "67108864", "cpu/ainur/run/a/cpu.cfs_quota_us": "50000",
			"cpu/ainur/run/a/cpu.cfs_period_us": "100000", "pids/ainur/run/a/pids.max": "9",
			"memory/ainur/run/a/tasks": "0", "cpu/ainur/run/a/tasks": "0", "pids/ainur/run/a/tasks": "0", "memory/ainur/run/tasks": "0",
		}},
		"v2": {v2, map[string]string{
			"ainur/run/a/memory.max": "67108864", "ainur/run/a/memory.oom.group": "1", "ainur/run/a/cpu.max": "50000 100000", "ainur/run/a/pids.max": "9", "ainur/run/a/cgroup.freeze": "1",
			"cgroup.subtree_control": "+pids", "ainur/cgroup.subtree_control": "cpu memory pids", "ainur/run/cgroup.subtree_control": "+pids",
		}},
	} {
		t.Run(version, func(t *testing.T) {
			root := tree(t, tt.files)
			c, problems := resource.FindCgroups(root, "ainur/run")
			if len(problems) > 0 || !c.Has("memory") || !c.Has("cpu") || !c.Has("pids") {
				t.Fatalf("%+v, %v", c, problems)
			}
			g, err := c.Create("a", resource.Limits{Memory: 64 << 20, MilliCPU: 500, PIDs: 9})
			if err != nil {
				t.Fatal(err)
			}
			var attributes syscall.SysProcAttr
			if err := g.Start(&attributes, func() error { return nil }); err != nil {
				t.Fatal(err)
			}
			if attributes.UseCgroupFD != (version == "v2") {
				t.Errorf("started with %+v", attributes)
			}
			if g.Memory() != 123 || g.OOMKills() != 2 || g.CPU() != 5*time.Microsecond {
				t.Errorf("read %d bytes, %d kills, %v", g.Memory(), g.OOMKills(), g.CPU())
			}
			if version == "v2" {
				if err := g.Freeze(); err != nil {
					t.Error(err)
				}
			}
			got := map[string]string{}
			for name := range tt.want {
				b, err := os.ReadFile(filepath.Join(root, name))
				if err != nil {
					t.Fatal(err)
				}
				got[name] = string(b)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCgroupVersion(t *testing.T) {
	for want, files := range map[string]map[string]string{
		"none": {}, "v1": {"memory/tasks": ""}, "v2": {"cgroup.controllers": ""},
		"hybrid": {"memory/tasks": "", "unified/cgroup.controllers": "hugetlb"},
	} {
		if got := resource.CgroupVersion(tree(t, files)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What is missing is named, and the rest is used.
func TestSomeCgroups(t *testing.T) {
	root := tree(t, map[string]string{"memory/ainur/cgroup.procs": "", "pids/ainur/cgroup.procs": ""})
	c, problems := resource.FindCgroups(root, "ainur")
	if len(problems) != 3 || !strings.HasPrefix(problems[0], "cpu is not limited by a cgroup: ") || !c.Has("memory") || c.Has("cpu") {
		t.Errorf("%+v, %v", c, problems)
	}
}

func TestNoCgroups(t *testing.T) {
	c, problems := resource.FindCgroups(t.TempDir(), "ainur")
	if len(problems) != 5 {
		t.Errorf("%+v, %v", c, problems)
	}
	g, err := c.Create("a", resource.Limits{Memory: 1})
	if err != nil || g.Memory() != -1 || g.OOMKills() != 0 {
		t.Errorf("%v, %v", g, err)
	}
	started := errors.New("started")
	if err := g.Start(nil, func() error { return started }); err != started { //nolint:errorlint // this very error
		t.Error(err)
	}
	for _, err := range []error{g.Kill(), g.Remove(), g.Remove(), c.Remove()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// On a real host: what others of the run left goes, what is ours stays until it is
// removed, and then nothing is there.
func TestRemoveCgroups(t *testing.T) {
	testenv.Require(t, testenv.Cgroup)
	name := "ainur-test/" + strconv.Itoa(os.Getpid())
	ours, _ := resource.FindCgroups("/sys/fs/cgroup", name+"/ours")
	others, _ := resource.FindCgroups("/sys/fs/cgroup", name+"/others")
	for _, c := range []resource.Cgroups{ours, others} {
		if _, err := c.Create("a", resource.Limits{Memory: 64 << 20, MilliCPU: 500, PIDs: 9}); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := ours.RemoveOthers()
	if want := []string{name + "/others/a"}; err != nil || !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v: %v", removed, want, err)
	}
	if err := ours.Remove(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"/sys/fs/cgroup/memory/ainur-test", "/sys/fs/cgroup/ainur-test"} {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestHostFacts(t *testing.T) {
	f := resource.HostFacts()
	if f.LogicalCores < 1 || f.PhysicalCores < 1 || f.Sockets < 1 || f.MemoryTotal < 64<<20 ||
		f.Kernel == "" || f.BootID == "" || f.Hostname == "" || f.OS == "" || f.NUMANodes < 1 {
		t.Errorf("%+v", f)
	}
}
