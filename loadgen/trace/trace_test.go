package trace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/trace"
)

const ms = time.Millisecond

// write makes t.csv and m.csv in a new folder.
func write(t testing.TB, invocations, metadata string) (string, string) {
	t.Helper()
	dir := t.TempDir()
	t1, m := filepath.Join(dir, "t.csv"), filepath.Join(dir, "m.csv")
	for path, text := range map[string]string{t1: invocations, m: metadata} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return t1, m
}

// calls lists all calls as "name@time".
func calls(tr *trace.Trace) (all []string) {
	next := tr.Arrivals()
	for at, f, ok := next(); ok; at, f, ok = next() {
		all = append(all, fmt.Sprintf("%s@%v", f, at))
	}
	return all
}

func TestReadIluvatar(t *testing.T) {
	got, err := trace.ReadIluvatar("testdata/small.csv", "testdata/small.meta.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := &trace.Trace{
		Functions: []trace.Function{
			{Name: "hash", Warm: 5 * ms, Cold: 300 * ms, Memory: 128 * spec.MiB, Calls: 3},
			{Name: "thumb", Warm: 80 * ms, Memory: 256 * spec.MiB, Calls: 1},
		},
		Calls: 4, Duration: 1201 * ms,
		SHA256: "aba744b88846dc4a483f35f94235db2e99bb04aeacbe9ffb580057e07f031820", // sha256sum small.csv
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(trace.Trace{})); diff != "" {
		t.Error(diff)
	}
	for range 2 { // every reader begins anew
		if diff := cmp.Diff([]string{"hash@0s", "thumb@40ms", "hash@40ms", "hash@1.2s"}, calls(got)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestReadIluvatarForms(t *testing.T) {
	const metadata = "func_name,mem_mb\na,1\n"
	for name, tt := range map[string][2]string{
		"CRLF and a byte order mark":  {"\ufefffunc_name,invoke_time_ms\r\na,5\r\n", "\ufefffunc_name,mem_mb\r\na,1\r\n"},
		"columns in another order":    {"x,invoke_time_ms,func_name\n,5,a\n", "mem_mb,other,func_name\n1,2,a\n"},
		"spaces, quotes, empty lines": {"func_name, invoke_time_ms\n\"a\", 5\n\n", metadata},
		"no newline at the end":       {"func_name,invoke_time_ms\na,5", metadata},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := trace.ReadIluvatar(write(t, tt[0], tt[1]))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"a@5ms"}, calls(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadIluvatarErrors(t *testing.T) {
	const head, meta = "func_name,invoke_time_ms\n", "func_name,mem_mb\nresize,1\nhash,1\n"
	for name, tt := range map[string]struct{ invocations, metadata, want string }{
		"empty file":            {"", meta, "t.csv:1: the file is empty: want a header line with the columns func_name, invoke_time_ms"},
		"no call":               {head, meta, "t.csv:1: no call below the header: a trace needs at least one"},
		"no column":             {"func,invoke_time_ms\n", meta, "t.csv:1: no column func_name: the header has func, invoke_time_ms"},
		"bad time":              {head + "hash,1\nhash,1.5s\n", meta, `t.csv:3: invoke_time_ms is "1.5s": want a whole number from 0 to 4294967294`},
		"negative time":         {head + "hash,-1\n", meta, `t.csv:2: invoke_time_ms is "-1": want`},
		"unsorted":              {head + "hash,60\nhash,70\n\nhash,51\n", meta, "t.csv:5: the call at 51 ms comes after the one at 70 ms on line 3: sort the file by invoke_time_ms"},
		"unknown function":      {head + "hash,1\nresise,1\n", meta, `t.csv:3: function "resise" is not in m.csv: add a row for it there, or did you mean "resize"?`},
		"quite unknown":         {head + "zzzzzz,1\n", meta, `t.csv:2: function "zzzzzz" is not in m.csv: add a row for it there`},
		"short row":             {head + "hash\n", meta, "t.csv:2: the row has not as many fields as the header"},
		"bad quote":             {head + "ha\"sh,1\n", meta, "t.csv:2: bare \""},
		"metadata empty":        {head, "", "m.csv:1: the file is empty: want a header line with the columns func_name, mem_mb"},
		"no function":           {head, "func_name,mem_mb\n", "m.csv:1: no function below the header"},
		"no memory":             {head, "func_name\nhash\n", "m.csv:1: no column mem_mb: the header has func_name"},
		"bad memory":            {head, "func_name,mem_mb\nhash,lots\n", `m.csv:2: mem_mb is "lots": want a whole number`},
		"bad duration":          {head, "func_name,mem_mb,warm_dur_ms\nhash,1,x\n", `m.csv:2: warm_dur_ms is "x"`},
		"function twice":        {head, "func_name,mem_mb\nhash,1\nx,1\nhash,2\n", `m.csv:4: function "hash" is already on line 2`},
		"function without name": {head, "func_name,mem_mb\n,1\n", "m.csv:2: func_name is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			invocations, metadata := write(t, tt.invocations, tt.metadata)
			_, err := trace.ReadIluvatar(invocations, metadata)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.ReplaceAll(err.Error(), filepath.Dir(invocations)+"/", ""); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if _, err := trace.ReadIluvatar("testdata/none.csv", "testdata/small.meta.csv"); err == nil || err.Error() != "read trace: open testdata/none.csv: no such file or directory" {
		t.Errorf("a missing file gives %v", err)
	}
}

// TestAzureExcerpt reads an excerpt of the Azure trace where it is on the machine.
func TestAzureExcerpt(t *testing.T) {
	const dir = "/work/shared/data/traces/iluvatar/"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the trace is not here: ", err)
	}
	got, err := trace.ReadIluvatar(dir+"paper-repro.trace.csv", dir+"paper-repro.metadata-trace.csv")
	if err != nil {
		t.Fatal(err)
	}
	if got.Calls != 11868 || len(got.Functions) != 21 || got.Duration != 299974*ms || len(calls(got)) != 11868 {
		t.Errorf("%d calls of %d functions in %v", got.Calls, len(got.Functions), got.Duration)
	}
}

func FuzzReadIluvatar(f *testing.F) {
	f.Add("func_name,invoke_time_ms\na,1\na,2\n", "func_name,mem_mb,warm_dur_ms\na,1,5\n")
	f.Add("\ufefffunc_name,invoke_time_ms\r\n\"a\",1", "mem_mb,func_name\n1,\"a\n\"")
	f.Fuzz(func(t *testing.T, invocations, metadata string) {
		invocations, metadata = write(t, invocations, metadata)
		got, err := trace.ReadIluvatar(invocations, metadata)
		if err != nil {
			if text := err.Error(); !strings.HasPrefix(text, invocations+":") && !strings.HasPrefix(text, metadata+":") {
				t.Errorf("an error without a place: %s", text)
			}
			return
		}
		total, last := 0, time.Duration(0)
		for _, fn := range got.Functions {
			total += fn.Calls
		}
		next, n := got.Arrivals(), 0
		for at, _, ok := next(); ok; at, _, ok = next() {
			if at < last || at >= got.Duration {
				t.Errorf("call %d at %v after %v, in %v", n, at, last, got.Duration)
			}
			last = at
			n++
		}
		if n == 0 || n != got.Calls || n != total {
			t.Errorf("%d calls, Calls is %d, functions have %d", n, got.Calls, total)
		}
	})
}
