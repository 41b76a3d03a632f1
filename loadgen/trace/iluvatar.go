package trace

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// ReadIluvatar reads the pair of CSV files that the load generator of Ilúvatar
// takes: invocations with the columns func_name and invoke_time_ms (ascending),
// and metadata with func_name, mem_mb and, where known, warm_dur_ms and
// cold_dur_ms. Columns are found by name and may be in any order among others.
// An error begins with the file and line to blame.
func ReadIluvatar(invocations, metadata string) (*Trace, error) {
	t := &Trace{}
	if err := read(metadata, func(r io.Reader) error { return t.readFunctions(r, metadata) }); err != nil {
		return nil, err
	}
	sum := sha256.New()
	err := read(invocations, func(r io.Reader) error {
		return t.readCalls(io.TeeReader(r, sum), invocations, filepath.Base(metadata))
	})
	if err != nil {
		return nil, err
	}
	t.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return t, nil
}

func read(path string, parse func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read trace: %w", err)
	}
	defer f.Close()
	return parse(f)
}

func (t *Trace) readFunctions(r io.Reader, file string) error {
	rows, err := newTable(r, file, []string{"func_name", "mem_mb"}, []string{"warm_dur_ms", "cold_dur_ms"})
	if err != nil {
		return err
	}
	lines := map[string]int{} // of each function
	for {
		row, err := rows.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		f := Function{Name: row[0]}
		if f.Name == "" {
			return rows.errorf("func_name is empty: give the function a name")
		}
		if line, dup := lines[f.Name]; dup {
			return rows.errorf("function %q is already on line %d: keep one row for each function", f.Name, line)
		}
		lines[f.Name] = rows.line
		memory, err := rows.number("mem_mb", row[1], 1<<30)
		if err != nil {
			return err
		}
		f.Memory = spec.Bytes(memory) * spec.MiB
		if f.Warm, err = rows.duration("warm_dur_ms", row[2]); err != nil {
			return err
		}
		if f.Cold, err = rows.duration("cold_dur_ms", row[3]); err != nil {
			return err
		}
		t.Functions = append(t.Functions, f)
	}
	if len(t.Functions) == 0 {
		return fmt.Errorf("%s:1: no function below the header: add one row for each function of the trace", file)
	}
	return nil
}

func (t *Trace) readCalls(r io.Reader, file, metadata string) error {
	rows, err := newTable(r, file, []string{"func_name", "invoke_time_ms"}, nil)
	if err != nil {
		return err
	}
	index := make(map[string]uint32, len(t.Functions))
	for i, f := range t.Functions {
		index[f.Name] = uint32(i)
	}
	var last uint64
	lastLine := 0
	for {
		row, err := rows.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		ms, err := rows.number("invoke_time_ms", row[1], 1<<32-2)
		if err != nil {
			return err
		}
		if ms < last {
			return rows.errorf("the call at %d ms comes after the one at %d ms on line %d: sort the file by invoke_time_ms", ms, last, lastLine)
		}
		f, known := index[row[0]]
		if !known {
			return rows.errorf("function %q is not in %s: add a row for it there%s", row[0], metadata, t.nearest(row[0]))
		}
		last, lastLine = ms, rows.line
		t.Functions[f].Calls++
		t.calls = append(t.calls, call{uint32(ms), f})
	}
	if len(t.calls) == 0 {
		return fmt.Errorf("%s:1: no call below the header: a trace needs at least one", file)
	}
	t.calls = slices.Clip(t.calls)
	t.Calls = len(t.calls)
	t.Duration = time.Duration(last+1) * time.Millisecond
	return nil
}

// nearest suggests the function whose name is closest to name, or nothing when
// more than a third of the name would have to change.
func (t *Trace) nearest(name string) string {
	best, distance := "", len(name)/3+1
	for _, f := range t.Functions {
		if d := levenshtein.Distance(name, f.Name, nil); d < distance {
			best, distance = f.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", or did you mean %q?", best)
}

// table reads the named columns of a CSV file, row by row.
type table struct {
	file    string
	csv     *csv.Reader
	columns []int    // of the names asked for, -1 where the file has none
	row     []string // reused
	line    int      // of the row read last
}

func newTable(r io.Reader, file string, required, optional []string) (*table, error) {
	t := &table{file: file, csv: csv.NewReader(r)}
	t.csv.ReuseRecord = true
	header, err := t.csv.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("%s:1: the file is empty: want a header line with the columns %s", file, strings.Join(required, ", "))
	}
	if err != nil {
		return nil, t.wrap(err)
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets write a byte order mark
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	for _, name := range slices.Concat(required, optional) {
		column := slices.Index(header, name)
		if column < 0 && slices.Contains(required, name) {
			return nil, fmt.Errorf("%s:1: no column %s: the header has %s", file, name, strings.Join(header, ", "))
		}
		t.columns = append(t.columns, column)
	}
	t.row = make([]string, len(t.columns))
	return t, nil
}

// next returns the columns asked for, "" for one the file does not have. The
// slice is valid until the next call.
func (t *table) next() ([]string, error) {
	record, err := t.csv.Read()
	if err != nil {
		return nil, t.wrap(err)
	}
	t.line, _ = t.csv.FieldPos(0)
	for i, column := range t.columns {
		t.row[i] = ""
		if column >= 0 {
			t.row[i] = strings.TrimSpace(record[column])
		}
	}
	return t.row, nil
}

// number reads a whole number from 0 to limit.
func (t *table) number(column, text string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > limit {
		return 0, t.errorf("%s is %q: want a whole number from 0 to %d", column, text, limit)
	}
	return n, nil
}

// duration reads milliseconds; "" is 0, not recorded.
func (t *table) duration(column, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	ms, err := t.number(column, text, 1<<40)
	return time.Duration(ms) * time.Millisecond, err
}

func (t *table) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{t.file, t.line}, args...)...)
}

// wrap puts the file and line on an error of the CSV reader; io.EOF stays.
func (t *table) wrap(err error) error {
	var parse *csv.ParseError
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, csv.ErrFieldCount):
		errors.As(err, &parse)
		return fmt.Errorf("%s:%d: the row has not as many fields as the header: complete it, or quote a field that holds a comma", t.file, parse.Line)
	case errors.As(err, &parse):
		return fmt.Errorf("%s:%d: %w", t.file, parse.Line, parse.Err)
	default:
		return fmt.Errorf("read trace: %w", err)
	}
}
