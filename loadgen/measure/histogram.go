package measure

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
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
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write histograms: %w", err)
	}
	h := hdrhistogram.New(1, maxLatency.Nanoseconds(), 3)
	for function, calls := range byFunction {
		slices.SortFunc(calls, func(a, b *Call) int { return cmp.Compare(a.Received, b.Received) })
		path := filepath.Join(dir, url.PathEscape(function)+".hlog")
		if err := writeFile(path, func(w io.Writer) error { return writeLog(w, h, function, calls) }); err != nil {
			return err
		}
	}
	return nil
}

// writeLog writes calls, which are in order of Received, using h as scratch.
func writeLog(w io.Writer, h *hdrhistogram.Histogram, function string, calls []*Call) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	if err := log.OutputComment(fmt.Sprintf("[latency of %s in ns; seconds since the load started]", function)); err != nil {
		return err
	}
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	if err := log.OutputStartTime(0); err != nil {
		return err
	}
	if err := log.OutputLegend(); err != nil {
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
