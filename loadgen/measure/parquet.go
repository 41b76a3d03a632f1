package measure

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/parquet-go/parquet-go"
)

// row is a Call as a row of calls.parquet. The order of the fields is the
// order of the columns. A pointer that is nil, and an empty optional string,
// is a null.
type row struct {
	Point    string `parquet:"point,dict"`
	Repeat   int32  `parquet:"repeat"`
	Load     string `parquet:"load,dict"`
	Phase    string `parquet:"phase,dict"`
	Record   bool   `parquet:"record"`
	Seq      int64  `parquet:"seq,delta"`
	Function string `parquet:"function,dict"`
	TID      string `parquet:"tid"`
	Host     string `parquet:"host,optional,dict"`

	Intended     int64  `parquet:"intended_ns"`
	Sent         *int64 `parquet:"sent_ns,optional"`
	Accepted     *int64 `parquet:"accepted_ns,optional"`
	Queued       *int64 `parquet:"queued_ns,optional"`
	Dequeued     *int64 `parquet:"dequeued_ns,optional"`
	SandboxReady *int64 `parquet:"sandbox_ready_ns,optional"`
	ExecStart    *int64 `parquet:"exec_start_ns,optional"`
	ExecEnd      *int64 `parquet:"exec_end_ns,optional"`
	Replied      *int64 `parquet:"replied_ns,optional"`
	Received     *int64 `parquet:"received_ns,optional"`

	Lag      *int64 `parquet:"lag_ns,optional"`
	Latency  *int64 `parquet:"latency_ns,optional"`
	Service  *int64 `parquet:"service_ns,optional"`
	Exec     *int64 `parquet:"exec_ns,optional"`
	Overhead *int64 `parquet:"overhead_ns,optional"`

	ColdKind string `parquet:"cold_kind,optional,dict"`
	Status   string `parquet:"status,dict"`
	Error    string `parquet:"error,optional"`
	BytesIn  int64  `parquet:"bytes_in"`
	BytesOut int64  `parquet:"bytes_out"`
	Memory   *int64 `parquet:"memory_bytes,optional"`
}

// nullable is nil for Missing.
func nullable(v int64) *int64 {
	if v == Missing {
		return nil
	}
	return &v
}

// orMissing is the inverse of nullable.
func orMissing(p *int64) int64 {
	if p == nil {
		return Missing
	}
	return *p
}

func toRow(c *Call) row {
	return row{
		Point: c.Point, Repeat: int32(c.Repeat), Load: c.Load, Phase: c.Phase, Record: c.Record, Seq: c.Seq,
		Function: c.Function, TID: c.TID, Host: c.Host,
		Intended: c.Intended, Sent: nullable(c.Sent), Accepted: nullable(c.Accepted), Queued: nullable(c.Queued),
		Dequeued: nullable(c.Dequeued), SandboxReady: nullable(c.SandboxReady), ExecStart: nullable(c.ExecStart),
		ExecEnd: nullable(c.ExecEnd), Replied: nullable(c.Replied), Received: nullable(c.Received),
		Lag: nullable(c.Lag()), Latency: nullable(c.Latency()), Service: nullable(c.Service()),
		Exec: nullable(c.Exec()), Overhead: nullable(c.Overhead()),
		ColdKind: c.ColdKind, Status: c.Status, Error: c.Error,
		BytesIn: c.BytesIn, BytesOut: c.BytesOut, Memory: nullable(c.Memory),
	}
}

func (r *row) call() Call {
	return Call{
		Point: r.Point, Repeat: int(r.Repeat), Load: r.Load, Phase: r.Phase, Record: r.Record, Seq: r.Seq,
		Function: r.Function, TID: r.TID, Host: r.Host,
		Intended: r.Intended, Sent: orMissing(r.Sent), Accepted: orMissing(r.Accepted), Queued: orMissing(r.Queued),
		Dequeued: orMissing(r.Dequeued), SandboxReady: orMissing(r.SandboxReady), ExecStart: orMissing(r.ExecStart),
		ExecEnd: orMissing(r.ExecEnd), Replied: orMissing(r.Replied), Received: orMissing(r.Received),
		ColdKind: r.ColdKind, Status: r.Status, Error: r.Error,
		BytesIn: r.BytesIn, BytesOut: r.BytesOut, Memory: orMissing(r.Memory),
	}
}

// batchRows bounds the rows converted at a time.
const batchRows = 4096

// WriteCalls writes calls as a parquet file with zstd compression. The file
// appears whole or not at all. Missing is a null; lag_ns, latency_ns,
// service_ns, exec_ns and overhead_ns are derived.
func WriteCalls(path string, calls []Call) error {
	return writeFile(path, func(w io.Writer) error {
		pw := parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("ainur", "1", ""))
		rows := make([]row, 0, min(batchRows, len(calls)))
		for start := 0; start < len(calls); start += batchRows {
			rows = rows[:0]
			for i := range calls[start:min(start+batchRows, len(calls))] {
				rows = append(rows, toRow(&calls[start+i]))
			}
			if _, err := pw.Write(rows); err != nil {
				return err
			}
		}
		return pw.Close()
	})
}

// ReadCalls reads what WriteCalls wrote.
func ReadCalls(path string) ([]Call, error) {
	rows, err := parquet.ReadFile[row](path)
	if err != nil {
		return nil, fmt.Errorf("read calls from %s: %w", path, err)
	}
	calls := make([]Call, len(rows))
	for i := range rows {
		calls[i] = rows[i].call()
	}
	return calls, nil
}

// writeFile makes path with what write writes: first under another name in the
// same folder, so that no reader sees half a file.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
