package measure_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/measure"
)

const (
	ms = int64(time.Millisecond)
	no = measure.Missing
)

// blank is a call of the phase main that nothing has happened to.
func blank(seq, intended int64) measure.Call {
	return measure.Call{
		Point: "0badcafe", Repeat: 1, Load: "l", Phase: "main", Record: true, Seq: seq, Function: "f", TID: fmt.Sprint("t", seq),
		Intended: intended, Sent: no, Accepted: no, Queued: no, Dequeued: no, SandboxReady: no, ExecStart: no, ExecEnd: no,
		Replied: no, Received: no, Status: measure.Dropped, Memory: no,
	}
}

// done is a warm call that was sent lag late and ran for exec; 4 ms more are overhead.
func done(seq, intended, lag, exec int64) measure.Call {
	c := blank(seq, intended)
	c.Sent = intended + lag
	c.Accepted = c.Sent + ms
	c.Queued, c.Dequeued, c.SandboxReady, c.ExecStart = c.Accepted, c.Accepted+ms, c.Accepted+ms, c.Accepted+ms
	c.ExecEnd = c.ExecStart + exec
	c.Replied, c.Received = c.ExecEnd+ms, c.ExecEnd+2*ms
	c.Status, c.ColdKind, c.Host = measure.OK, "warm", "w1"
	return c
}

// drawCall makes a call with any of its times missing.
func drawCall(t *rapid.T) measure.Call {
	c := blank(rapid.Int64Range(0, 1e6).Draw(t, "seq"), rapid.Int64Range(0, 1e12).Draw(t, "intended"))
	at := c.Intended
	for _, p := range []*int64{&c.Sent, &c.Accepted, &c.Queued, &c.Dequeued, &c.SandboxReady, &c.ExecStart, &c.ExecEnd, &c.Replied, &c.Received} {
		if rapid.Bool().Draw(t, "present") {
			at += rapid.Int64Range(0, 1e10).Draw(t, "later")
			*p = at
		}
	}
	c.Status = rapid.SampledFrom(measure.Statuses).Draw(t, "status")
	c.Error = rapid.StringN(0, 20, 512).Draw(t, "error")
	c.Memory = rapid.Int64Range(-1, 1<<40).Draw(t, "memory")
	c.Function = rapid.SampledFrom([]string{"f", "g/h", "ü"}).Draw(t, "function")
	c.Record = rapid.Bool().Draw(t, "record")
	return c
}

func TestPhasesSumToLatency(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCall(rt)
		sum, last := int64(0), c.Intended
		for _, p := range measure.Phases(c) {
			if p.Duration < 0 {
				rt.Fatalf("%s takes %v", p.Name, p.Duration)
			}
			sum += int64(p.Duration)
		}
		for _, at := range []int64{c.Sent, c.Accepted, c.Queued, c.Dequeued, c.SandboxReady, c.ExecStart, c.ExecEnd, c.Replied, c.Received} {
			last = max(last, at)
		}
		if sum != last-c.Intended {
			rt.Fatalf("phases sum to %d, from the intended to the last time are %d", sum, last-c.Intended)
		}
		if c.Received != no && c.Latency() != sum {
			rt.Fatalf("phases sum to %d, latency is %d", sum, c.Latency())
		}
	})
}

func TestPhases(t *testing.T) {
	refused := blank(0, 10*ms)
	refused.Sent, refused.Accepted, refused.Replied, refused.Received = 11*ms, 12*ms, 15*ms, 19*ms
	want := []measure.Phase{{Name: "lag", Duration: time.Millisecond}, {Name: "request", Duration: time.Millisecond}, {Name: "finish", Duration: 3 * time.Millisecond}, {Name: "reply", Duration: 4 * time.Millisecond}}
	if diff := cmp.Diff(want, measure.Phases(refused)); diff != "" {
		t.Error(diff)
	}
	if got := measure.Phases(blank(0, 5)); len(got) != 0 {
		t.Errorf("a dropped call has phases %v", got)
	}
}

func TestParquetRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.parquet")
	var calls []measure.Call
	for seed := range 5000 { // more than a batch
		calls = append(calls, rapid.Custom(drawCall).Example(seed))
	}
	for _, calls := range [][]measure.Call{{}, calls[:1], calls} {
		if err := measure.WriteCalls(path, measure.All(calls)); err != nil {
			t.Fatal(err)
		}
		got, err := measure.ReadCalls(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(calls, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestParquetColumns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.parquet")
	if err := measure.WriteCalls(path, measure.All([]measure.Call{blank(0, 0)})); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	pf, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var columns, nulls []string
	for i, c := range pf.Schema().Columns() {
		columns = append(columns, c[0])
		if index, err := pf.RowGroups()[0].ColumnChunks()[i].ColumnIndex(); err == nil && index.NullPage(0) {
			nulls = append(nulls, c[0])
		}
	}
	const all = "point repeat load phase record seq function tid host generator intended_ns sent_ns accepted_ns queued_ns dequeued_ns sandbox_ready_ns " +
		"exec_start_ns exec_end_ns replied_ns received_ns lag_ns latency_ns service_ns exec_ns overhead_ns cold_kind device status error bytes_in bytes_out memory_bytes"
	if got := strings.Join(columns, " "); got != all {
		t.Errorf("columns %s", got)
	}
	const missing = "host generator sent_ns accepted_ns queued_ns dequeued_ns sandbox_ready_ns exec_start_ns exec_end_ns replied_ns received_ns " +
		"lag_ns latency_ns service_ns exec_ns overhead_ns cold_kind device error memory_bytes"
	if got := strings.Join(nulls, " "); got != missing {
		t.Errorf("columns of nulls of a dropped call: %s", got)
	}
}

func TestWriteCallsLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "calls.parquet")
	if err := os.Mkdir(path, 0o755); err != nil { // the rename will fail
		t.Fatal(err)
	}
	if err := measure.WriteCalls(path, measure.All(nil)); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the file", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := measure.ReadCalls(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading nothing gives %v", err)
	}
}

func TestHistograms(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hdr")
	long := done(3, 2500*ms, 0, int64(2*time.Hour))
	failed, warmup := done(4, 0, 0, ms), done(5, 0, 0, ms)
	failed.Status, warmup.Record = measure.UserError, false
	other := done(6, 0, 0, ms)
	other.Function = "team/g"
	calls := []measure.Call{done(0, 0, 0, 6*ms), done(1, 10*ms, 0, 16*ms), done(2, 1500*ms, 0, 6*ms), long, failed, warmup, other}
	if err := measure.WriteHistograms(dir, calls); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "team%2Fg.hlog")); err != nil {
		t.Error(err)
	}
	f, err := os.Open(filepath.Join(dir, "f.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	log := hdrhistogram.NewHistogramLogReader(f)
	var got []string
	for {
		h, err := log.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if h == nil {
			break
		}
		got = append(got, fmt.Sprintf("%d to %d ms: %d, max %v", h.StartTimeMs(), h.EndTimeMs(), h.TotalCount(), time.Duration(h.Max()).Round(10*time.Millisecond)))
	}
	want := []string{"0 to 1000 ms: 2, max 20ms", "1000 to 2000 ms: 1, max 10ms", "7202000 to 7203000 ms: 1, max 1h0m1.33s"} // an hour to three digits
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestQuantilesAreNearestRank(t *testing.T) {
	values := func(n int) (v []int64) {
		for i := n; i > 0; i-- {
			v = append(v, int64(i))
		}
		return v
	}
	for n, want := range map[int]spec.Quantiles{
		0:    {},
		1:    {Count: 1, Mean: 1, P50: 1, P90: 1, P95: 1, P99: 1, P999: 1, Max: 1},
		2:    {Count: 2, Mean: 1, P50: 1, P90: 2, P95: 2, P99: 2, P999: 2, Max: 2},
		10:   {Count: 10, Mean: 5, P50: 5, P90: 9, P95: 10, P99: 10, P999: 10, Max: 10},
		1000: {Count: 1000, Mean: 500, P50: 500, P90: 900, P95: 950, P99: 990, P999: 999, Max: 1000},
		1001: {Count: 1001, Mean: 501, P50: 501, P90: 901, P95: 951, P99: 991, P999: 1000, Max: 1001},
	} {
		if diff := cmp.Diff(want, measure.Quantiles(values(n))); diff != "" {
			t.Errorf("1 to %d: %s", n, diff)
		}
	}
}

func TestRecorder(t *testing.T) {
	const goroutines, each = 8, 2000
	r := measure.NewRecorder(100) // fewer than will come
	var wg sync.WaitGroup
	for g := range int64(goroutines) {
		wg.Go(func() {
			for i := range int64(each) {
				r.Add(blank(i*goroutines+g, 0))
			}
		})
	}
	wg.Wait()
	calls := r.Calls()
	if len(calls) != goroutines*each {
		t.Fatalf("%d calls, want %d", len(calls), goroutines*each)
	}
	for i, c := range calls {
		if c.Seq != int64(i) {
			t.Fatalf("call %d has seq %d", i, c.Seq)
		}
	}
	if got := measure.NewRecorder(0).Calls(); len(got) != 0 {
		t.Errorf("an empty recorder has %v", got)
	}
}

func BenchmarkRecorder(b *testing.B) {
	r := measure.NewRecorder(0)
	c := done(0, 0, 0, ms)
	for b.Loop() {
		r.Add(c)
	}
}

func BenchmarkWriteCalls(b *testing.B) {
	path := filepath.Join(b.TempDir(), "calls.parquet")
	var calls []measure.Call
	for i := range int64(100_000) {
		calls = append(calls, done(i, i*ms, 1, ms))
	}
	for b.Loop() {
		if err := measure.WriteCalls(path, measure.All(calls)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "calls/s")
}
