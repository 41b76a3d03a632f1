package process_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.uber.org/goleak"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/process"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/agent/shim"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

var opened atomic.Int64

// open is an isolation of which nothing may be left at the end of the test.
func open(t *testing.T) sandbox.Isolation {
	t.Helper()
	return openIn(t, t.TempDir(), fmt.Sprintf("test-%d-%d", os.Getpid(), opened.Add(1)))
}

func openIn(t *testing.T, dir, runID string) *process.Isolation {
	t.Helper()
	return openWith(t, dir, runID, spec.Container{})
}

func openWith(t *testing.T, dir, runID string, container spec.Container) *process.Isolation {
	t.Helper()
	return openStored(t, dir, runID, container, nil)
}

func openStored(t *testing.T, dir, runID string, container spec.Container, store *oci.Store) *process.Isolation {
	t.Helper()
	i, err := process.New(process.Options{Dir: dir, RunID: runID, Container: container, Store: store, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, dir, runID)
	})
	return i
}

func nothingLeft(t *testing.T, dir, runID string) {
	t.Helper()
	if pids := labelled(t, runID); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	for _, pattern := range []string{"/sys/fs/cgroup/ainur/", "/sys/fs/cgroup/*/ainur/"} {
		if left, _ := filepath.Glob(pattern + runID); len(left) > 0 {
			t.Errorf("cgroups %v are left", left)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "sandboxes")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of sandboxes is left: %v", err)
	}
}

// labelled are the processes that carry the run's label.
func labelled(t *testing.T, runID string) (pids []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		env, _ := os.ReadFile(filepath.Join(dir, "environ")) // it may have ended
		if strings.Contains("\x00"+string(env), "\x00AINUR_SANDBOX="+runID+"/") {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

func TestConformance(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, open)
}

// Where nothing is to be had but signals and /proc, all of it holds as well.
func TestConformanceWithoutRights(t *testing.T) {
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation {
		i := openIn(t, t.TempDir(), fmt.Sprintf("bare-%d-%d", os.Getpid(), opened.Add(1)))
		if err := i.Degrade(); err != nil {
			t.Fatal(err)
		}
		return i
	})
}

// A fork of a zygote is a sandbox like any other.
func TestConformanceOfZygotes(t *testing.T) {
	testenv.Require(t, testenv.Root)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	sandboxtest.Run(t, func(t *testing.T) sandbox.Isolation {
		return openWith(t, t.TempDir(), fmt.Sprintf("zygote-%d-%d", os.Getpid(), opened.Add(1)), spec.Container{Zygote: true, Network: "none"})
	})
}

func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("use", func(t *testing.T) {
		i := openIn(t, t.TempDir(), fmt.Sprintf("leak-%d", os.Getpid()))
		b, err := i.Create(t.Context(), hello("hello-1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Invoke(t.Context(), []byte("{}")); err != nil {
			t.Error(err)
		}
		if err := b.Remove(); err != nil {
			t.Error(err)
		}
	})
	goleak.VerifyNone(t, before)
}

func hello(id string) sandbox.Config {
	return sandbox.Config{ID: id, Function: spec.Function{Name: "hello", Builtin: "hello", Memory: 64 * spec.MiB, MilliCPU: 500}}
}

// crashEnv makes this binary an agent that is killed with a sandbox at hand,
// which has no rights where its value begins with "bare".
const crashEnv = "AINUR_TEST_CRASH"

func crash() {
	kind, rest, _ := strings.Cut(os.Getenv(crashEnv), " ")
	runID, dir, _ := strings.Cut(rest, " ")
	i, err := process.New(process.Options{Dir: dir, RunID: runID, Log: slog.New(slog.DiscardHandler)})
	if err == nil && kind == "bare" {
		err = i.Degrade()
	}
	if err == nil {
		_, err = i.Create(context.Background(), sandbox.Config{
			ID: "f-1", Code: dir, Function: spec.Function{Name: "f", Runtime: "exec", Memory: 64 * spec.MiB, MilliCPU: 500},
		})
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
}

// leaver says that it is ready and leaves a process in a session of its own.
const leaver = `#!/bin/sh
setsid sleep 600 &
printf '\000\000\000\000\001\000\000\000\000\000\000\000\000\000\000\000' >&3
sleep 600
`

// What an agent that was killed leaves goes by itself or with Reclaim.
func TestReclaim(t *testing.T) {
	for _, kind := range []string{"full", "bare"} {
		t.Run(kind, func(t *testing.T) {
			dir, runID := t.TempDir(), fmt.Sprintf("crash-%d-%s", os.Getpid(), kind)
			if err := os.WriteFile(filepath.Join(dir, "function"), []byte(leaver), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), strings.Join([]string{crashEnv + "=" + kind, runID, dir}, " "))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fscanln(out, new(string)); err != nil {
				t.Fatal(err)
			}
			if len(labelled(t, runID)) == 0 {
				t.Error("no sandbox carries the label")
			}
			// A sandbox of a run whose id begins with the same text is none of the run's.
			stranger := exec.Command("sleep", "60")
			stranger.Env = append(os.Environ(), "AINUR_SANDBOX="+runID+"0/x/f-1/")
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = stranger.Process.Kill()
				_ = stranger.Wait()
			}()

			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
			i := openIn(t, dir, runID)
			removed, err := i.Reclaim()
			if err != nil {
				t.Error(err)
			}
			all := strings.Join(removed, "\n")
			if kind == "full" && limited(i) && !strings.Contains(all, "cgroup ainur/"+runID) {
				t.Errorf("reclaimed %q, no cgroup", removed)
			}
			if kind == "bare" && !strings.Contains(all, "process ") {
				t.Errorf("reclaimed %q, no process", removed)
			}
			if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("the stranger was harmed: %v", err)
			}
			for deadline := time.Now().Add(5 * time.Second); len(labelled(t, runID)) > 0; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("its sandboxes are still there")
				}
			}
		})
	}
}

// limited reports whether cgroups limit sandboxes here.
func limited(i sandbox.Isolation) bool {
	return !strings.Contains(strings.Join(i.Limitations(), "\n"), "is not limited by a cgroup")
}

// A sandbox gets no more CPU time than it may.
func TestCPULimit(t *testing.T) {
	testenv.Require(t, testenv.Cgroup)
	b := sandboxtest.Must(t, open(t), sandbox.Config{ID: "busy-1", Function: spec.Function{Name: "busy", Builtin: "busy", Memory: 64 * spec.MiB, MilliCPU: 250}})
	began := time.Now()
	if _, err := b.Invoke(t.Context(), []byte(`{"ms":100}`)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("100 ms of CPU time with a quarter of a core took %v", took)
	}
}

// User code has few rights, also where the agent has all.
func TestPrivileges(t *testing.T) {
	testenv.Require(t, testenv.Python)
	const source = `
import os
def main(args):
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [status["NoNewPrivs"].strip(), status["CapEff"].strip(), os.getpid()]
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	i := open(t)
	b := sandboxtest.Must(t, i, sandbox.Config{ID: "f-1", Code: dir, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 64 * spec.MiB, MilliCPU: 500}})
	r, err := b.Invoke(t.Context(), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(i.Limitations(), "\n"), "namespaces") {
		t.Skip("needs namespaces: ", i.Limitations())
	}
	if want := `["1","0000000000000000",1]`; string(r.Result) != want {
		t.Errorf("no_new_privs, capabilities and pid are %s, want %s", r.Result, want)
	}
}

// The files of an image are those of its layers, the upper ones first, and what is the agent's.
func TestImageLayers(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Go)
	code := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(code, shim.Executable), "./testdata/files")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // no loader is in the image
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	store := oci.Open(t.TempDir())
	image, err := oci.New(v1.Config{}, files(t, "which", "lower", "only", "lower"))
	if err == nil {
		image, err = oci.Append(image, files(t, "which", "upper"))
	}
	if err != nil {
		t.Fatal(err)
	}
	digest, err := store.Add(image)
	if err != nil {
		t.Fatal(err)
	}
	i, err := process.New(process.Options{Dir: t.TempDir(), RunID: fmt.Sprintf("layers-%d", os.Getpid()), Log: slog.New(slog.DiscardHandler), Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	c := sandbox.Config{ID: "f-1", Code: code, Image: digest, Function: spec.Function{Name: "f", Runtime: "exec", Memory: 64 * spec.MiB, MilliCPU: 1000}}
	b := sandboxtest.Must(t, i, c)
	r, err := b.Invoke(t.Context(), []byte(`{"/which":1,"/only":1,"/root":1}`))
	if want := `{"/only":"lower","/root":"","/which":"upper"}`; err != nil || string(r.Result) != want {
		t.Errorf("%s, %v, want %s", r.Result, err, want)
	}
	c.ID, c.Function.Runtime = "f-2", "python3"
	if _, err := i.Create(t.Context(), c); err == nil || !strings.Contains(err.Error(), "has no python3") {
		t.Errorf("an image without python3: %v", err)
	}
	c.ID, c.Function.Image = "f-3", "x"
	if _, err := i.Create(t.Context(), c); err == nil || !strings.Contains(err.Error(), "containerd and docker run both") {
		t.Errorf("an image with a program: %v", err)
	}
}

// While an image is unpacked, sandboxes of other functions are started.
func TestUnpackHoldsUpNobody(t *testing.T) {
	testenv.Require(t, testenv.Root)
	store := oci.Open(t.TempDir())
	image, err := oci.New(v1.Config{}, files(t, "a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := store.Add(image)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layer := filepath.Join(store.Dir(), "blobs", "sha256", manifest.Layers[0].Digest.Hex)
	if err := errors.Join(os.Remove(layer), syscall.Mkfifo(layer, 0o600)); err != nil {
		t.Fatal(err)
	}
	i := openStored(t, t.TempDir(), fmt.Sprintf("unpack-%d", os.Getpid()), spec.Container{}, store)
	c := hello("f-1")
	c.Image = digest
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := i.Create(t.Context(), c); err == nil {
			t.Error("there is a sandbox of an image without a layer")
		}
	})
	end, err := os.OpenFile(layer, os.O_WRONLY, 0) // when it is being read
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sandboxtest.Must(t, i, hello("g-1")).Invoke(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("stop"))
	defer cancel()
	c.ID = "f-2" // waits for the same
	_, err = i.Create(ctx, c)
	sandboxtest.Fails(t, err, sandbox.StartFailed, "stop")
	if err := end.Close(); err != nil {
		t.Error(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		group.Wait()
	}()
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond): // it may be read once more
			if end, err := os.OpenFile(layer, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
				_ = end.Close()
			}
		}
	}
}

// files is a layer of files, by pairs of name and content.
func files(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for n := 0; n < len(pairs); n += 2 {
		if err := w.WriteHeader(&tar.Header{Name: pairs[n], Mode: 0o644, Size: int64(len(pairs[n+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(pairs[n+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A sandbox sees nothing of the agent's folder, and no devices but its own.
func TestRoots(t *testing.T) {
	testenv.Require(t, testenv.Root)
	store, digest := ocitest.Python(t)
	for _, zygote := range []bool{false, true} {
		t.Run(fmt.Sprintf("zygote=%t", zygote), func(t *testing.T) {
			dir := sandboxtest.Dir(t)
			i := openStored(t, dir, fmt.Sprintf("roots-%d-%t", os.Getpid(), zygote), spec.Container{Zygote: zygote, Network: "none"}, store)
			t.Run("hides", func(t *testing.T) { sandboxtest.Hides(t, i, dir) })
			t.Run("private", func(t *testing.T) { sandboxtest.KeepsPrivate(t, i) })
			t.Run("host", func(t *testing.T) { sandboxtest.NoDevices(t, i, "") })
			t.Run("image", func(t *testing.T) { sandboxtest.NoDevices(t, i, digest) })
		})
	}
}

// Functions in Python on an image, from new interpreters and from zygotes.
func TestConformanceOfImages(t *testing.T) {
	testenv.Require(t, testenv.Root, testenv.Cgroup)
	t.Setenv("AINUR_SECRET_OF_THE_AGENT", "x")
	store, digest := ocitest.Python(t)
	for _, zygote := range []bool{false, true} {
		t.Run(fmt.Sprintf("zygote=%t", zygote), func(t *testing.T) {
			sandboxtest.RunOn(t, digest, func(t *testing.T) sandbox.Isolation {
				return openStored(t, t.TempDir(), fmt.Sprintf("image-%d-%d", os.Getpid(), opened.Add(1)), spec.Container{Zygote: zygote, Network: "none"}, store)
			})
		})
	}
}

// Without root there is less isolation, and it is said.
func TestLimitations(t *testing.T) {
	i := openIn(t, t.TempDir(), fmt.Sprintf("limits-%d", os.Getpid()))
	all := strings.Join(i.Limitations(), "\n")
	if os.Getuid() != 0 && !strings.Contains(all, "memory") {
		t.Errorf("user %d has every limit: %s", os.Getuid(), all)
	}
	if !strings.Contains(all, "share the network") {
		t.Errorf("sandboxes share the network and it is not said: %s", all)
	}
}
