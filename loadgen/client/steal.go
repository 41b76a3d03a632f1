package client

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// steal is the CPU time since boot that the hypervisor gave to others while
// this machine wanted it, over all CPUs: field 8 of the first line of
// /proc/stat, in ticks of 10 ms (proc_stat(5)).
func steal() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat has no steal: %q", line)
	}
	ticks, err := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * 10 * time.Millisecond, err
}
