package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/sandbox/wasm"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// scratch is for what all tests share: programs, and what was compiled of them.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "ainur-wasm-"); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		panic(err)
	}
	os.Exit(code)
}

func open(t testing.TB) *wasm.Isolation {
	t.Helper()
	i, err := wasm.New(wasm.Options{CacheDir: filepath.Join(scratch, "cache"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

var builds sync.Map // name and mode -> func() error

// built is the folder of a Go program in testdata, as a command or a library.
func built(t testing.TB, name, mode string) string {
	t.Helper()
	testenv.Require(t, testenv.Go)
	dir := filepath.Join(scratch, name+mode)
	once, _ := builds.LoadOrStore(dir, sync.OnceValue(func() error {
		cmd := exec.Command("go", "build", "-buildmode="+mode, "-o", filepath.Join(dir, wasm.File), "./testdata/"+name)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func config(code string) sandbox.Config {
	return sandbox.Config{ID: "f-1", Code: code, Function: spec.Function{Name: "f", Runtime: "wasm", Memory: 64 * spec.MiB, MilliCPU: 1000}}
}

// file is the folder of a module.
func file(t testing.TB, module []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, wasm.File), module, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func invoke(t testing.TB, b sandbox.Sandbox, args string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := b.Invoke(ctx, []byte(args))
	if r.ExecStart < 0 || r.ExecEnd < r.ExecStart {
		t.Errorf("ran from %v to %v", r.ExecStart, r.ExecEnd)
	}
	return string(r.Result), err
}

func works(t testing.TB, b sandbox.Sandbox, args, want string) {
	t.Helper()
	if got, err := invoke(t, b, args); err != nil || got != want {
		t.Errorf("%s gives %s, %v, want %s", args, got, err, want)
	}
}

// behaving runs a test with the program that behaves as told, in both shapes.
func behaving(t *testing.T, test func(t *testing.T, i *wasm.Isolation, c sandbox.Config, reactor bool)) {
	t.Helper()
	for shape, mode := range map[string]string{"command": "default", "reactor": "c-shared"} {
		t.Run(shape, func(t *testing.T) { test(t, open(t), config(built(t, "behave", mode)), shape == "reactor") })
	}
}

// kit is the functions of the conformance suite as modules of a shape, of which it
// does not have some.
func kit(mode string, lacks ...string) sandboxtest.Kit {
	return func(t *testing.T, behaviour string) (sandbox.Config, bool) {
		c := config(built(t, "behave", mode))
		c.Function.Env = map[string]string{"DO": behaviour}
		if behaviour == "returns n letters" { // which are there several times before they are out
			c.Function.Memory = 256 * spec.MiB
		}
		return c, !slices.Contains(lacks, behaviour)
	}
}

func TestConformance(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	open := func(t *testing.T) sandbox.Isolation { return open(t) }
	t.Run("library", func(t *testing.T) {
		sandboxtest.RunKit(t, kit("c-shared", "counts all the time"), open)
	})
	t.Run("command", func(t *testing.T) { // in which an exit status is a user error
		sandboxtest.RunKit(t, kit("exe", "counts all the time", "ends with 9"), open)
	})
}

func TestInvoke(t *testing.T) {
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, reactor bool) {
		b := sandboxtest.Must(t, i, c)
		works(t, b, `{"do":"count"}`, "1")
		second := "1"
		if reactor {
			second = "2"
		}
		works(t, b, `{"do":"count"}`, second)
		if b.CPU() <= 0 {
			t.Errorf("it has used %v", b.CPU())
		}
		if m := b.Memory(); (m > 0) != reactor || m > 64<<20 {
			t.Errorf("it uses %d bytes between calls", m)
		}
		if err := errors.Join(b.Freeze(), b.Thaw()); err != nil {
			t.Error(err)
		}
		r, err := b.Invoke(t.Context(), []byte(`{"do":"sleep","n":30}`))
		if err != nil || r.ExecEnd-r.ExecStart < 30*time.Millisecond {
			t.Errorf("slept from %v to %v: %v", r.ExecStart, r.ExecEnd, err)
		}
	})
}

// A library in Go.
func TestGreet(t *testing.T) {
	b := sandboxtest.Must(t, open(t), config(built(t, "greet", "c-shared")))
	works(t, b, `{"name":"Manwë"}`, `{"greeting":"Hello, Manwë"}`)
	_, err := invoke(t, b, `{"name":1}`)
	sandboxtest.Fails(t, err, sandbox.UserError, "cannot unmarshal number")
}

func TestUserErrors(t *testing.T) {
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, reactor bool) {
		c.Function.Memory = 256 * spec.MiB
		b := sandboxtest.Must(t, i, c)
		r, err := b.Invoke(t.Context(), []byte(`{"do":"error"}`))
		sandboxtest.Fails(t, err, sandbox.UserError, "by design")
		if r.ExecEnd == 0 {
			t.Error("a user error has no times")
		}
		_, err = invoke(t, b, `{"do":"not JSON"}`)
		sandboxtest.Fails(t, err, sandbox.UserError, `not JSON: "no"`)
		_, err = invoke(t, b, `{"do":"large","n":17000000}`)
		sandboxtest.Fails(t, err, sandbox.UserError, "over 16 MiB")
		_, err = invoke(t, b, `{"x":"`+strings.Repeat("x", sandbox.MaxPayload)+`"}`)
		sandboxtest.Fails(t, err, sandbox.TooLarge, "16 MiB")
		works(t, b, `{"do":"large","n":1}`, `"x"`)
	})
}

// A command that ends badly was used up anyway; a library that does is lost.
func TestEnds(t *testing.T) {
	for do, words := range map[string][]string{`{"do":"panic"}`: {"panic: last words"}, `{"do":"exit","n":9}`: {"exit status 9", "last words"}} {
		behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, reactor bool) {
			b := sandboxtest.Must(t, i, c)
			_, err := invoke(t, b, do)
			if !reactor {
				sandboxtest.Fails(t, err, sandbox.UserError, words...)
				works(t, b, `{"do":"count"}`, "1")
				return
			}
			sandboxtest.Fails(t, err, sandbox.Crashed, words...)
			ended(t, b)
		})
	}
}

func ended(t *testing.T, b sandbox.Sandbox) {
	t.Helper()
	select {
	case <-b.Done():
	default:
		t.Error("it has not ended")
	}
	if _, err := invoke(t, b, `{}`); sandbox.Usable(err) {
		t.Errorf("it answers after its end: %v", err)
	}
}

var errStop = errors.New("stop")

func TestNeverAnswers(t *testing.T) {
	for _, do := range []string{`{"do":"spin"}`, `{"do":"sleep","n":600000}`} {
		behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, _ bool) {
			b := sandboxtest.Must(t, i, c)
			works(t, b, `{"do":"count"}`, "1")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errStop)
			defer cancel()
			began := time.Now()
			if _, err := b.Invoke(ctx, []byte(do)); !errors.Is(err, errStop) {
				t.Errorf("error is %v, want the cause", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			ended(t, b)
		})
	}
}

// A sandbox that is removed in the middle of a call ends it.
func TestRemoveWhileBusy(t *testing.T) {
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, _ bool) {
		b := sandboxtest.Must(t, i, c)
		time.AfterFunc(50*time.Millisecond, func() {
			if err := b.Remove(); err != nil {
				t.Error(err)
			}
		})
		_, err := invoke(t, b, `{"do":"spin"}`)
		sandboxtest.Fails(t, err, sandbox.Crashed, "removed")
	})
}

func TestMemoryLimit(t *testing.T) {
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, _ bool) {
		b := sandboxtest.Must(t, i, c)
		works(t, b, `{"do":"eat","n":20}`, "20")
		_, err := invoke(t, b, `{"do":"eat","n":200}`)
		sandboxtest.Fails(t, err, sandbox.OutOfMemory, "64 MiB")
		ended(t, b)
	})
}

func TestPrints(t *testing.T) {
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, _ bool) {
		var seen, largest atomic.Int64
		c.Stderr = func(p []byte) {
			seen.Add(int64(len(p)))
			largest.Store(max(largest.Load(), int64(len(p))))
		}
		works(t, sandboxtest.Must(t, i, c), `{"do":"print","n":1000}`, "1000")
		if seen.Load() != 100_000_000 || largest.Load() > 1<<20 {
			t.Errorf("%d bytes in pieces of up to %d", seen.Load(), largest.Load())
		}
	})
}

// A module sees its own environment, no file of the host, and the time.
func TestEnvironment(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	behaving(t, func(t *testing.T, i *wasm.Isolation, c sandbox.Config, _ bool) {
		c.Function.Env = map[string]string{"MINE": "yes"}
		works(t, sandboxtest.Must(t, i, c), `{"do":"environment"}`, `[["MINE=yes"],1,true,true]`)
	})
}

func TestStartFails(t *testing.T) {
	for name, tt := range map[string]struct {
		module []byte
		want   string
	}{
		"no module":          {[]byte("#!/bin/sh\n"), "invalid magic number"},
		"cut short":          {library("1")[:40], ""},
		"no shape":           {assemble(1, "", ""), "neither _start, as a program does, nor ainur_invoke"},
		"no alloc":           {assemble(1, "", "", routine{"ainur_invoke", []byte{i32, i32}, []byte{i64}, i64const(0, 0)}), "no ainur_alloc"},
		"other type":         {library("1", routine{"ainur_invoke", []byte{i32}, []byte{i64}, i64const(0, 0)}), "ainur_invoke is (i32) -> (i64), want (i32 i32) -> (i64)"},
		"unknown import":     {assemble(1, "", "gpu", routine{"_start", nil, nil, nil}), "env"},
		"trap at start":      {library("1", routine{"_initialize", nil, nil, []byte{0x00}}), "unreachable"},
		"too much memory":    {assemble(1025, "", "", routine{"_start", nil, nil, nil}), "64 MiB"},
		"endless initialise": {library("1", routine{"_initialize", nil, nil, []byte{0x03, 0x40, 0x0c, 0, 0x0b}}), errStop.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errStop)
			defer cancel()
			_, err := open(t).Create(ctx, config(file(t, tt.module)))
			sandboxtest.Fails(t, err, sandbox.StartFailed, tt.want)
		})
	}
	_, err := open(t).Create(t.Context(), config(t.TempDir()))
	sandboxtest.Fails(t, err, sandbox.StartFailed, "no function.wasm")
}

func TestLibrary(t *testing.T) {
	invokes := func(code []byte) []byte {
		return library("[1]", routine{"ainur_invoke", []byte{i32, i32}, []byte{i64}, code})
	}
	grows := join([]byte{0x41}, []byte{0xff, 0xff, 0x03}, []byte{0x40, 0}) // memory.grow of 65535 pages
	for name, tt := range map[string]struct {
		module []byte
		want   string       // result
		kind   sandbox.Kind // "" for a result
		says   string       // in the error
	}{
		"answers":           {library(`{"a":1}`), `{"a":1}`, "", ""},
		"user error":        {library("by design", routine{"ainur_error", nil, []byte{i32}, []byte{0x41, 1}}), "", sandbox.UserError, "by design"},
		"no user error":     {library("[1]", routine{"ainur_error", nil, []byte{i32}, []byte{0x41, 0}}), "[1]", "", ""},
		"trap":              {invokes([]byte{0x00}), "", sandbox.Crashed, "unreachable"},
		"outside of memory": {invokes(i64const(65536, 1)), "", sandbox.Protocol, "1 bytes at 65536"},
		"alloc gives 0":     {library("1", routine{"ainur_alloc", []byte{i32}, []byte{i32}, []byte{0x41, 0}}), "", sandbox.Protocol, "returned 0"},
		"alloc has no room": {library("1", routine{"ainur_alloc", []byte{i32}, []byte{i32}, []byte{0x41, 0x7f}}), "", sandbox.Protocol, "no room"},
		"alloc without memory": {
			library("1", routine{"ainur_alloc", []byte{i32}, []byte{i32}, join(grows, []byte{0x1a, 0x41, 0})}), "", sandbox.OutOfMemory, "64 MiB",
		},
		"trap without memory": {invokes(join(grows, []byte{0x1a, 0x00})), "", sandbox.OutOfMemory, "64 MiB"},
		"does without memory": {invokes(join(grows, []byte{0x1a}, i64const(16, 3))), "[1]", "", ""},
		"endless stack":       {invokes([]byte{0x41, 0, 0x41, 0, 0x10, 1}), "", sandbox.Crashed, "stack overflow"},
	} {
		t.Run(name, func(t *testing.T) {
			b := sandboxtest.Must(t, open(t), config(file(t, tt.module)))
			if tt.kind == "" {
				works(t, b, `{}`, tt.want)
				works(t, b, `{}`, tt.want)
				return
			}
			_, err := invoke(t, b, `{}`)
			sandboxtest.Fails(t, err, tt.kind, tt.says)
		})
	}
}

// Sandboxes of the same code share the compiled module, and nothing else.
func TestManyAtOnce(t *testing.T) {
	i, code := open(t), built(t, "behave", "c-shared")
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			c := config(code)
			c.ID = fmt.Sprintf("f-%d", n)
			b, err := i.Create(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			works(t, b, `{"do":"count"}`, "1")
			for range 2 {
				if err := b.Remove(); err != nil {
					t.Error(err)
				}
			}
			ended(t, b)
		})
	}
	group.Wait()
}

func TestOtherRuntime(t *testing.T) {
	c := config("")
	c.Function.Runtime = "python3"
	if _, err := open(t).Create(t.Context(), c); err == nil || !strings.Contains(err.Error(), `runtime = "wasm"`) {
		t.Errorf("error is %v", err)
	}
}

func TestNothingIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	mapped := mappings(t)
	t.Run("use", func(t *testing.T) {
		i := open(t)
		for n := range 20 {
			c := config(file(t, library("[1]")))
			c.Function.Memory = 777 * 64 * spec.KiB
			b := sandboxtest.Must(t, i, c)
			works(t, b, `{}`, "[1]")
			if n%2 == 0 {
				if err := b.Remove(); err != nil {
					t.Error(err)
				}
			}
		}
		if removed, err := i.Reclaim(); len(removed) > 0 || err != nil {
			t.Errorf("reclaimed %v, %v", removed, err)
		}
	})
	goleak.VerifyNone(t, before)
	if after := mappings(t); after > mapped+5 {
		t.Errorf("%d mappings before, %d after", mapped, after)
	}
}

// mappings is how many pieces of memory this process has mapped.
func mappings(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}
