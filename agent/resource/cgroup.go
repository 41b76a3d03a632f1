// Package resource reads and limits what a host has: cgroups, and the facts of
// its hardware and kernel.
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

	"golang.org/x/sys/unix"
)

// Cgroups makes cgroups in a folder of ours in each of the host's hierarchies.
type Cgroups struct {
	root    string            // /sys/fs/cgroup on a host
	version string            // see CgroupVersion
	name    string            // of the folder, below a hierarchy
	parents map[string]string // controller that can be used -> the folder in its hierarchy
}

// controllers that limit, measure and freeze a sandbox. In v2 the last two are
// of every cgroup.
var controllers = []string{"memory", "cpu", "pids", "cpuacct", "freezer"}

// lacks says what a host does without when it lacks a controller.
var lacks = map[string]string{
	"memory": "memory is not limited by a cgroup", "cpu": "cpu is not limited by a cgroup", "pids": "pids is not limited by a cgroup",
	"cpuacct": "processor time is not measured by a cgroup", "freezer": "sandboxes are frozen by signals, not by a cgroup",
}

// FindCgroups prepares the folder called name, one or more path elements, in
// each hierarchy below root. What cannot be used is in problems, one sentence each.
func FindCgroups(root, name string) (c Cgroups, problems []string) {
	c = Cgroups{root: root, version: CgroupVersion(root), name: name, parents: map[string]string{}}
	for _, controller := range controllers {
		if err := c.prepare(controller); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", lacks[controller], err))
			continue
		}
		c.parents[controller] = filepath.Join(c.hierarchy(controller), name)
	}
	return c, problems
}

// CgroupVersion is that of the hierarchies mounted below root: "v1", "v2",
// "hybrid" (the controllers in v1, an empty v2 beside them) or "none".
func CgroupVersion(root string) string {
	_, v2 := os.Stat(filepath.Join(root, "cgroup.controllers"))
	_, unified := os.Stat(filepath.Join(root, "unified", "cgroup.controllers"))
	_, v1 := os.Stat(filepath.Join(root, "memory"))
	switch {
	case v2 == nil:
		return "v2"
	case v1 == nil && unified == nil:
		return "hybrid"
	case v1 == nil:
		return "v1"
	default:
		return "none"
	}
}

// hierarchy is where the cgroups of a controller are: in v2 all are in one.
func (c Cgroups) hierarchy(controller string) string {
	if c.version == "v2" {
		return c.root
	}
	return filepath.Join(c.root, controller)
}

// hierarchies is where cgroups of ours can be: an OCI runtime makes them in every one.
func (c Cgroups) hierarchies() []string {
	if c.version == "v2" {
		return []string{c.root}
	}
	return children(c.root)
}

// prepare makes the folder and sees to it that cgroups in it have the controller.
func (c Cgroups) prepare(controller string) error {
	if c.version == "none" {
		return errors.New("no cgroup hierarchy is mounted")
	}
	dir := c.hierarchy(controller)
	if _, err := os.Stat(dir); err != nil {
		return err
	}
	if err := makeAll(filepath.Join(dir, c.name)); err != nil {
		return err
	}
	if c.version == "v2" && (controller == "cpuacct" || controller == "freezer") {
		return nil
	}
	if c.version != "v2" {
		return unix.Access(filepath.Join(dir, c.name, "cgroup.procs"), unix.W_OK)
	}
	// A cgroup has a controller when each one above hands it down.
	for _, element := range append(strings.Split(c.name, "/"), "") {
		control := filepath.Join(dir, "cgroup.subtree_control")
		enabled, err := os.ReadFile(control)
		if err != nil {
			return err
		}
		if !slices.Contains(strings.Fields(string(enabled)), controller) {
			if err := write(control, "+"+controller); err != nil {
				return err
			}
		}
		dir = filepath.Join(dir, element)
	}
	return nil
}

// makeAll is os.MkdirAll where others may remove the upper folders, empty as
// they are, at the same time.
func makeAll(dir string) (err error) {
	for range 10 {
		if err = os.MkdirAll(dir, 0o755); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// Has reports whether a controller limits the cgroups that Create makes.
func (c Cgroups) Has(controller string) bool { return c.parents[controller] != "" }

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
	for _, s := range l.settings(c.version) {
		if !c.Has(s.controller) {
			continue
		}
		if err := write(filepath.Join(g.folders[s.controller], s.file), s.value); err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return Cgroup{}, err
		}
	}
	if c.Has("memory") {
		name := "memory.usage_in_bytes"
		if c.version == "v2" {
			name = "memory.current"
		}
		g.usage, err = os.Open(filepath.Join(g.folders["memory"], name))
	}
	return g, err
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

// Files are the files to which a process writes "0" to be in the cgroup, for one
// that may not open them itself. The caller closes them.
func (g Cgroup) Files() (files []*os.File, err error) {
	name := "tasks" // see Start
	if g.of.version == "v2" {
		name = "cgroup.procs"
	}
	for _, dir := range unique(g.folders) {
		f, openErr := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
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

// Remove removes the folder, with every cgroup in it and what runs there, and
// the folders above it that are empty then.
func (c Cgroups) Remove() error {
	var errs []error
	for _, root := range c.hierarchies() {
		dir := filepath.Join(root, c.name)
		errs = append(errs, removeTree(dir))
		for dir = filepath.Dir(dir); dir != root && syscall.Rmdir(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	return errors.Join(errs...)
}

// RemoveOthers removes all that is beside the folder, and names the cgroups in
// which nothing else is.
func (c Cgroups) RemoveOthers() (removed []string, err error) {
	var errs []error
	for _, root := range c.hierarchies() {
		parent := filepath.Dir(filepath.Join(root, c.name))
		for _, child := range children(parent) {
			if child == filepath.Join(root, c.name) {
				continue
			}
			for _, leaf := range leaves(child) {
				if name, err := filepath.Rel(root, leaf); err == nil && !slices.Contains(removed, name) {
					removed = append(removed, name)
				}
			}
			errs = append(errs, removeTree(child))
		}
	}
	return removed, errors.Join(errs...)
}

// children is the folders in dir, none when it is not there.
func children(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	return dirs
}

// leaves is the folders in dir that have no folder in them, dir itself if it has none.
func leaves(dir string) []string {
	below := children(dir)
	if len(below) == 0 {
		return []string{dir}
	}
	var all []string
	for _, child := range below {
		all = append(all, leaves(child)...)
	}
	return all
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
