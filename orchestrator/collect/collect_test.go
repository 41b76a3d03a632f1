package collect

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept runs a collector, calls during while it lasts, and returns its folder and index by what.
func kept(t *testing.T, c Config, during func()) (dir string, items map[string]Item) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "kept")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := Run(ctx, c, dir, func() error {
		during()
		cancel()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	items = map[string]Item{}
	for _, i := range all {
		items[i.What] = i
	}
	return dir, items
}

// content is what an item is.
func content(t *testing.T, dir string, i Item) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, i.File))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(i.File, ".zst") {
		r, err := zstd.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if text, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if int64(len(text)) != i.Bytes {
		t.Errorf("%s is of %d bytes, the index says %d", i.What, len(text), i.Bytes)
	}
	return string(text)
}

func TestKeeps(t *testing.T) {
	for _, compress := range []string{"zstd", "none"} {
		t.Run(compress, func(t *testing.T) {
			host := t.TempDir()
			write := func(name, text string) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(host, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("a.log", "before\n")
			if err := os.Symlink("nowhere", filepath.Join(host, "b.log")); err != nil {
				t.Fatal(err)
			}
			sh := func(script string) []string { return []string{"sh", "-c", script, "sh", host} }
			dir, items := kept(t, Config{Most: spec.MiB, Collect: spec.Collect{
				Compress: compress, Files: []string{host + "/*.log", host + "/none*", "relative"}, Metrics: []string{"cpu", "memory"}, Interval: time.Hour,
				Commands: []spec.Command{
					{Name: "before", Argv: sh(`cat "$1"/a.log`), When: "before"},
					{Name: "during", Argv: sh(`exec 2>/dev/null; trap 'echo asked to end; exit' TERM; echo begun >"$1"/begun; while :; do sleep 0.01; done`), When: "during"},
					{Name: "short", Argv: sh(`echo once; echo twice >&2; echo $$ >"$1"/short`), When: "during"},
					{Name: "after", Argv: sh(`cat "$1"/a.log; exit 3`), When: "after"},
					{Name: "none", Argv: []string{"/no/such/program"}, When: "after"},
				},
			}}, func() {
				write("a.log", "during\n")
				for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
					_, err := os.Stat(host + "/begun")
					pid, _ := os.ReadFile(host + "/short") // there is none at first
					_, err2 := os.Stat("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
					if err == nil && len(pid) > 0 && err2 != nil {
						break
					}
					if time.Since(began) > 10*time.Second {
						t.Fatal("the command that lasts has not begun, or the short one not ended")
					}
				}
				time.Sleep(100 * time.Millisecond) // its end is known a moment after it
			})
			for what, want := range map[string]string{
				"command before": "before\n", "command during": "asked to end\n", "command short": "once\ntwice\n", "command after": "during\n", "file " + host + "/a.log": "during\n",
			} {
				if got := content(t, dir, items[what]); got != want {
					t.Errorf("%s: %q, want %q", what, got, want)
				}
			}
			for what, want := range map[string]string{
				"command after": "exit status 3", "command short": "ended by itself", "command none": "no such file", "file " + host + "/b.log": "no such file",
				"files " + host + "/none*": "there are none", "files relative": "no absolute path", "command during": "", "command before": "",
			} {
				if got := items[what].Problem; !strings.Contains(got, want) || want == "" && got != "" {
					t.Errorf("%s: problem %q, want %q", what, got, want)
				}
			}
			rows, err := csv.NewReader(strings.NewReader(content(t, dir, items["metrics cpu, memory"]))).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			samples := map[string]bool{}
			for _, row := range rows[1:] {
				samples[row[0]] = true
			}
			if !slices.Equal(rows[0], columns) || len(samples) != 2 { // at the beginning and at the end
				t.Errorf("%d samples, columns %v", len(samples), rows[0])
			}
		})
	}
}

// No more is stored than may be, what is there is readable, and what is not is told.
func TestMaxSize(t *testing.T) {
	host := t.TempDir()
	noise := make([]byte, 3<<20)
	for i, x := 0, uint32(1); i < len(noise); i++ { // xorshift: it does not compress
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	for i := range 3 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", host, i), noise, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, compress := range []string{"zstd", "none"} {
		t.Run(compress, func(t *testing.T) {
			dir, items := kept(t, Config{Most: 4 * spec.MiB, Collect: spec.Collect{
				Compress: compress, Files: []string{host + "/*"},
				Commands: []spec.Command{{Name: "endless", Argv: []string{"yes"}, When: "during"}},
			}}, func() {})
			if compress == "zstd" { // yes compresses to nothing
				if content(t, dir, items["file "+host+"/0"]) != string(noise) || items["file "+host+"/0"].Truncated {
					t.Error("the first file is not whole")
				}
			}
			if i := items["file "+host+"/2"]; !i.Truncated {
				t.Errorf("the last file is %+v, want that it is cut off", i)
			}
			var size int64
			for _, i := range items {
				if i.File == "" {
					continue
				}
				content(t, dir, i)
				info, err := os.Stat(filepath.Join(dir, i.File))
				if err != nil {
					t.Fatal(err)
				}
				size += info.Size()
			}
			if size > int64(4*spec.MiB)+1<<20 {
				t.Errorf("%d bytes are stored of the 4 MiB that may be", size)
			}
		})
	}
}

// The counters of a host whose files say what real ones do.
func TestCounters(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"proc/stat":       "cpu  1 2 3 4 5 6 7 8 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\nctxt 5\n",
		"proc/meminfo":    "MemTotal:       1024 kB\nMemFree: 1 kB\nShmem: 7 kB\n",
		"proc/diskstats":  "   8       0 sda 10 0 20 0 30 0 40 0 0 50 0\n   8       1 sda1 1 0 2 0 3 0 4 0 0 5 0\n",
		"sys/block/sda/x": "", "proc/net/dev": "Inter-| Receive\n face |bytes\n  eth0:1 2 0 3 0 0 0 0 4 5 0 6 0 0 0 0\n",
		"proc/7/stat":                       "7 (containerd-shim) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 9 0 100 5 2 0",
		"proc/8/stat":                       "8 (other) S 1 7 7 0 -1 0 0 0 0 0 3 4 0 0 20 0 9 0 100 5 2 0",
		"sys/fs/cgroup/ainur/R/w1/cpu.stat": "usage_usec 5\nuser_usec 3\n", "sys/fs/cgroup/ainur/R/w1/memory.current": "9\n", "sys/fs/cgroup/ainur/other/w1/memory.current": "1\n",
		"sys/class/powercap/intel-rapl:0/energy_uj": "12\n", "sys/class/powercap/intel-rapl:0/name": "package-0\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for name, read := range metrics {
		readings, err := read(sampler{root, "R"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, r := range readings {
			got[name] += fmt.Sprintf("%s %s=%d; ", r.item, r.counter, r.value)
		}
	}
	want := map[string]string{
		"cpu": "all user_ns=10000000; all nice_ns=20000000; all system_ns=30000000; all idle_ns=40000000; all iowait_ns=50000000; all irq_ns=60000000; " +
			"all softirq_ns=70000000; all steal_ns=80000000; ",
		"memory":     "all total_bytes=1048576; all free_bytes=1024; ",
		"disk":       "sda reads=10; sda read_bytes=10240; sda writes=30; sda written_bytes=20480; sda busy_ns=50000000; ",
		"net":        "eth0 received_bytes=1; eth0 received_packets=2; eth0 received_dropped=3; eth0 sent_bytes=4; eth0 sent_packets=5; eth0 sent_dropped=6; ",
		"containerd": fmt.Sprintf("containerd-shim processes=1; containerd-shim cpu_ns=70000000; containerd-shim resident_bytes=%d; ", 2*os.Getpagesize()),
		"cgroup":     "w1 cpu_ns=5000; w1 memory_bytes=9; ", "rapl": "intel-rapl:0 package-0 energy_uj=12; ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := (sampler{root: t.TempDir()}).rapl(); err == nil {
		t.Error("a host without counters of energy has no problem")
	}
}
