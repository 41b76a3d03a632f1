package docker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/ainur-faas/ainur/agent/image/oci"
	"github.com/ainur-faas/ainur/agent/image/ocitest"
	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/docker"
	"github.com/ainur-faas/ainur/agent/sandbox/docker/dockertest"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// churnEnv makes this binary an agent that makes sandboxes until it is killed; its
// value is the socket, the id of the run, a folder, a store, an image in it, and code.
const churnEnv = "AINUR_TEST_CHURN"

func churn() {
	var socket, runID, dir, folder, image, code string
	_, err := fmt.Sscan(os.Getenv(churnEnv), &socket, &runID, &dir, &folder, &image, &code)
	var i *docker.Isolation
	if err == nil {
		i, err = docker.New(docker.Options{Socket: socket, Dir: dir, RunID: runID, Store: oci.Open(folder), Container: spec.Container{StemCells: 1}, Log: slog.New(slog.DiscardHandler)})
	}
	if err != nil {
		panic(err)
	}
	sandboxtest.Churn(sandboxtest.Ahead{Isolation: i}, sandbox.Config{Code: code, Image: image, Function: spec.Function{Name: "f", Runtime: "python3", Memory: 64 * spec.MiB, MilliCPU: 1000}})
}

// Of 100 cold starts, of agents that were killed in the middle of anything, nothing
// is left when the next agent of the run has ended.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	socket := dockertest.Start(t)
	store, image := ocitest.Python(t)
	runID, dir, code := fmt.Sprintf("killed-%d", os.Getpid()), t.TempDir(), sandboxtest.Python(t, "def main(args):\n    return 1\n").Code
	left := sandboxtest.Killed(t, churnEnv, strings.Join([]string{socket, runID, dir, store.Dir(), image, code}, " "), 100)
	found, err := docker.List(t.Context(), socket)
	if err != nil || len(found) == 0 {
		t.Errorf("nothing was left: %v", err)
	}
	i, err := docker.New(docker.Options{Socket: socket, Dir: dir, RunID: runID, Store: store, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := i.Reclaim()
	if err := errors.Join(err, i.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d sandboxes were left; reclaimed %d things", left, len(removed))
	if left := inDaemon(t, socket); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	sandboxtest.Left(t, runID)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What a dead agent had asked for, and the daemon makes while it is reclaimed, is
// reclaimed too.
func TestComesUpLate(t *testing.T) {
	socket := dockertest.Start(t)
	runID, dir := fmt.Sprintf("late-%d", os.Getpid()), t.TempDir()
	i, err := docker.New(docker.Options{Socket: socket, Dir: dir, RunID: runID, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	sandboxtest.Must(t, openWith(t, docker.Options{Socket: socket, RunID: runID + "-other"}), hello("f-1")) // so that there is an image
	if err := os.Mkdir(filepath.Join(dir, "docker-dead"), 0o755); err != nil {                              // of an agent that was killed
		t.Fatal(err)
	}
	api := ask(t, socket)
	list, err := api.ImageList(t.Context(), client.ImageListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d images, %v", len(list.Items), err)
	}
	made := make(chan error)
	go func() {
		time.Sleep(300 * time.Millisecond)
		_, err := api.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{
			Image: list.Items[0].ID, Cmd: []string{"/x"}, Labels: map[string]string{"ainur.run": runID, "ainur.isolation": "dead"},
		}})
		made <- err
	}()
	removed, err := i.Reclaim()
	if err := errors.Join(err, <-made, i.Close()); err != nil {
		t.Error(err)
	}
	if len(removed) != 1 || !strings.HasPrefix(removed[0], "container ") {
		t.Errorf("removed: %v", removed)
	}
	found, err := docker.List(t.Context(), socket)
	for _, thing := range found {
		if thing.Run == runID {
			t.Errorf("left: %s", thing.What)
		}
	}
	if entries, dirErr := os.ReadDir(dir); err != nil || dirErr != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v, %v", entries, dirErr, err)
	}
}

// With nothing to reclaim there is nothing to wait for.
func TestNothingToReclaim(t *testing.T) {
	i := open(t, dockertest.Start(t), nil)
	began := time.Now()
	if removed, err := i.Reclaim(); err != nil || len(removed) > 0 || time.Since(began) > 500*time.Millisecond {
		t.Errorf("removed %v in %v, %v", removed, time.Since(began), err)
	}
}

// What is of runs that are to be kept is not touched, and what is of others goes.
func TestSweep(t *testing.T) {
	socket := dockertest.Start(t)
	run := func(name string) string { return fmt.Sprintf("%s-%d", name, os.Getpid()) }
	boxes := map[string]sandbox.Sandbox{}
	for _, name := range []string{"dead", "alive"} {
		boxes[name] = sandboxtest.Must(t, openWith(t, docker.Options{Socket: socket, RunID: run(name)}), hello("f-1"))
	}
	removed, err := docker.Sweep(t.Context(), socket, func(r string) bool { return r == run("alive") })
	if err != nil || len(removed) != 2 {
		t.Errorf("removed: %v, %v", removed, err)
	}
	select {
	case <-boxes["dead"].Done():
	case <-time.After(5 * time.Second):
		t.Error("it is still there")
	}
	if _, err := boxes["alive"].Invoke(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
	found, err := docker.List(t.Context(), socket)
	if err != nil || len(found) != 2 {
		t.Errorf("found: %v, %v", found, err)
	}
	for _, thing := range found {
		if thing.Run != run("alive") {
			t.Errorf("%s is of the run %s", thing.What, thing.Run)
		}
	}
	if version, err := docker.Version(t.Context(), socket); err != nil || !strings.HasSuffix(version, " on "+socket) {
		t.Errorf("version %q, %v", version, err)
	}
}

// A daemon that dies takes its sandboxes with it, which is told, and what this host
// has of them is removed.
func TestDaemonDies(t *testing.T) {
	socket := dockertest.Start(t)
	runID, dir := fmt.Sprintf("dies-%d", os.Getpid()), t.TempDir()
	i, err := docker.New(docker.Options{Socket: socket, Dir: dir, RunID: runID, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	b, err := i.Create(t.Context(), hello("f-1"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(socket), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-b.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("it is not told that the daemon has died")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := i.Create(ctx, hello("f-2")); err == nil {
		t.Error("a sandbox was made without a daemon")
	}
	if err := b.Remove(); err == nil {
		t.Error("its container is gone without a daemon")
	}
	if err := i.Close(); err == nil {
		t.Error("its image is gone without a daemon")
	}
	sandboxtest.Left(t, runID)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
