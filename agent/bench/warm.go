package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ainur-faas/ainur/agent/shim/wire"
)

// WarmRow is how long a warm invocation takes on a part of its path.
type WarmRow struct {
	Path        string  `json:"path"`       // "echo", "grpc", "agent", "client" or "balancer"
	Sandbox     string  `json:"sandbox"`    // kind of isolation, "" of a floor
	Function    string  `json:"function"`   // what is called, "" of a floor
	Clients     int     `json:"clients"`    // that call at a time; 0 in an open loop
	Rate        float64 `json:"rate_per_s"` // of an open loop; 0 in a closed one
	P50         int64   `json:"p50_ns"`
	P90         int64   `json:"p90_ns"`
	P99         int64   `json:"p99_ns"`
	P999        int64   `json:"p999_ns"`
	Max         int64   `json:"max_ns"`
	Throughput  float64 `json:"throughput_per_s"`
	CPU         int64   `json:"cpu_ns_per_invocation"`      // of this process and those below it; 0 where others work for it
	Allocations float64 `json:"allocations_per_invocation"` // of this process; 0 where it is not in this process
	Ratio       float64 `json:"ratio_to_echo_p50"`
}

// Sample is one measurement.
type Sample struct {
	Latencies   []time.Duration // sorted
	Took        time.Duration
	CPU         time.Duration
	Allocations float64 // per call
}

// Loop calls from n goroutines, each again as soon as it has been answered, for so long.
func Loop(n int, long time.Duration, call func(client int) error) (Sample, error) {
	all, errs := make([][]time.Duration, n), make([]error, n)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := TreeCPU()
	began := time.Now()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for last := time.Now(); last.Sub(began) < long; {
				if errs[i] = call(i); errs[i] != nil {
					return
				}
				now := time.Now()
				all[i] = append(all[i], now.Sub(last))
				last = now
			}
		})
	}
	group.Wait()
	s := Sample{Took: time.Since(began), CPU: TreeCPU() - cpu}
	runtime.ReadMemStats(&after)
	for i := range all {
		if errs[i] != nil {
			return s, errs[i]
		}
		s.Latencies = append(s.Latencies, all[i]...)
	}
	slices.Sort(s.Latencies)
	s.Allocations = float64(after.Mallocs-before.Mallocs) / float64(len(s.Latencies))
	return s, nil
}

// Fill puts what was measured into a row.
func (s Sample) Fill(r *WarmRow) {
	at := func(permille int) int64 {
		return int64(s.Latencies[max(0, (len(s.Latencies)*permille+999)/1000-1)])
	}
	if len(s.Latencies) == 0 {
		return
	}
	r.P50, r.P90, r.P99, r.P999, r.Max = at(500), at(900), at(990), at(999), at(1000)
	r.Throughput = float64(len(s.Latencies)) / s.Took.Seconds()
	r.CPU = int64(s.CPU) / int64(len(s.Latencies))
	r.Allocations = s.Allocations
}

// TreeCPU is the CPU time that this process, and those below it that live, have used.
func TreeCPU() (total time.Duration) {
	parents, used := map[int]int{}, map[int]time.Duration{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parents[pid], _ = strconv.Atoi(fields[1])
		for _, i := range []int{11, 12} { // utime and stime; proc(5) counts from 3
			ticks, _ := strconv.ParseInt(fields[i], 10, 64)
			used[pid] += time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 everywhere
		}
	}
	for pid := range used {
		for at := pid; at > 1; at = parents[at] {
			if at == os.Getpid() {
				total += used[pid]
				break
			}
		}
	}
	return total
}

// Echo is processes that send every frame back over a socket pair: the floor of an
// invocation.
type Echo struct {
	conns   []*wire.Conn
	sockets []net.Conn
	cmds    []*exec.Cmd
}

// NewEcho starts n of them with a command that calls ServeEcho.
func NewEcho(n int, command ...string) (e *Echo, err error) {
	e = &Echo{}
	for range n {
		if err := e.add(command); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

func (e *Echo) add(command []string) error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, os.Stderr
	socket, err := net.FileConn(ours)
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		socket.Close()
		return err
	}
	e.cmds, e.sockets, e.conns = append(e.cmds, cmd), append(e.sockets, socket), append(e.conns, wire.NewConn(socket))
	return nil
}

// Call sends a frame to process i and waits for it.
func (e *Echo) Call(i int) error {
	if err := e.conns[i].Write(wire.Invoke, 1, []byte("{}")); err != nil {
		return err
	}
	_, err := e.conns[i].Read()
	return err
}

// Open sends frames at a rate, with exponential gaps, to all in turn, whether or not they have
// come back; latencies count from when they were to be sent.
func (e *Echo) Open(ctx context.Context, rate float64, long time.Duration, seed uint64) (Sample, error) {
	n := int(rate * long.Seconds())
	rng := rand.New(rand.NewPCG(seed, 1))
	due := make([]time.Duration, n)
	at := 0.0
	for i := range due {
		at += rng.ExpFloat64() / rate
		due[i] = time.Duration(at * 1e9)
	}
	took := make([]time.Duration, n)
	var late atomic.Value
	var group sync.WaitGroup
	cpu := TreeCPU()
	began := time.Now()
	for c := range e.conns {
		group.Go(func() {
			for i := c; i < n; i += len(e.conns) {
				if _, err := e.conns[c].Read(); err != nil {
					late.Store(err)
					return
				}
				took[i] = time.Since(began) - due[i]
			}
		})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range due {
		for {
			left := due[i] - time.Since(began)
			if left <= 0 || ctx.Err() != nil {
				break
			}
			if left > 60*time.Microsecond {
				ts := syscall.NsecToTimespec(int64(left - 50*time.Microsecond))
				_ = syscall.Nanosleep(&ts, nil) // looked at again
			}
		}
		if err := e.conns[i%len(e.conns)].Write(wire.Invoke, uint64(i), []byte("{}")); err != nil {
			late.Store(err)
			break
		}
	}
	group.Wait()
	s := Sample{Latencies: took, Took: time.Since(began), CPU: TreeCPU() - cpu}
	slices.Sort(s.Latencies)
	if err, ok := late.Load().(error); ok {
		return s, err
	}
	return s, ctx.Err()
}

// Close ends the processes.
func (e *Echo) Close() {
	for _, s := range e.sockets {
		s.Close()
	}
	for _, c := range e.cmds {
		_ = c.Wait() // it ends with its socket
	}
}

// ServeEcho is the process: it sends back what comes on descriptor 3.
func ServeEcho() error {
	if err := syscall.SetNonblock(3, true); err != nil {
		return fmt.Errorf("descriptor 3: %w", err)
	}
	conn := wire.NewConn(os.NewFile(3, "socket"))
	for {
		f, err := conn.Read()
		if err != nil {
			return nil // whoever calls has ended
		}
		if err := conn.Write(f.Type, f.ID, f.Payload); err != nil {
			return err
		}
	}
}
