package resource

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of a Cgroup. What is 0 is not limited.
type Limits struct {
	Memory   int64 // bytes, swap included
	MilliCPU int64 // 1000 = one core
	PIDs     int64 // processes and threads
}

// setting is a file of a cgroup and what to write to it.
type setting struct {
	controller, file, value string
	optional                bool // not every kernel has the file
}

// cpuPeriod is over how long MilliCPU is kept, in µs: the kernel's default. It
// takes no quota below cpuQuotaMin µs.
const (
	cpuPeriod   = 100_000
	cpuQuotaMin = 1000
)

func (l Limits) settings(version string) []setting {
	memory, period := strconv.FormatInt(l.Memory, 10), strconv.Itoa(cpuPeriod)
	quota := strconv.FormatInt(max(l.MilliCPU*cpuPeriod/1000, cpuQuotaMin), 10)
	all := []setting{
		{"memory", "memory.limit_in_bytes", memory, false},
		{"memory", "memory.memsw.limit_in_bytes", memory, true},
		{"cpu", "cpu.cfs_period_us", period, false},
		{"cpu", "cpu.cfs_quota_us", quota, false},
	}
	if version == "v2" {
		all = []setting{
			{"memory", "memory.max", memory, false},
			{"memory", "memory.swap.max", "0", true},
			{"memory", "memory.oom.group", "1", true},
			{"cpu", "cpu.max", quota + " " + period, false},
		}
	}
	all = append(all, setting{"pids", "pids.max", strconv.FormatInt(l.PIDs, 10), false})
	limits := map[string]int64{"memory": l.Memory, "cpu": l.MilliCPU, "pids": l.PIDs}
	return slices.DeleteFunc(all, func(s setting) bool { return limits[s.controller] == 0 })
}

// Cgroup limits and measures what runs in it: a folder in each hierarchy. The
// zero value does neither.
type Cgroup struct {
	of      Cgroups
	folders map[string]string // controller -> folder
	usage   *os.File          // memory in use, kept open: reading it takes 1.5 µs then, not 6
}

// Create makes the cgroup called id, which is new. On error nothing is left of it.
func (c Cgroups) Create(id string, l Limits) (_ Cgroup, err error) {
	g := Cgroup{of: c, folders: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make cgroup %s: %w", id, err), g.Remove())
		}
	}()
	for controller, parent := range c.parents {
		g.folders[controller] = filepath.Join(parent, id)
	}
	for _, dir := range unique(g.folders) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return Cgroup{}, err
		}
	}
	if err := g.Limit(l); err != nil {
		return Cgroup{}, err
	}
	if c.Has("memory") {
		g.usage, err = os.Open(g.usageFile())
	}
	return g, err
}

// Limit sets the limits of a cgroup whose memory has none yet. What is 0 stays as it is.
func (g Cgroup) Limit(l Limits) error {
	for _, s := range l.settings(g.of.version) {
		if !g.of.Has(s.controller) {
			continue
		}
		if err := write(filepath.Join(g.folders[s.controller], s.file), s.value); err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// Open is the cgroup called id that another, such as a container's daemon, has made.
func (c Cgroups) Open(id string) Cgroup {
	g := Cgroup{of: c, folders: map[string]string{}}
	for controller, parent := range c.parents {
		g.folders[controller] = filepath.Join(parent, id)
	}
	if c.Has("memory") {
		g.usage, _ = os.Open(g.usageFile()) // where it is not there, nor is what it would tell
	}
	return g
}

// usageFile tells the memory in use.
func (g Cgroup) usageFile() string {
	name := "memory.usage_in_bytes"
	if g.of.version == "v2" {
		name = "memory.current"
	}
	return filepath.Join(g.folders["memory"], name)
}

// unique is the folders of a map by controller, each once: in v2 they are one.
func unique(byController map[string]string) []string {
	dirs := make([]string, 0, len(byController))
	for _, controller := range controllers {
		if dir := byController[controller]; dir != "" && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// joinFile is the file of a cgroup by which a process of one thread enters it; see Start.
func (c Cgroups) joinFile() string {
	if c.version == "v2" {
		return "cgroup.procs"
	}
	return "tasks"
}

// JoinFiles are the paths of such files, in each hierarchy with a controller that is
// used, with placeholder for the path of a cgroup from the root of the hierarchy on.
func (c Cgroups) JoinFiles(placeholder string) (paths []string) {
	for controller := range c.parents {
		if path := c.hierarchy(controller) + placeholder + "/" + c.joinFile(); !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Start runs start, which starts a process with these attributes, so that the
// process is in the cgroup from the first instruction on. The goroutine must be
// locked to its thread: in v1 the thread itself goes into the cgroup and hands it
// down, since a thread that moves itself does not wait for an RCU grace period,
// as moving a process does (0.2 ms against 8 ms).
func (g Cgroup) Start(attributes *syscall.SysProcAttr, start func() error) (err error) {
	dirs := unique(g.folders)
	if len(dirs) == 0 {
		return start()
	}
	if g.of.version == "v2" {
		dir, err := os.Open(dirs[0])
		if err != nil {
			return err
		}
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(dir.Fd())
		return errors.Join(start(), dir.Close())
	}
	defer func() {
		for _, parent := range unique(g.of.parents) {
			err = errors.Join(err, enter(parent))
		}
	}()
	for _, dir := range dirs {
		if err := enter(dir); err != nil {
			return err
		}
	}
	return start()
}

// Files are the files to which a process of one thread writes "0" to be in the
// cgroup, for one that may not open them itself. The caller closes them.
func (g Cgroup) Files() (files []*os.File, err error) {
	for _, dir := range unique(g.folders) {
		f, openErr := os.OpenFile(filepath.Join(dir, g.of.joinFile()), os.O_WRONLY, 0)
		if openErr != nil {
			return files, openErr
		}
		files = append(files, f)
	}
	return files, nil
}

// enter moves the calling thread.
func enter(dir string) error { return write(filepath.Join(dir, "tasks"), "0") }

// Memory is the bytes in use, -1 when unknown. It may be called at any time.
func (g Cgroup) Memory() int64 {
	var b [32]byte
	n, _ := g.usage.ReadAt(b[:], 0) // what was read is no number after any error but EOF, which is none
	value, err := strconv.ParseInt(strings.TrimSpace(string(b[:n])), 10, 64)
	if err != nil {
		return -1
	}
	return value
}

// CPU is the processor time used so far, -1 when unknown.
func (g Cgroup) CPU() time.Duration {
	if !g.of.Has("cpuacct") {
		return -1
	}
	name, unit := "cpuacct.usage", time.Nanosecond
	if g.of.version == "v2" {
		name, unit = "cpu.stat", time.Microsecond
	}
	b, err := os.ReadFile(filepath.Join(g.folders["cpuacct"], name))
	if err != nil {
		return -1
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(string(b), "usage_usec "), "\n") // it is the first line
	used, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return -1
	}
	return time.Duration(used) * unit
}

// freezeWithin is how long freeze waits for what runs in a cgroup to stop.
const freezeWithin = time.Second

// Freeze stops all that runs in the cgroup, and returns when it has stopped.
func (g Cgroup) Freeze() error { return g.freeze(true) }

// Thaw lets it go on.
func (g Cgroup) Thaw() error { return g.freeze(false) }

func (g Cgroup) freeze(frozen bool) error {
	dir := g.folders["freezer"]
	var file, value, state, want string
	switch v2 := g.of.version == "v2"; {
	case v2 && frozen:
		file, value, state, want = "cgroup.freeze", "1", "cgroup.events", "frozen 1\n"
	case v2:
		file, value, state, want = "cgroup.freeze", "0", "cgroup.events", "frozen 0\n"
	case frozen:
		file, value, state, want = "freezer.state", "FROZEN", "freezer.state", "FROZEN\n"
	default:
		file, value, state, want = "freezer.state", "THAWED", "freezer.state", "THAWED\n"
	}
	if err := write(filepath.Join(dir, file), value); err != nil {
		return err
	}
	for deadline := time.Now().Add(freezeWithin); ; {
		b, err := os.ReadFile(filepath.Join(dir, state))
		if err != nil {
			return err
		}
		if strings.HasSuffix(string(b), want) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s is not %s after %v: %s", dir, strings.TrimSpace(want), freezeWithin, strings.TrimSpace(string(b)))
		}
		runtime.Gosched()
	}
}

// OOMKills is how many processes the kernel has ended because of the memory limit.
func (g Cgroup) OOMKills() int64 {
	if !g.of.Has("memory") {
		return 0
	}
	name := "memory.oom_control"
	if g.of.version == "v2" {
		name = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(g.folders["memory"], name))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // 0 when it is no number
			return n
		}
	}
	return 0
}

// Kill ends every process in the cgroup. They may take a moment to be gone.
func (g Cgroup) Kill() error {
	var errs []error
	for _, dir := range unique(g.folders) {
		errs = append(errs, killIn(dir))
	}
	return errors.Join(errs...)
}

// Remove ends what is in the cgroup and removes it. It may be called twice.
func (g Cgroup) Remove() error {
	_ = g.usage.Close() // only read from
	var errs []error
	for _, dir := range unique(g.folders) {
		errs = append(errs, removeTree(dir))
	}
	return errors.Join(errs...)
}

// removeWithin is how long removeTree waits for killed processes to be gone.
const removeWithin = 2 * time.Second

// removeTree ends what is in a cgroup and the ones in it, and removes them.
func removeTree(dir string) error {
	deadline := time.Now().Add(removeWithin)
	for wait := time.Millisecond; ; wait *= 2 {
		err := syscall.Rmdir(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOTEMPTY) || time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		for _, child := range children(dir) {
			if err := removeTree(child); err != nil {
				return err
			}
		}
		if err := killIn(dir); err != nil {
			return err
		}
		time.Sleep(wait)
	}
}

// killIn ends the processes in a cgroup, except this one, whose threads have
// been in many.
func killIn(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) { // it has been removed
		return nil
	}
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "freezer.state"), "THAWED"); err != nil && !errors.Is(err, fs.ErrNotExist) { // what is frozen does not end
		return err
	}
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if pid <= 1 || pid == os.Getpid() { // 0 is a process that this PID namespace does not see
			continue
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end process %d in cgroup %s: %w", pid, dir, err)
		}
	}
	return nil
}

// write writes to a file that must be there.
func write(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
