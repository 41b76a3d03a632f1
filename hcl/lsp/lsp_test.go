package lsp_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"
	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/concurrency"
	"github.com/ainur-faas/ainur/agent/dispatch"
	"github.com/ainur-faas/ainur/agent/estimate"
	"github.com/ainur-faas/ainur/agent/gpuqueue"
	"github.com/ainur-faas/ainur/agent/keepalive"
	"github.com/ainur-faas/ainur/agent/placement"
	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/agent/queue"
	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/lsp"
	"github.com/ainur-faas/ainur/hcl/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options() lsp.Options {
	balancers := registry.New[any]("balancer policy")
	balancers.Add("round_robin", registry.About{}, func(decode registry.Decoder) (any, error) { return nil, decode(&struct{}{}) })
	return lsp.Options{Load: func(path string, overlay map[string][]byte) (*hcl.Module, hcllib.Diagnostics) {
		return hcl.Load(path, hcl.Options{Overlay: overlay, Policies: hcl.Policies{Queue: queue.Builtin(), KeepAlive: keepalive.Builtin(), Concurrency: concurrency.Builtin(), Dispatch: dispatch.Builtin(), Prewarm: prewarm.Builtin(), Estimate: estimate.Builtin(), GPUQueue: gpuqueue.Builtin(), Placement: placement.Builtin(), Balancer: balancers}})
	}}
}

// client speaks the protocol with a server over pipes.
type client struct {
	t     testing.TB
	out   io.WriteCloser
	in    *bufio.Reader
	ended chan error
	id    int
	dir   string
	shown map[string][]diagnostic // newest diagnostics by file name
}

type diagnostic struct {
	Code    string
	Message string
	Range   struct{ Start, End struct{ Line, Character int } }
}

type answer struct {
	ID     *int
	Method string
	Params struct {
		URI         string
		Diagnostics []diagnostic
	}
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
}

func start(t testing.TB) *client {
	t.Helper()
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	c := &client{t: t, out: toServer, in: bufio.NewReader(fromServer), ended: make(chan error, 1), dir: t.TempDir(), shown: map[string][]diagnostic{}}
	go func() {
		c.ended <- lsp.Serve(t.Context(), fromClient, toClient, options())
		toClient.Close()
	}()
	c.call("initialize", map[string]any{"capabilities": map[string]any{}})
	c.notify("initialized", map[string]any{})
	return c
}

func (c *client) send(m map[string]any) {
	c.t.Helper()
	m["jsonrpc"] = "2.0"
	b, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c.out, "Content-Length: %d\r\n\r\n%s", len(b), b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) notify(method string, params any) {
	c.t.Helper()
	c.send(map[string]any{"method": method, "params": params})
}

func (c *client) read() answer {
	c.t.Helper()
	header, err := textproto.NewReader(c.in).ReadMIMEHeader()
	if err != nil {
		c.t.Fatal(err)
	}
	n, err := strconv.Atoi(header.Get("Content-Length"))
	if err != nil {
		c.t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.in, b); err != nil {
		c.t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		c.t.Fatalf("%v: %s", err, b)
	}
	if a.Method == "textDocument/publishDiagnostics" {
		c.shown[filepath.Base(a.Params.URI)] = a.Params.Diagnostics
	}
	return a
}

// call waits for the answer of a request.
func (c *client) call(method string, params any) answer {
	c.t.Helper()
	c.id++
	c.send(map[string]any{"id": c.id, "method": method, "params": params})
	for {
		if a := c.read(); a.ID != nil && *a.ID == c.id {
			return a
		}
	}
}

// diagnosed waits until the diagnostics of a file are as wanted.
func (c *client) diagnosed(file string, want ...string) {
	c.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); c.read() {
		var got []string
		for _, d := range c.shown[file] {
			got = append(got, fmt.Sprintf("%s %d:%d", d.Code, d.Range.Start.Line+1, d.Range.Start.Character+1))
		}
		if _, seen := c.shown[file]; seen && fmt.Sprint(got) == fmt.Sprint(want) {
			return
		}
	}
	c.t.Fatalf("diagnostics of %s are %v, want %v", file, c.shown[file], want)
}

func (c *client) uri(file string) string { return "file://" + filepath.Join(c.dir, file) }

func (c *client) open(file, text string) {
	c.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": c.uri(file), "languageId": "hcl", "version": 1, "text": text}})
}

// at is the parameters of a request about the place of a | in a text.
func (c *client) at(file, text string) map[string]any {
	before, _, ok := strings.Cut(text, "|")
	if !ok {
		c.t.Fatal("no |")
	}
	line := strings.Count(before, "\n")
	column := before[strings.LastIndex(before, "\n")+1:]
	return map[string]any{
		"textDocument": map[string]any{"uri": c.uri(file)}, "position": map[string]any{"line": line, "character": len(column)}, // ASCII
		"context": map[string]any{"includeDeclaration": true},
	}
}

func (c *client) stop() {
	c.t.Helper()
	c.call("shutdown", nil)
	c.notify("exit", nil)
	go io.Copy(io.Discard, c.in)
	if err := <-c.ended; err != nil {
		c.t.Error(err)
	}
	c.out.Close()
}

const lab = `variable "rate" {
  type    = number
  default = 50
}

locals {
  calls = var.rate * 2
  text  = "${var.rate} and ${local.calls}"
}

cluster "lab" {
  host "ctl" {
    address    = "127.0.0.1"
    connection = "local"
  }
}

worker "w" {
  on    = cluster.lab.host.ctl
  queue = "fcfs"
}

function "f" {
  builtin = "hello"
  memory  = "64MiB"
}

load "l" {
  target   = worker.w
  call     = function.f
  warmup   = "1s"
  duration = "60s"

  arrival "poisson" {
    rate = "${local.calls}/s"
  }
}
`

func TestDiagnosticsOnChange(t *testing.T) {
	c := start(t)
	defer c.stop()
	c.open("a.ainur.hcl", strings.Replace(lab, "duration", "duraton", 1))
	c.diagnosed("a.ainur.hcl", "AIN1102 32:3")
	c.notify("textDocument/didChange", map[string]any{
		"textDocument":   map[string]any{"uri": c.uri("a.ainur.hcl"), "version": 2},
		"contentChanges": []any{map[string]any{"range": map[string]any{"start": map[string]any{"line": 31, "character": 6}, "end": map[string]any{"line": 31, "character": 9}}, "text": "ation"}},
	})
	c.diagnosed("a.ainur.hcl", "AIN1102 32:3") // the edit makes it another word that is none
	c.notify("textDocument/didChange", map[string]any{
		"textDocument":   map[string]any{"uri": c.uri("a.ainur.hcl"), "version": 3},
		"contentChanges": []any{map[string]any{"text": strings.Replace(lab, "fcfs", "fcsf", 1)}},
	})
	c.diagnosed("a.ainur.hcl", "AIN1201 20:11")
	fix := c.call("textDocument/codeAction", map[string]any{
		"textDocument": map[string]any{"uri": c.uri("a.ainur.hcl")},
		"range":        map[string]any{"start": map[string]any{"line": 19, "character": 0}, "end": map[string]any{"line": 19, "character": 30}},
	})
	if !strings.Contains(string(fix.Result), `"newText":"\"fcfs\""`) {
		t.Errorf("fix is %s", fix.Result)
	}
	c.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": c.uri("a.ainur.hcl")}})
	c.diagnosed("a.ainur.hcl")
}

// Two files of a folder are one module: a mistake shows where it is.
func TestOtherFiles(t *testing.T) {
	c := start(t)
	defer c.stop()
	if err := os.WriteFile(filepath.Join(c.dir, "b.ainur.hcl"), []byte("locals {\n  other = local.cals\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.open("a.ainur.hcl", lab)
	c.diagnosed("b.ainur.hcl", "AIN1301 2:17")
	got := string(c.call("textDocument/rename", with(c.at("a.ainur.hcl", strings.Replace(lab, "  calls =", "  ca|lls =", 1)), "newName", "cals")).Result)
	if strings.Count(got, `"newText":"cals"`) != 3 {
		t.Errorf("rename: %s", got)
	}
}

func with(params map[string]any, key string, value any) map[string]any {
	params[key] = value
	return params
}

func TestHover(t *testing.T) {
	c := start(t)
	defer c.stop()
	c.open("a.ainur.hcl", lab)
	c.diagnosedWarnings("a.ainur.hcl")
	for at, want := range map[string]string{
		"  dura|tion = \"60s\"":  "`duration`: dur, required without `phase`",
		"  wor|ker \"x\"":        "",
		"lo|ad \"l\"":            "Calls to make.",
		"arrival \"pois|son\"":   "exponential gaps",
		"${local.cal|ls}/s":      "100",
		"warm|up   = \"1s\"":     "Unit: a duration",
		"calls = var.ra|te * 2":  "50",
		"call     = function.|f": "Code with its limits",
	} {
		plain := strings.Replace(at, "|", "", 1)
		if !strings.Contains(lab, plain) {
			continue
		}
		got := c.call("textDocument/hover", c.at("a.ainur.hcl", strings.Replace(lab, plain, at, 1)))
		if got.Error != nil || !strings.Contains(string(got.Result), strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: %s %v, want %s", at, got.Result, got.Error, want)
		}
	}
}

// diagnosedWarnings waits until a file has been checked.
func (c *client) diagnosedWarnings(file string) {
	for c.shown[file] == nil {
		c.read()
	}
}

func TestCompletion(t *testing.T) {
	c := start(t)
	defer c.stop()
	c.open("a.ainur.hcl", lab)
	c.diagnosedWarnings("a.ainur.hcl")
	for i, tt := range []struct{ from, to, want, not string }{
		{"  queue = \"fcfs\"\n", "  queue = \"fcfs\"\n  ke|\n", "keepalive", "queue"},
		{"  queue = \"fcfs\"", "  queue = \"|\"", "eedf", "keepalive"},
		{"load \"l\" {", "wor|\nload \"l\" {", "worker", "duration"},
		{"arrival \"poisson\" {", "arrival \"|\" {", "closed", "rate"},
		{"target   = worker.w\n", "target   = worker.|\n", "worker.w", "function.f"},
		{"on    = cluster.lab.host.ctl\n", "on    = cluster.lab.host.|\n", "cluster.lab.host.ctl", "worker.w"},
		{"calls = var.rate * 2", "calls = var.|", "var.rate", "local.calls"},
		{"calls = var.rate * 2", "calls = sec|", "seconds(", "var.rate"},
		{"  builtin = \"hello\"", "  builtin = \"|\"", "sleep", "eedf"},
	} {
		marked := strings.Replace(lab, tt.from, tt.to, 1)
		file := fmt.Sprintf("c%d.ainur.hcl", i)
		c.open(file, strings.Replace(marked, "|", "", 1))
		got := c.call("textDocument/completion", c.at(file, marked))
		var items []struct{ Label string }
		if got.Error != nil || json.Unmarshal(got.Result, &items) != nil {
			t.Fatalf("%s: %v", tt.to, got.Error)
		}
		labels := map[string]bool{}
		for _, item := range items {
			labels[item.Label] = true
		}
		if !labels[tt.want] || labels[tt.not] {
			t.Errorf("%q: %v, want %s and not %s", tt.to, items, tt.want, tt.not)
		}
		c.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": c.uri(file)}})
	}
}

func TestDefinitionAndRename(t *testing.T) {
	c := start(t)
	defer c.stop()
	c.open("a.ainur.hcl", lab)
	for at, line := range map[string]int{"var.ra|te * 2": 0, "${local.cal|ls}/s": 6, "worker.|w\n": 17, "host.ct|l\n": 11, "function.|f\n": 22} {
		got := c.call("textDocument/definition", c.at("a.ainur.hcl", strings.Replace(lab, strings.Replace(at, "|", "", 1), at, 1)))
		var list []struct {
			Range struct{ Start struct{ Line int } }
		}
		if got.Error != nil || json.Unmarshal(got.Result, &list) != nil || len(list) != 1 || list[0].Range.Start.Line != line {
			t.Errorf("%s: %s %v, want line %d", at, got.Result, got.Error, line)
		}
	}
	got := c.call("textDocument/rename", with(c.at("a.ainur.hcl", strings.Replace(lab, "var.rate *", "var.ra|te *", 1)), "newName", "per_second"))
	if got.Error != nil || strings.Count(string(got.Result), `"newText":"per_second"`) != 3 {
		t.Errorf("rename: %s %v", got.Result, got.Error)
	}
	for name, at := range map[string]string{"two words": "var.ra|te * 2", "x": "worker.|w\n", "calls": "  te|xt  ="} {
		got := c.call("textDocument/rename", with(c.at("a.ainur.hcl", strings.Replace(lab, strings.Replace(at, "|", "", 1), at, 1)), "newName", name))
		if got.Error == nil {
			t.Errorf("rename to %q: %s", name, got.Result)
		}
	}
	if got := c.call("textDocument/references", c.at("a.ainur.hcl", strings.Replace(lab, "var.rate *", "var.ra|te *", 1))); strings.Count(string(got.Result), `"uri"`) != 3 {
		t.Errorf("references: %s", got.Result)
	}
}

func TestFormattingAndSymbols(t *testing.T) {
	c := start(t)
	defer c.stop()
	c.open("a.ainur.hcl", "locals {\na = 1\n}\n")
	doc := map[string]any{"textDocument": map[string]any{"uri": c.uri("a.ainur.hcl")}}
	if got := c.call("textDocument/formatting", doc); !strings.Contains(string(got.Result), `"newText":"locals {\n  a = 1\n}\n"`) {
		t.Errorf("%s", got.Result)
	}
	if got := c.call("textDocument/documentSymbol", doc); !strings.Contains(string(got.Result), `"name":"local.a"`) {
		t.Errorf("%s", got.Result)
	}
}

func TestProtocolMistakes(t *testing.T) {
	c := start(t)
	if got := c.call("textDocument/nothing", map[string]any{}); got.Error == nil || got.Error.Code != -32601 {
		t.Errorf("%v", got.Error)
	}
	if got := c.call("textDocument/hover", map[string]any{"textDocument": map[string]any{"uri": "file:///gone"}}); got.Error == nil || got.Error.Code != -32602 {
		t.Errorf("%v", got.Error)
	}
	c.notify("$/cancelRequest", map[string]any{"id": 1})
	c.notify("anything", []int{1})
	fmt.Fprint(c.out, "Content-Length: 3\r\n\r\n{x}")
	if got := c.read(); got.Error == nil || got.Error.Code != -32700 {
		t.Errorf("%v", got.Error)
	}
	c.notify("exit", nil)
	if err := <-c.ended; !errors.Is(err, lsp.ErrNoShutdown) {
		t.Errorf("exit without shutdown: %v", err)
	}
	c.out.Close()
}

// No text, place or method makes the server fall over.
func FuzzServer(f *testing.F) {
	methods := []string{"hover", "completion", "definition", "references", "prepareRename", "rename", "documentSymbol", "formatting", "codeAction"}
	f.Add(lab, 3, 4, 0)
	f.Add("load \"l\" {\n  arrival \"", 1, 11, 1)
	f.Add("a = \"${b.\U0001F600", 0, 9, 2)
	f.Fuzz(func(t *testing.T, text string, line, column, method int) {
		c := start(t)
		c.open("a.ainur.hcl", text)
		for _, m := range []string{methods[abs(method)%len(methods)], "documentSymbol"} {
			got := c.call("textDocument/"+m, map[string]any{
				"textDocument": map[string]any{"uri": c.uri("a.ainur.hcl")}, "position": map[string]any{"line": line % 1000, "character": column % 1000},
				"range": map[string]any{"start": map[string]any{"line": 0, "character": 0}, "end": map[string]any{"line": line % 1000, "character": column % 1000}}, "newName": "other",
			})
			if got.Error != nil && strings.Contains(got.Error.Message, "goroutine") {
				t.Fatal(got.Error.Message)
			}
		}
		c.notify("textDocument/didChange", map[string]any{
			"textDocument": map[string]any{"uri": c.uri("a.ainur.hcl"), "version": 2},
			"contentChanges": []any{map[string]any{
				"range": map[string]any{"start": map[string]any{"line": line % 100, "character": column % 100}, "end": map[string]any{"line": column % 100, "character": 0}}, "text": text,
			}},
		})
		c.stop()
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// What is no message ends the server with an error, or is answered; it never hangs.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("Content-Length: 2\r\n\r\n{}"))
	f.Add([]byte("Content-Length: 99999999999999999999\r\n\r\n"))
	f.Add([]byte("X: y\r\n\r\n"))
	f.Fuzz(func(_ *testing.T, stream []byte) {
		_ = lsp.Serve(context.Background(), bytes.NewReader(stream), io.Discard, options()) // whatever it says
	})
}
