package measure

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ainur-faas/ainur/internal/atomicfile"
)

// maxLatency is the longest latency a histogram tells apart; longer ones count as this.
const maxLatency = time.Hour

// WriteHistograms writes the latency of the completed calls that were recorded
// to dir, one HdrHistogram interval log for each function: V2 encoding, 3
// significant digits, values in nanoseconds as the tools for these logs expect,
// one interval for each second in which a reply came. Times in the log are
// seconds since the load started. Reports take quantiles from the calls; these
// logs are for merging and for viewers.
func WriteHistograms(dir string, calls []Call) error {
	byFunction := map[string][]*Call{}
	for i := range calls {
		if c := &calls[i]; c.Record && c.Status == OK && c.Received != Missing {
			byFunction[c.Function] = append(byFunction[c.Function], c)
		}
	}
	h := hdrhistogram.New(1, maxLatency.Nanoseconds(), 3)
	for function, calls := range byFunction {
		slices.SortFunc(calls, func(a, b *Call) int { return cmp.Compare(a.Received, b.Received) })
		path := filepath.Join(dir, url.PathEscape(function)+".hlog")
		if err := atomicfile.Write(path, 0o644, func(w io.Writer) error { return writeLog(w, h, function, calls) }); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// WriteHistograms writes the same as the function of this name from what the
// Summary keeps: one interval for all of the load, which ended so long after it started.
func (s *Summary) WriteHistograms(dir string, ended time.Duration) error {
	all := newGroup()
	for _, p := range s.load.Phases {
		if p.Record {
			all.merge(s.phases[p.Name])
		}
	}
	h := hdrhistogram.New(1, maxLatency.Nanoseconds(), 3)
	for function, f := range all.functions {
		h.Reset()
		h.SetEndTimeMs(ended.Milliseconds())
		record := func(v int64, n uint64) bool {
			_ = h.RecordValues(min(v, maxLatency.Nanoseconds()), int64(n)) // it is in the range
			return true
		}
		for _, v := range f.latency.values {
			record(v, 1)
		}
		f.latency.buckets(record)
		path := filepath.Join(dir, url.PathEscape(function)+".hlog")
		if err := atomicfile.Write(path, 0o644, func(w io.Writer) error {
			log, err := beginLog(w, function)
			if err != nil {
				return err
			}
			return log.OutputIntervalHistogram(h)
		}); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}

// writeLog writes calls, which are in order of Received, using h as scratch.
func writeLog(w io.Writer, h *hdrhistogram.Histogram, function string, calls []*Call) error {
	log, err := beginLog(w, function)
	if err != nil {
		return err
	}
	for len(calls) > 0 {
		second := calls[0].Received / int64(time.Second)
		h.Reset()
		h.SetStartTimeMs(second * 1000)
		h.SetEndTimeMs((second + 1) * 1000)
		n := 0
		for n < len(calls) && calls[n].Received/int64(time.Second) == second {
			if err := h.RecordValue(min(calls[n].Latency(), maxLatency.Nanoseconds())); err != nil {
				return err
			}
			n++
		}
		if err := log.OutputIntervalHistogram(h); err != nil {
			return err
		}
		calls = calls[n:]
	}
	return nil
}

// beginLog writes what comes before the intervals.
func beginLog(w io.Writer, function string) (*hdrhistogram.HistogramLogWriter, error) {
	log := hdrhistogram.NewHistogramLogWriter(w)
	return log, errors.Join(
		log.OutputComment(fmt.Sprintf("[latency of %s in ns; seconds since the load started]", function)),
		log.OutputLogFormatVersion(), log.OutputStartTime(0), log.OutputLegend(),
	)
}
