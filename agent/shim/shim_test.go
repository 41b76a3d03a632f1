package shim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/agent/image"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mono"
)

func TestMain(m *testing.M) {
	shim.Builtin()
	os.Exit(m.Run())
}

// process is a function that was started, without any isolation.
type process struct {
	*testing.T
	conn   *wire.Conn
	socket net.Conn
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
	calls  uint64
}

// within bounds what a test waits for.
const within = 20 * time.Second

// start starts f over a socket pair.
func start(t *testing.T, f spec.Function, code string) *process {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer theirs.Close()
	defer ours.Close()
	socket, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, f, code, func(cmd *exec.Cmd) net.Conn {
		cmd.Env = append(cmd.Env, wire.FD+"=3")
		cmd.ExtraFiles = []*os.File{theirs}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return socket
	})
}

func launch(t *testing.T, f spec.Function, code string, connect func(*exec.Cmd) net.Conn) *process {
	t.Helper()
	argv, env, err := shim.Command(f, code, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{T: t, cmd: exec.Command(argv[0], argv[1:]...)}
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "HOME="+t.TempDir())
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = time.Second
	p.socket = connect(p.cmd)
	if err := p.socket.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	p.conn = wire.NewConn(p.socket)
	t.Cleanup(func() {
		p.socket.Close()
		kill := time.AfterFunc(within, func() { _ = p.cmd.Process.Kill() })
		_ = p.cmd.Wait() // a second time is an error
		if !kill.Stop() {
			t.Error("it did not end with the stream")
		}
	})
	return p
}

func (p *process) next() wire.Frame {
	p.Helper()
	frame, err := p.conn.Read()
	if err != nil {
		p.Fatalf("%v; standard error: %s", err, p.ended())
	}
	return frame
}

// ended waits for the end and returns standard error.
func (p *process) ended() string {
	_ = p.cmd.Wait() // how is in ProcessState
	return p.stderr.String()
}

func (p *process) ready() *process {
	p.Helper()
	if frame := p.next(); frame.Type != wire.Ready {
		p.Fatalf("frame %d %q, want ready", frame.Type, frame.Payload)
	}
	return p
}

// send writes an invocation.
func (p *process) send(args string) {
	p.Helper()
	p.calls++
	if err := p.conn.Write(wire.Invoke, p.calls, []byte(args)); err != nil {
		p.Fatal(err)
	}
}

// invoke checks that the answer has a type and contains want; it returns how long user code ran.
func (p *process) invoke(args string, kind wire.Type, want string) time.Duration {
	p.Helper()
	before := mono.Now()
	p.send(args)
	frame := p.next()
	start, end, data, err := wire.SplitTimes(frame.Payload)
	if err != nil || frame.ID != p.calls || frame.Type != kind || !strings.Contains(string(data), want) {
		p.Fatalf("%.80s: frame %d of %d, %.2000s, %v, want frame %d of %d with %s", args, frame.Type, frame.ID, data, err, kind, p.calls, want)
	}
	if slack := time.Millisecond; time.Duration(start) < before-slack || end < start || time.Duration(end) > mono.Now()+slack {
		p.Errorf("ran from %v to %v, called from %v to %v", time.Duration(start), time.Duration(end), before, mono.Now())
	}
	return time.Duration(end - start)
}

func TestBuiltins(t *testing.T) {
	for name, calls := range map[string][]struct {
		args string
		kind wire.Type
		want string
	}{
		"hello": {{`{}`, wire.Result, `{"hello":"world"}`}, {`{"any":"thing"}`, wire.Result, `{"hello":"world"}`}},
		"busy":  {{`{"ms":2.5}`, wire.Result, `{"busy_ms":2.5}`}, {`{"ms":0}`, wire.Result, `{"busy_ms":0}`}, {`{}`, wire.UserError, `"ms" must be a number from 0`}},
		"sleep": {{`{"ms":1}`, wire.Result, `{"slept_ms":1}`}, {`{"ms":-1}`, wire.UserError, `the arguments are {"ms":-1}`}, {`[]`, wire.UserError, "no JSON object"}},
		"memory": {
			{`{"mb":8}`, wire.Result, `{"touched_mb":8}`},
			{`{"mb":0}`, wire.Result, `{"touched_mb":0}`},
			{`{"mb":"8"}`, wire.UserError, `"mb" must be a number`},
			{`{"mb":1e300}`, wire.UserError, `from 0 to`},
			{`{"mb":1e9}`, wire.UserError, "cannot allocate memory"},
			{`{"mb":1}`, wire.Result, `{"touched_mb":1}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, spec.Function{Builtin: name}, "").ready()
			for _, call := range calls {
				p.invoke(call.args, call.kind, call.want)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		p := start(t, spec.Function{Builtin: "idle"}, "")
		if frame, err := p.conn.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("frame %v, %v", frame, err)
		}
		if got, want := p.ended(), "ainur: no builtin function \"idle\"; there are hello, busy, sleep, memory\n"; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	})
}

// busy uses CPU time, sleep wall time, and memory gives back what it took.
func TestBuiltinsUse(t *testing.T) {
	cpu := func(p *process) time.Duration {
		p.socket.Close()
		p.ended()
		return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	}
	busy, sleep := start(t, spec.Function{Builtin: "busy"}, "").ready(), start(t, spec.Function{Builtin: "sleep"}, "").ready()
	if took := busy.invoke(`{"ms":200}`, wire.Result, ""); took < 200*time.Millisecond {
		t.Errorf("busy took %v for 200 ms of CPU time", took)
	}
	if took := sleep.invoke(`{"ms":200}`, wire.Result, ""); took < 200*time.Millisecond {
		t.Errorf("sleep took %v for 200 ms", took)
	}
	if used := cpu(busy); used < 200*time.Millisecond || used > 400*time.Millisecond {
		t.Errorf("busy used %v of CPU time for 200 ms", used)
	}
	if used := cpu(sleep); used > 150*time.Millisecond {
		t.Errorf("sleep used %v of CPU time", used)
	}
	memory := start(t, spec.Function{Builtin: "memory"}, "").ready()
	before := peak(t, memory)
	for range 3 {
		memory.invoke(`{"mb":64}`, wire.Result, "")
	}
	if grown := peak(t, memory) - before; grown < 63<<10 || grown > 80<<10 {
		t.Errorf("three calls for 64 MiB had %d KiB at a time", grown)
	}
}

// peak is the most memory that p had, in KiB.
func peak(t *testing.T, p *process) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// python starts a function with these files.
func python(t *testing.T, files map[string]string) *process {
	t.Helper()
	testenv.Require(t, testenv.Python)
	return start(t, spec.Function{Runtime: "python3"}, write(t, files))
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPython(t *testing.T) {
	t.Parallel()
	p := python(t, map[string]string{
		"data.txt":      "beside",
		"lib/helper.py": "def help(): return open('data.txt').read()\n",
		"main.py": `
import os, sys
from lib import helper
calls = 0

class Odd(Exception):
    def __str__(self): return "\ud800 odd"

def main(args):
    global calls
    calls += 1
    print("printed", calls)
    do = args.get("do")
    if do == "raise": raise ValueError("by design")
    if do == "chain":
        try: {}["key"]
        except KeyError as e: raise Odd() from e
    if do == "set": return {1}
    if do == "nan": return float("nan")
    if do == "loop":
        loop = []; loop.append(loop); return loop
    if do == "large": return "x" * (17 << 20)
    if do == "say": raise ValueError("é" * 9000)
    if do == "recurse": return deep()
    if do == "see": return [helper.help(), sys.argv, sys.path[0] == os.getcwd(), [n for n in os.environ if n in ("AINUR_FD", "AINUR_SOCKET")]]
    if do == "inherit": return os.get_inheritable(3)
    if do == "size": return len(args["x"])
    return calls

def deep(): return deep()
`,
	}).ready()
	folder := p.cmd.Env[0][len("AINUR_CODE="):]
	p.invoke(`{}`, wire.Result, "1")
	p.invoke(`{}`, wire.Result, "2") // the same process
	p.invoke(`{"do":"raise"}`, wire.UserError, "Traceback (most recent call last):\n  File \""+folder+"/main.py\", line 14, in main\n")
	p.invoke(`{"do":"raise"}`, wire.UserError, "ValueError: by design")
	p.invoke(`{"do":"chain"}`, wire.UserError, "KeyError: 'key'")
	p.invoke(`{"do":"chain"}`, wire.UserError, "main.Odd: ? odd")
	p.invoke(`{"do":"set"}`, wire.UserError, "TypeError: what main returned is not JSON: Object of type set is not JSON serializable")
	p.invoke(`{"do":"nan"}`, wire.UserError, "not JSON: Out of range float")
	p.invoke(`{"do":"loop"}`, wire.UserError, "not JSON: Circular reference")
	p.invoke(`{"do":"large"}`, wire.UserError, "what main returned has 17825794 bytes, over 16 MiB")
	p.invoke(`{"do":"say"}`, wire.UserError, "...\né")
	p.invoke(`{"do":"recurse"}`, wire.UserError, "RecursionError")
	p.invoke(`{"do":"see"}`, wire.Result, `["beside",["`+folder+`/main.py"],true,[]]`)
	p.invoke(`{"do":"inherit"}`, wire.Result, `false`)
	p.invoke(`{"do":"size","x":"`+strings.Repeat("x", 5<<20)+`"}`, wire.Result, "5242880")
	p.invoke(`{"do":`, wire.UserError, "JSONDecodeError")
	p.invoke(`{}`, wire.Result, "16") // it is still the same process
	p.socket.Close()
	if said := p.ended(); said != "" || !p.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v and said %q", p.cmd.ProcessState, said)
	}
	if !strings.HasPrefix(p.stdout.String(), "printed 1\nprinted 2\n") {
		t.Errorf("it printed %.200q", p.stdout.String())
	}
}

func TestPythonStartErrors(t *testing.T) {
	for name, tt := range map[string]struct{ source, want string }{
		"import":  {"import nothing_like_it\n", "line 1, in <module>"},
		"syntax":  {"def main(args:\n", "SyntaxError"},
		"exit":    {"import sys\nsys.exit('no licence')\n", "SystemExit: no licence"},
		"no main": {"def handler(args): pass\n", "main.py has no function main(args)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := python(t, map[string]string{"main.py": tt.source})
			if frame := p.next(); frame.Type != wire.StartError || !strings.Contains(string(frame.Payload), tt.want) || strings.Contains(string(frame.Payload), "shim.py") {
				t.Errorf("frame %d %s, want one with %q and not of the shim", frame.Type, frame.Payload, tt.want)
			}
			if p.ended(); p.cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("it ended with %v", p.cmd.ProcessState)
			}
		})
	}
}

// Whatever ends the process in a call is seen as its end, with its exit code.
func TestPythonEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		source string
		code   int
	}{
		"sys.exit": {"import sys\ndef main(args): sys.exit(3)\n", 3},
		"nothing":  {"import sys\ndef main(args): sys.exit()\n", 0},
		"words":    {"import sys\ndef main(args): sys.exit('enough')\n", 1},
		"os._exit": {"import os\ndef main(args): os._exit(4)\n", 4},
		"a signal": {"import os\ndef main(args): os.kill(os.getpid(), 9)\n", -1},
		// The thread would keep Python alive.
		"a thread":   {"import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef main(args): raise SystemExit(5)\n", 5},
		"the stream": {"import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef main(args): pass\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := python(t, map[string]string{"main.py": tt.source}).ready()
			if name == "the stream" {
				p.socket.Close()
			} else {
				p.send(`{}`)
				if frame, err := p.conn.Read(); !errors.Is(err, io.EOF) {
					t.Errorf("frame %v, %v", frame, err)
				}
			}
			said := p.ended()
			if p.cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("it ended with %v, want %d", p.cmd.ProcessState, tt.code)
			}
			if name == "words" && !strings.HasSuffix(said, "SystemExit: enough\n") {
				t.Errorf("it said %q", said)
			}
		})
	}
}

// A module of user code may be called like one that printing a traceback needs.
func TestPythonShadows(t *testing.T) {
	p := python(t, map[string]string{"token.py": "own = 'mine'\n", "main.py": "import token\ndef main(args): raise ValueError(token.own)\n"}).ready()
	p.invoke(`{}`, wire.UserError, "ValueError: mine")
	p.invoke(`{}`, wire.UserError, "ValueError: mine")
}

// The same functions find the agent by the path of a Unix socket.
func TestSocketPath(t *testing.T) {
	for name, f := range map[string]spec.Function{"builtin": {Builtin: "hello"}, "python3": {Runtime: "python3"}} {
		t.Run(name, func(t *testing.T) {
			if f.Builtin == "" {
				testenv.Require(t, testenv.Python)
			}
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			code := write(t, map[string]string{"main.py": "def main(args): return {'hello': 'world'}\n"})
			launch(t, f, code, func(cmd *exec.Cmd) net.Conn {
				cmd.Env = append(cmd.Env, wire.Socket+"="+path)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				return conn
			}).ready().invoke(`{}`, wire.Result, `{"hello":"world"}`)
		})
	}
}

// example is the first block of code in docs/functions.md that contains a text.
func example(t *testing.T, language, text string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/functions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(page, -1) {
		if bytes.Contains(block[1], []byte(text)) {
			return string(block[1])
		}
	}
	t.Fatalf("docs/functions.md has no example in %s with %s", language, text)
	return ""
}

// The examples of the documentation, and those of the repository, work as they are.
func TestExamples(t *testing.T) {
	for name, tt := range map[string]struct {
		runtime string
		need    testenv.Need
		source  func(t *testing.T) string
		args    string
		kind    wire.Type
		want    string
	}{
		"Python": {"python3", testenv.Python, func(t *testing.T) string {
			return write(t, map[string]string{"main.py": example(t, "python", "def main")})
		}, `{"name":"you"}`, wire.Result, `{"greeting":"Hello, you"}`},
		"Go": {"go", testenv.Go, func(t *testing.T) string {
			return write(t, map[string]string{"main.go": example(t, "go", "fn.Serve")})
		}, `{"name":"you"}`, wire.Result, `{"hello":"you"}`},
		"protocol": {"exec", testenv.Python, func(t *testing.T) string {
			return write(t, map[string]string{"function": example(t, "python", "AINUR_FD")})
		}, `{"numbers":[1,2,3]}`, wire.Result, `{"sum": 6}`},
		"protocol, user error": {"exec", testenv.Python, func(t *testing.T) string {
			return write(t, map[string]string{"function": example(t, "python", "AINUR_FD")})
		}, `{}`, wire.UserError, `KeyError('numbers')`},
		"hello-py": {"python3", testenv.Python, func(*testing.T) string { return "../../examples/functions/hello-py" }, `{}`, wire.Result, "Hello, world, from Python"},
		"hello-go": {"go", testenv.Go, func(*testing.T) string { return "../../examples/functions/hello-go" }, `{}`, wire.Result, "Hello, world, from Go"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, tt.need)
			f := spec.Function{Name: "f", Runtime: tt.runtime, Source: tt.source(t)}
			staged, _, err := image.Stage(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			code := filepath.Join(t.TempDir(), "code")
			if err := image.Unpack(staged, code); err != nil {
				t.Fatal(err)
			}
			start(t, f, code).ready().invoke(tt.args, tt.kind, tt.want)
		})
	}
}

func TestCommand(t *testing.T) {
	if _, _, err := shim.Command(spec.Function{Runtime: "cobol"}, "", ""); err == nil || err.Error() != `runtime "cobol" is unknown` {
		t.Errorf("error is %v", err)
	}
	argv, env, err := shim.Command(spec.Function{Runtime: "exec"}, "/code", "")
	if err != nil || len(argv) != 1 || argv[0] != "/code/function" || len(env) != 1 || env[0] != "AINUR_CODE=/code" {
		t.Errorf("%q, %q, %v", argv, env, err)
	}
	testenv.Require(t, testenv.Python)
	dir := t.TempDir()
	path := filepath.Join(dir, "shim.py")
	var want []byte
	for _, old := range []string{"", "of an older ainur"} {
		if old != "" {
			if err := os.WriteFile(path, []byte(old), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := shim.Command(spec.Function{Runtime: "python3"}, "/code", dir); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if want == nil {
			want = got
		}
		if err != nil || len(got) == 0 || !bytes.Equal(got, want) {
			t.Errorf("over %q the shim is %.40q, %v", old, got, err)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v is there, %v", files, err)
	}
}
