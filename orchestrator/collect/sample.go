package collect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ainur-faas/ainur/agent/resource"
)

// columns of the samples. A counter counts since the host was booted, or since what
// it is of began; its unit is in its name.
var columns = []string{"unix_ns", "metric", "item", "counter", "value"}

// reading is one value of a sample.
type reading struct {
	item, counter string
	value         int64
}

// sampler reads the counters of a host whose files are below root.
type sampler struct{ root, run string }

// metrics are those that there are.
var metrics = map[string]func(sampler) ([]reading, error){
	"cpu": sampler.cpu, "memory": sampler.memory, "disk": sampler.disk, "net": sampler.net,
	"cgroup": sampler.cgroup, "containerd": sampler.containerd, "rapl": sampler.rapl,
}

// sample samples metrics until the function that it returns is called, at the
// beginning, at the end, and each interval.
func (k *keeper) sample(ctx context.Context, c Config, root string) (end func()) {
	if len(c.Metrics) == 0 {
		return func() {}
	}
	s := k.open("metrics "+strings.Join(c.Metrics, ", "), "metrics.csv")
	rows := csv.NewWriter(s)
	_ = rows.Write(columns) // the sink knows its errors, here and below
	told := map[string]bool{}
	from := sampler{root, c.Run}
	look := func() {
		now := strconv.FormatInt(time.Now().UnixNano(), 10)
		for _, name := range c.Metrics {
			readings, err := metrics[name](from)
			if err != nil && !told[name] {
				told[name] = true
				k.note("metric "+name, err.Error())
			}
			for _, r := range readings {
				_ = rows.Write([]string{now, name, r.item, r.counter, strconv.FormatInt(r.value, 10)})
			}
		}
		rows.Flush()
	}
	look()
	ctx, cancel := context.WithCancel(ctx)
	var sampling sync.WaitGroup
	sampling.Go(func() {
		tick := time.NewTicker(c.Interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		sampling.Wait()
		look()
		s.close(nil)
	}
}

// fields are those of each line of a file.
func (s sampler) fields(path string) (all [][]string, err error) {
	text, err := os.ReadFile(filepath.Join(s.root, path))
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all, nil
}

// tick is the unit of times in /proc (USER_HZ).
const tick = int64(10 * time.Millisecond)

// number is a field, 0 where it is none.
func number(fields []string, i int) int64 {
	if i >= len(fields) {
		return 0
	}
	n, _ := strconv.ParseInt(fields[i], 10, 64)
	return n
}

// cpu is proc_stat(5), of all processors together.
func (s sampler) cpu() (all []reading, err error) {
	lines, err := s.fields("proc/stat")
	for _, f := range lines {
		if f[0] != "cpu" {
			continue
		}
		for i, counter := range []string{"user_ns", "nice_ns", "system_ns", "idle_ns", "iowait_ns", "irq_ns", "softirq_ns", "steal_ns"} {
			all = append(all, reading{"all", counter, number(f, i+1) * tick})
		}
	}
	return all, err
}

// memory is proc_meminfo(5).
func (s sampler) memory() (all []reading, err error) {
	lines, err := s.fields("proc/meminfo")
	names := map[string]string{
		"MemTotal:": "total_bytes", "MemFree:": "free_bytes", "MemAvailable:": "available_bytes", "Cached:": "cached_bytes", "Dirty:": "dirty_bytes",
		"AnonPages:": "anonymous_bytes", "Slab:": "slab_bytes", "SwapTotal:": "swap_bytes", "SwapFree:": "swap_free_bytes",
	}
	for _, f := range lines {
		if counter := names[f[0]]; counter != "" {
			all = append(all, reading{"all", counter, number(f, 1) << 10})
		}
	}
	return all, err
}

// disk is proc_diskstats(5), of what is no partition.
func (s sampler) disk() (all []reading, err error) {
	const sector = 512
	lines, err := s.fields("proc/diskstats")
	for _, f := range lines {
		if len(f) < 13 {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.root, "sys/block", strings.ReplaceAll(f[2], "/", "!"))); err != nil {
			continue
		}
		all = append(all, reading{f[2], "reads", number(f, 3)}, reading{f[2], "read_bytes", number(f, 5) * sector},
			reading{f[2], "writes", number(f, 7)}, reading{f[2], "written_bytes", number(f, 9) * sector}, reading{f[2], "busy_ns", number(f, 12) * int64(time.Millisecond)})
	}
	return all, err
}

// net is proc_net_dev(5).
func (s sampler) net() (all []reading, err error) {
	text, err := os.ReadFile(filepath.Join(s.root, "proc/net/dev"))
	for line := range strings.Lines(string(text)) {
		name, counters, ok := strings.Cut(line, ":")
		f := strings.Fields(counters)
		if !ok || len(f) < 12 {
			continue
		}
		name = strings.TrimSpace(name)
		all = append(all, reading{name, "received_bytes", number(f, 0)}, reading{name, "received_packets", number(f, 1)}, reading{name, "received_dropped", number(f, 3)},
			reading{name, "sent_bytes", number(f, 8)}, reading{name, "sent_packets", number(f, 9)}, reading{name, "sent_dropped", number(f, 11)})
	}
	return all, err
}

// cgroup is what the sandboxes of each agent of the run use together.
func (s sampler) cgroup() (all []reading, err error) {
	root := filepath.Join(s.root, resource.CgroupRoot)
	sources := []struct {
		pattern, counter string
		of               func(text string) int64
	}{
		{"ainur/*/*/cpu.stat", "cpu_ns", func(text string) int64 { return number(strings.Fields(text), 1) * 1000 }}, // usage_usec comes first
		{"ainur/*/*/memory.current", "memory_bytes", func(text string) int64 { return number([]string{strings.TrimSpace(text)}, 0) }},
		{"cpuacct/ainur/*/*/cpuacct.usage", "cpu_ns", func(text string) int64 { return number([]string{strings.TrimSpace(text)}, 0) }},
		{"memory/ainur/*/*/memory.usage_in_bytes", "memory_bytes", func(text string) int64 { return number([]string{strings.TrimSpace(text)}, 0) }},
	}
	for _, source := range sources {
		paths, err := filepath.Glob(filepath.Join(root, strings.Replace(source.pattern, "*", s.run, 1)))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			all = append(all, reading{filepath.Base(filepath.Dir(path)), source.counter, source.of(string(text))})
		}
	}
	return all, nil
}

// containerd is what its daemon and its shims use, by the name of the program.
func (s sampler) containerd() (all []reading, err error) {
	used := map[string]*[3]int64{}
	paths, err := filepath.Glob(filepath.Join(s.root, "proc/[0-9]*/stat"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		if open < 0 || shut < open || !bytes.HasPrefix(text[open+1:], []byte("containerd")) {
			continue
		}
		name, f := string(text[open+1:shut]), strings.Fields(string(text[shut+1:]))
		if used[name] == nil {
			used[name] = &[3]int64{}
		}
		used[name][0]++
		used[name][1] += (number(f, 11) + number(f, 12)) * tick
		used[name][2] += number(f, 21) * int64(os.Getpagesize())
	}
	if len(used) == 0 {
		return nil, fmt.Errorf("no containerd runs")
	}
	for name, of := range used {
		all = append(all, reading{name, "processes", of[0]}, reading{name, "cpu_ns", of[1]}, reading{name, "resident_bytes", of[2]})
	}
	slices.SortStableFunc(all, func(a, b reading) int { return strings.Compare(a.item, b.item) })
	return all, nil
}

// rapl is the energy that processors and memory have used, as far as they count; a
// counter begins anew at max_energy_range_uj.
func (s sampler) rapl() (all []reading, err error) {
	paths, err := filepath.Glob(filepath.Join(s.root, "sys/class/powercap/intel-rapl:*/energy_uj"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("the processors do not say what energy they use")
	}
	for _, path := range paths {
		dir := filepath.Dir(path)
		text, err := os.ReadFile(path)
		if err != nil {
			return all, err
		}
		name, _ := os.ReadFile(filepath.Join(dir, "name")) // the folder's name says enough
		all = append(all, reading{strings.TrimSpace(filepath.Base(dir) + " " + string(bytes.TrimSpace(name))), "energy_uj", number([]string{strings.TrimSpace(string(text))}, 0)})
	}
	return all, nil
}
