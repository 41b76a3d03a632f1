// Package pid tells a process from another that has its number later.
package pid

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Started is when a process started, in clock ticks since boot: with its number it
// names one process. It is 0 where the process has ended, also when nobody has
// waited for it yet.
func Started(pid int) uint64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	const state, start = 0, 19 // of what comes after the name, which may have anything in it
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= start || fields[state][0] == 'Z' {
		return 0
	}
	started, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return 0
	}
	return started
}
