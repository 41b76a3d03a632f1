package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ainur-faas/ainur/agent/sandbox"
)

// List names the processes of sandboxes on this host.
func List() (found []sandbox.Thing) {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		panic("process: the pattern is ours: " + err.Error())
	}
	for _, path := range environs {
		if run := runOf(path); run != "" {
			found = append(found, sandbox.Thing{What: "process " + filepath.Base(filepath.Dir(path)), Run: run})
		}
	}
	return found
}

// runOf is the run of the process with this environment, "" when it is none of ours.
func runOf(environ string) string {
	b, err := os.ReadFile(environ)
	if err != nil { // another user's, or it has ended
		return ""
	}
	for entry := range bytes.SplitSeq(b, []byte{0}) {
		if label, ok := bytes.CutPrefix(entry, []byte(labelEnv+"=")); ok {
			run, _, _ := bytes.Cut(label, []byte("/"))
			return string(run)
		}
	}
	return ""
}

// Sweep ends the processes of runs that are not to be kept, and names them.
func Sweep(keep func(run string) bool) (removed []string, err error) {
	var errs []error
	done := map[string]bool{}
	for _, t := range List() {
		if keep(t.Run) || done[t.Run] {
			continue
		}
		done[t.Run] = true
		pids, err := killLabelled(labelEnv+"="+t.Run+"/", "")
		errs = append(errs, err)
		for _, pid := range pids {
			removed = append(removed, "process "+strconv.Itoa(pid))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return removed, fmt.Errorf("end what was left: %w", err)
	}
	return removed, nil
}
