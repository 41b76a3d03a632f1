// Package sandboxtest is what every kind of isolation must do, however badly
// functions behave.
package sandboxtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// Run checks the isolations that open makes. Functions in Python are skipped, and
// say so, where there is none.
func Run(t *testing.T, open func(*testing.T) sandbox.Isolation) { RunOn(t, "", open) }

// RunOn is Run with functions in Python on an image, by its digest in the store of
// the isolation, rather than on the files of the host.
func RunOn(t *testing.T, image string, open func(*testing.T) sandbox.Isolation) {
	run(t, &suite{image: image}, open)
}

func run(t *testing.T, with *suite, open func(*testing.T) sandbox.Isolation) {
	for name, test := range map[string]func(*suite){
		"invoke": invoke, "user error": userError, "import fails": importFails, "ends at import": endsAtImport,
		"ends in the middle": ends, "never answers": neverAnswers, "never ready": neverReady, "prints 100 MB": prints,
		"eats memory": eats, "result too large": resultTooLarge, "arguments too large": argsTooLarge, "result is no JSON": notJSON, "frame without JSON": notJSONFrame,
		"garbage": garbage, "closes its socket": closesSocket, "leaves a child": leavesChild, "ends before its child": endsBeforeChild, "no executable": noExecutable, "many at once": many,
		"leaves folders": leavesFolders, "dies while idle": diesIdle, "environment": environment, "remove": remove,
		"freeze": freeze, "1 000 in flight": thousand,
	} {
		t.Run(name, func(t *testing.T) {
			test(&suite{T: t, isolation: open(t), image: with.image, kit: with.kit})
		})
	}
}

type suite struct {
	*testing.T
	isolation sandbox.Isolation
	image     string // of functions in Python
	kit       Kit    // nil: builtins and Python
	made      int
}

// python is a function with this main.py.
func (s *suite) python(source string) sandbox.Config {
	s.Helper()
	if s.image == "" && s.kit == nil {
		testenv.Require(s, testenv.Python)
	}
	c := s.code("python3", "main.py", source, 0o644)
	c.Image = s.image
	return c
}

// shell is an executable that does not speak the protocol.
func (s *suite) shell(source string) sandbox.Config {
	s.Helper()
	return s.code("exec", "function", "#!/bin/sh\n"+source, 0o755)
}

func (s *suite) code(runtime, name, source string, mode os.FileMode) sandbox.Config {
	s.Helper()
	if s.kit != nil {
		s.Skip("this isolation runs no processes")
	}
	dir := s.TempDir()
	for d := dir; strings.HasPrefix(d, os.TempDir()+string(filepath.Separator)); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			s.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(source), mode); err != nil {
		s.Fatal(err)
	}
	return sandbox.Config{Function: spec.Function{Name: "f", Runtime: runtime, Memory: 128 * spec.MiB, MilliCPU: 1000}, Code: dir}
}

// Python is a function with this main.py in a new folder.
func Python(t *testing.T, source string) sandbox.Config { return (&suite{T: t}).python(source) }

// Echo is an executable in a new folder that answers null to every invocation
// whose arguments end with a line break: the smallest sandbox there is.
func Echo(t *testing.T) sandbox.Config {
	s := &suite{T: t}
	c := s.shell(readyFrame + `n=0
while read -r x <&3; do
	n=$((n + 1))
	printf '\000\000\000\024\004\000\000\000\000\000\000\000\000\000\000'"\\$(printf %o $n)"'%016dnull' 0 >&3
done
`)
	c.Function.Memory = 32 * spec.MiB
	return c
}

func (s *suite) context(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), d)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) create(c sandbox.Config) (sandbox.Sandbox, error) {
	s.made++
	c.ID = fmt.Sprintf("f-%d", s.made)
	return s.isolation.Create(s.context(within), c)
}

func (s *suite) must(c sandbox.Config) sandbox.Sandbox {
	s.Helper()
	s.made++
	c.ID = fmt.Sprintf("f-%d", s.made)
	return Must(s, s.isolation, c)
}

// within is how long a sandbox may take to start, and an invocation to end: under the
// race detector on a busy machine, compiling a WebAssembly module takes half a minute.
const within = 2 * time.Minute

// Must makes a sandbox that is removed at the end of the test.
func Must(t testing.TB, i sandbox.Isolation, c sandbox.Config) sandbox.Sandbox {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	b, err := i.Create(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Remove(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (s *suite) invoke(b sandbox.Sandbox, args string) (sandbox.Reply, error) {
	return b.Invoke(s.context(within), []byte(args))
}

func (s *suite) fails(err error, kind sandbox.Kind, words ...string) {
	s.Helper()
	Fails(s, err, kind, words...)
}

// Fails checks the kind of an error and what it says.
func Fails(t testing.TB, err error, kind sandbox.Kind, words ...string) {
	t.Helper()
	var e *sandbox.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error is %v, want %s", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("%q does not say %q", e.Message, word)
		}
	}
	if !utf8.ValidString(e.Message) { // else it would not travel by gRPC
		t.Errorf("%q is no UTF-8", e.Message)
	}
	if len(e.Message) > 16<<10 {
		t.Errorf("the message has %d bytes", len(e.Message))
	}
}

func (s *suite) works(b sandbox.Sandbox, args, want string) {
	s.Helper()
	r, err := s.invoke(b, args)
	if err != nil {
		s.Fatal(err)
	}
	if string(r.Result) != want || !json.Valid(r.Result) {
		s.Errorf("result %s, want %s", r.Result, want)
	}
	if r.ExecStart < 0 || r.ExecEnd < r.ExecStart {
		s.Errorf("ran from %v to %v", r.ExecStart, r.ExecEnd)
	}
}

func (s *suite) endsSoon(b sandbox.Sandbox) {
	s.Helper()
	select {
	case <-b.Done():
	case <-time.After(5 * time.Second):
		s.Error("it has not ended")
	}
}

func invoke(s *suite) {
	b := s.must(s.builtin("hello"))
	for range 3 {
		s.works(b, `{}`, `{"hello":"world"}`)
	}
	if m := b.Memory(); m == 0 && s.kit == nil || m > 64<<20 {
		s.Errorf("it uses %d bytes", m)
	}
	r, err := s.invoke(s.must(s.builtin("sleep")), `{"ms":30}`)
	if err != nil || r.ExecEnd-r.ExecStart < 30*time.Millisecond {
		s.Errorf("slept from %v to %v: %v", r.ExecStart, r.ExecEnd, err)
	}
	s.works(s.must(s.behaves("adds one to n")), `{"n":41}`, `{"n":42}`)
}

func userError(s *suite) {
	b := s.must(s.behaves("raises when it has args"))
	r, err := s.invoke(b, `{"a":1}`)
	s.fails(err, sandbox.UserError, "by design")
	if s.kit == nil {
		s.fails(err, sandbox.UserError, "ValueError", "main.py", "line 2")
	}
	if !sandbox.Usable(err) || r.ExecEnd == 0 {
		s.Errorf("reply %+v, usable %v", r, sandbox.Usable(err))
	}
	s.works(b, `{}`, `1`)
	if s.kit == nil {
		_, err = s.invoke(s.must(s.builtin("busy")), `{}`)
		s.fails(err, sandbox.UserError, `"ms" must be a number`)
	}
}

func importFails(s *suite) {
	_, err := s.create(s.python("import nothing_like_it\n"))
	s.fails(err, sandbox.StartFailed, "ModuleNotFoundError", "nothing_like_it")
	_, err = s.create(s.python("x = 1\n"))
	s.fails(err, sandbox.StartFailed, "no function main")
	_, err = s.create(s.python("def main(args:\n"))
	s.fails(err, sandbox.StartFailed, "SyntaxError")
}

func endsAtImport(s *suite) {
	_, err := s.create(s.shell("printf '\\377 last words' >&2\nexit 7\n"))
	s.fails(err, sandbox.StartFailed, "exit status 7", "last words")
}

func ends(s *suite) {
	b := s.must(s.behaves("ends with 9"))
	_, err := s.invoke(b, `{}`)
	s.fails(err, sandbox.Crashed, "exit status 9", "last words")
	if sandbox.Usable(err) {
		s.Error("it is usable")
	}
	s.endsSoon(b)
	if _, err := s.invoke(b, `{}`); err == nil {
		s.Error("it answered after its end")
	}
}

var errStop = errors.New("stop")

func neverAnswers(s *suite) {
	b := s.must(s.builtin("sleep"))
	ctx, cancel := context.WithTimeoutCause(s.Context(), 100*time.Millisecond, errStop)
	defer cancel()
	began := time.Now()
	_, err := b.Invoke(ctx, []byte(`{"ms":600000}`))
	if !errors.Is(err, errStop) || sandbox.Usable(err) {
		s.Errorf("error is %v, want the cause", err)
	}
	if err := b.Remove(); err != nil {
		s.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		s.Errorf("took %v", took)
	}
}

func neverReady(s *suite) {
	ctx, cancel := context.WithTimeoutCause(s.Context(), 200*time.Millisecond, errStop)
	defer cancel()
	c := s.shell("sleep 600\n")
	c.ID = "never"
	_, err := s.isolation.Create(ctx, c)
	s.fails(err, sandbox.StartFailed, errStop.Error())
}

func prints(s *suite) {
	c := s.behaves("prints 100 MB")
	var seen, largest atomic.Int64
	c.Stdout = func(p []byte) {
		seen.Add(int64(len(p)))
		largest.Store(max(largest.Load(), int64(len(p))))
	}
	c.Stderr = c.Stdout // where output is the result, functions print there
	s.works(s.must(c), `{}`, `1`)
	for deadline := time.Now().Add(5 * time.Second); seen.Load() < 100_000_000 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if seen.Load() != 100_000_000 || largest.Load() > 1<<20 {
		s.Errorf("%d bytes in pieces of up to %d", seen.Load(), largest.Load())
	}
}

func eats(s *suite) {
	b := s.must(s.builtin("memory"))
	_, err := s.invoke(b, `{"mb":2000}`)
	s.fails(err, sandbox.OutOfMemory, "64 MiB")
	s.endsSoon(b)
	s.works(s.must(s.builtin("hello")), `{}`, `{"hello":"world"}`)
}

func resultTooLarge(s *suite) {
	b := s.must(s.behaves("returns n letters"))
	_, err := s.invoke(b, `{"n":17000000}`)
	s.fails(err, sandbox.UserError, "over 16 MiB")
	s.works(b, `{"n":1}`, `"x"`)
}

func argsTooLarge(s *suite) {
	b := s.must(s.builtin("hello"))
	_, err := s.invoke(b, `{"x":"`+strings.Repeat("x", sandbox.MaxPayload)+`"}`)
	s.fails(err, sandbox.TooLarge, "16 MiB")
	s.works(b, `{}`, `{"hello":"world"}`)
}

func notJSON(s *suite) {
	b := s.must(s.python("def main(args):\n    return {1, 2} if args else float('nan')\n"))
	_, err := s.invoke(b, `{"a":1}`)
	s.fails(err, sandbox.UserError, "not JSON serializable")
	_, err = s.invoke(b, `{}`)
	s.fails(err, sandbox.UserError, "Out of range float")
}

// An executable may say anything in a frame that is well-formed.
func notJSONFrame(s *suite) {
	result := `printf '\000\000\000\022\004\000\000\000\000\000\000\000\000\000\000\001%016dno' 0 >&3` + "\n"
	b := s.must(s.shell(readyFrame + "read x <&3\n" + result + "read x <&3\n"))
	_, err := s.invoke(b, "{}\n")
	s.fails(err, sandbox.UserError, `not JSON: "no"`)
}

// readyFrame is the line of a shell script that says it is ready.
const readyFrame = `printf '\000\000\000\000\001\000\000\000\000\000\000\000\000\000\000\000' >&3` + "\n"

func garbage(s *suite) {
	_, err := s.create(s.shell("echo this is no frame at all >&3\nsleep 600\n"))
	s.fails(err, sandbox.StartFailed)
	b := s.must(s.shell(readyFrame + "read x <&3\necho this is no frame at all >&3\nsleep 600\n"))
	_, err = s.invoke(b, "{}\n")
	s.fails(err, sandbox.Protocol)
}

func closesSocket(s *suite) {
	b := s.must(s.python("import os\ndef main(args):\n    os.closerange(3, 64)\n    import time; time.sleep(600)\n"))
	_, err := s.invoke(b, `{}`)
	s.fails(err, sandbox.Crashed)
}

func leavesChild(s *suite) {
	b := s.must(s.python("import subprocess, sys\ndef main(args):\n    return subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True).pid > 0\n"))
	s.works(b, `{}`, `true`)
	began := time.Now()
	if err := b.Remove(); err != nil {
		s.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		s.Errorf("removal took %v", took)
	}
}

// The child has a session of its own and the socket, and goes on.
func endsBeforeChild(s *suite) {
	b := s.must(s.python("import os, time\ndef main(args):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)\n    os._exit(4)\n"))
	began := time.Now()
	_, err := s.invoke(b, `{}`)
	s.fails(err, sandbox.Crashed, "exit status 4")
	if took := time.Since(began); took > 5*time.Second {
		s.Errorf("it was noticed after %v", took)
	}
}

func noExecutable(s *suite) {
	_, err := s.create(s.code("exec", "function", "echo hello\n", 0o755))
	s.fails(err, sandbox.StartFailed, "begins with \"#!\"")
	_, err = s.create(s.code("exec", "function", "#!/no/such/interpreter\n", 0o755))
	s.fails(err, sandbox.StartFailed, "interpreter")
}

func many(s *suite) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			c := s.builtin("hello")
			c.ID = fmt.Sprintf("many-%d", i)
			b, err := s.isolation.Create(s.Context(), c)
			if err != nil {
				s.Error(err)
				return
			}
			if _, err := s.invoke(b, `{}`); err != nil {
				s.Error(err)
			}
			if err := b.Remove(); err != nil {
				s.Error(err)
			}
		})
	}
	group.Wait()
}

// freeze stops what runs between invocations, keeps its memory, and lets it go on.
func freeze(s *suite) {
	b := s.must(s.behaves("counts all the time"))
	for range 3 {
		if err := b.Freeze(); err != nil {
			s.Fatal(err)
		}
		used := b.CPU()
		time.Sleep(100 * time.Millisecond)
		if more := b.CPU() - used; used >= 0 && more > 5*time.Millisecond {
			s.Errorf("it used %v of processor time while it was frozen", more)
		}
		if err := b.Thaw(); err != nil {
			s.Fatal(err)
		}
		if _, err := s.invoke(b, `{}`); err != nil {
			s.Fatal(err)
		}
	}
	if err := b.Freeze(); err != nil { // a frozen one can be removed
		s.Fatal(err)
	}
	if err := b.Remove(); err != nil {
		s.Error(err)
	}
	s.endsSoon(b)
}

// thousand keeps 1 000 invocations waiting for a few sandboxes: none is lost, and
// each has its own answer.
func thousand(s *suite) {
	const inFlight, sandboxes = 1000, 4
	idle := make(chan sandbox.Sandbox, sandboxes)
	for range sandboxes {
		idle <- s.must(s.behaves("returns n"))
	}
	var group sync.WaitGroup
	for n := range inFlight {
		group.Go(func() {
			b := <-idle
			r, err := s.invoke(b, fmt.Sprintf(`{"n":%d}`, n))
			idle <- b
			if err != nil || string(r.Result) != strconv.Itoa(n) {
				s.Errorf("invocation %d: %s, %v", n, r.Result, err)
			}
		})
	}
	group.Wait()
}

// The folders are nested deeper than this process may have descriptors, one cannot be
// read, and one has a name that the next to be made may want.
func leavesFolders(s *suite) {
	b := s.must(s.python(`import os
def main(args):
    os.chdir(os.environ["TMPDIR"])
    os.makedirs(".1/.2/.3")
    os.mkdir("closed", 0)
    for n in range(args["deep"]):
        os.mkdir("d")
        os.chdir("d")
    open("file", "w").close()
    os.symlink("/usr", "link")
    os.mkdir("closed", 0)
    return 1
`))
	s.works(b, `{"deep":1500}`, `1`)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		s.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1000, Max: limit.Max}); err != nil {
		s.Fatal(err)
	}
	err := b.Remove()
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)); err != nil {
		s.Error(err)
	}
}

func diesIdle(s *suite) {
	b := s.must(s.python("import os, threading\ndef main(args):\n    threading.Timer(0.1, lambda: os._exit(1)).start()\n    return 1\n"))
	s.works(b, `{}`, `1`)
	s.endsSoon(b)
}

func environment(s *suite) {
	c := s.behaves("shows its environment")
	if c.Function.Env == nil {
		c.Function.Env = map[string]string{}
	}
	c.Function.Env["MINE"] = "yes"
	s.works(s.must(c), `{}`, `["yes",null,true]`)
}

func remove(s *suite) {
	b := s.must(s.builtin("hello"))
	for range 2 {
		if err := b.Remove(); err != nil {
			s.Error(err)
		}
	}
	s.endsSoon(b)
	if _, err := s.invoke(b, `{}`); err == nil {
		s.Error("it answered after its removal")
	}
}
