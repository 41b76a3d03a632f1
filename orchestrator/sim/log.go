package sim

import (
	"bufio"
	"io"
	"strconv"
	"time"

	"github.com/ainur-faas/ainur/agent/worker"
)

// decisionLog writes each decision as a line of words: the time in
// nanoseconds, who decided, what, and about which function, invocation and sandbox.
type decisionLog struct {
	w    *bufio.Writer
	line []byte
}

func newDecisionLog(w io.Writer) *decisionLog { return &decisionLog{w: bufio.NewWriterSize(w, 1<<16)} }

func (l *decisionLog) action(now time.Duration, who string, a worker.Action) {
	b := l.begin(now, who, a.Op.String())
	b = append(strconv.AppendInt(b, int64(a.Function), 10), ' ')
	b = append(strconv.AppendUint(b, uint64(a.Invocation), 10), ' ')
	b = strconv.AppendUint(b, uint64(a.Sandbox), 10)
	if a.Op == worker.Start {
		b = append(append(b, ' '), a.Kind.String()...)
	}
	if a.Device > 0 {
		b = strconv.AppendInt(append(b, " gpu "...), int64(a.Device-1), 10)
	}
	if a.Why != worker.NoReason {
		b = append(append(b, ' '), a.Why.String()...)
	}
	l.end(b)
}

func (l *decisionLog) route(now time.Duration, who string, id worker.InvocationID, worker string) {
	b := l.begin(now, who, "route")
	b = append(strconv.AppendUint(b, uint64(id), 10), ' ')
	l.end(append(b, worker...))
}

func (l *decisionLog) begin(now time.Duration, who, what string) []byte {
	b := append(strconv.AppendInt(l.line[:0], int64(now), 10), ' ')
	b = append(append(b, who...), ' ')
	return append(append(b, what...), ' ')
}

// end writes the line; the first error stays with the writer until flush.
func (l *decisionLog) end(line []byte) {
	l.line = append(line, '\n')
	_, _ = l.w.Write(l.line) // bufio keeps the error for Flush
}

func (l *decisionLog) flush() error { return l.w.Flush() }
