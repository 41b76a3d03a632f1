package setup_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/facts"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// desired is of a deployment in a folder of the test.
func desired(t *testing.T) setup.Desired {
	t.Helper()
	dir := t.TempDir()
	a, _, err := mtls.NewAuthority("d", now)
	if err != nil {
		t.Fatal(err)
	}
	return setup.Desired{
		Layout: setup.Layout{Deployment: "ainur-setup-test", Prefix: filepath.Join(dir, "opt"), StateDir: filepath.Join(dir, "var", "state")},
		SHA256: "abc", Version: "1", Listen: "127.0.0.1:0", Authority: a.Certificate, Names: []string{"h"}, Via: "process",
	}
}

// begin does what a first push does: a manifest, and something for a program.
func begin(t *testing.T, d setup.Desired) {
	t.Helper()
	h := &facts.Host{Exists: []string{filepath.Dir(filepath.Dir(d.Prefix)), filepath.Dir(d.Prefix), "/run", "/run/ainur"}}
	for at := filepath.Dir(d.Prefix); at != "/"; at = filepath.Dir(at) {
		h.Exists = append(h.Exists, at)
	}
	prepare(t, setup.NewManifest(d.Layout, h, "test", now))
	if err := os.MkdirAll(filepath.Dir(d.Binary()), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Binary(), []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func prepare(t *testing.T, m *setup.Manifest) {
	t.Helper()
	c := setup.Prepare(m)
	cmd := exec.Command(c.Args[0], c.Args[1:]...)
	cmd.Stdin = c.Stdin
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func do(t *testing.T, what string, d setup.Desired) setup.Report {
	t.Helper()
	m := setup.Machine{Reclaim: func(run, _ string) ([]string, error) { return []string{"container of " + run}, nil }, Vacate: func(context.Context, string) error { return nil }}
	return m.Do(t.Context(), setup.Request{Do: what, Desired: d, By: "test", Now: now})
}

func manifest(t *testing.T, d setup.Desired) setup.Manifest {
	t.Helper()
	var m setup.Manifest
	text, err := os.ReadFile(d.Manifest())
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func text(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestTune changes settings, finds them changed by another, and gives them back.
func TestTune(t *testing.T) {
	d := desired(t)
	begin(t, d)
	dir := t.TempDir()
	write := func(name, value string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, second, other, stays := write("g0", "powersave"), write("g1", "performance"), write("other", "1"), write("stays", "4096")
	d.Settings = []setup.Setting{
		{Name: "governor", Path: filepath.Join(dir, "g[0-9]*"), Value: "performance", Tune: true},
		{Name: "other", Path: other, Value: "0", Tune: true},
		{Name: "stays", Path: stays, Value: "65535"},
		{Name: "absent", Path: filepath.Join(dir, "absent"), Value: "0", Tune: true},
	}
	if r := do(t, "tune", d); r.Error != "" || len(r.Changes) != 3 {
		t.Fatalf("tune: %+v", r)
	}
	if got := text(t, first) + " " + text(t, second) + " " + text(t, other) + " " + text(t, stays); got != "performance performance 0 65535" {
		t.Errorf("after tune: %s", got)
	}
	if r := do(t, "tune", d); r.Error != "" || len(r.Changes) != 0 {
		t.Errorf("tune again: %+v", r)
	}
	if got := manifest(t, d).Saved; len(got) != 3 || got[0].Was != "powersave" || got[0].Path != first {
		t.Errorf("the manifest has %+v", got)
	}
	write("other", "2") // by somebody else
	r := do(t, "restore", d)
	if r.Error != "" || len(r.Changes) != 2 || len(r.Left) != 1 || !strings.Contains(r.Left[0], "other is 2") {
		t.Errorf("restore: %+v", r)
	}
	if got := text(t, first) + " " + text(t, second) + " " + text(t, other) + " " + text(t, stays); got != "powersave performance 2 65535" {
		t.Errorf("after restore: %s", got)
	}
	if r := do(t, "destroy", d); r.Error != "" || len(r.Left) != 0 {
		t.Errorf("destroy: %+v", r)
	}
	if got := text(t, stays); got != "4096" {
		t.Errorf("after destroy: %s", got)
	}
	for _, path := range []string{d.Prefix, d.StateDir, filepath.Dir(d.StateDir)} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

// TestPrepare finds what was cut off on its way in, and leaves a manifest that is there.
func TestPrepare(t *testing.T) {
	d := desired(t)
	left := filepath.Join(filepath.Dir(filepath.Dir(d.StateDir)), d.Temporary())
	if err := os.MkdirAll(filepath.Join(left, "it"), 0o755); err != nil {
		t.Fatal(err)
	}
	begin(t, d)
	if _, err := os.Lstat(left); err == nil {
		t.Errorf("%s is still there", left)
	}
	want := []string{filepath.Dir(d.StateDir), d.StateDir, d.Prefix}
	ours := slices.DeleteFunc(manifest(t, d).Folders, func(f string) bool { return !strings.HasPrefix(f, os.TempDir()) })
	if diff := cmp.Diff(want, ours); diff != "" {
		t.Errorf("folders (-want +got):\n%s", diff)
	}
	prepare(t, &setup.Manifest{Layout: d.Layout, By: "another"})
	if m := manifest(t, d); m.By != "test" {
		t.Errorf("the manifest is that of %s", m.By)
	}
}

// TestTwoDeployments share folders that the first made and the last removes.
func TestTwoDeployments(t *testing.T) {
	d := desired(t)
	begin(t, d)
	other := d
	other.Deployment = "ainur-setup-test-2"
	prepare(t, &setup.Manifest{Format: 1, Layout: other.Layout})
	if r := do(t, "destroy", d); r.Error != "" {
		t.Fatalf("destroy: %+v", r)
	}
	if _, err := os.Stat(other.Manifest()); err != nil {
		t.Fatal(err)
	}
	if r := do(t, "destroy", other); r.Error != "" {
		t.Fatalf("destroy of the other: %+v", r)
	}
	for _, path := range []string{d.Prefix, filepath.Dir(d.StateDir)} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
}

// TestKeepResults leaves what runs have measured, with a manifest to remove them by.
func TestKeepResults(t *testing.T) {
	d := desired(t)
	begin(t, d)
	measured := filepath.Join(d.Node(), "runs", "R", "result")
	if err := os.MkdirAll(measured, 0o755); err != nil {
		t.Fatal(err)
	}
	r := setup.Machine{Reclaim: func(run, _ string) ([]string, error) { return []string{"container of " + run}, nil }, Vacate: func(context.Context, string) error { return nil }}.Do(
		t.Context(), setup.Request{Do: "destroy", Desired: d, KeepResults: true, Now: now})
	if r.Error != "" || len(r.Left) > 0 || len(r.Reclaimed) != 1 {
		t.Errorf("destroy: %+v", r)
	}
	if _, err := os.Stat(measured); err != nil || !manifest(t, d).Kept {
		t.Errorf("kept %v, %v", manifest(t, d).Kept, err)
	}
	if _, err := os.Stat(d.Root()); err == nil {
		t.Errorf("%s is still there", d.Root())
	}
	if r := do(t, "destroy", d); r.Error != "" {
		t.Errorf("destroy: %+v", r)
	}
	if _, err := os.Stat(filepath.Dir(d.StateDir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", filepath.Dir(d.StateDir))
	}
}

// TestDiff says what is to change, by what is there.
func TestDiff(t *testing.T) {
	d := desired(t)
	d.Packages = []string{"containerd", "runc"}
	for name, tt := range map[string]struct {
		host *facts.Host
		want []string
	}{
		"nothing there": {
			&facts.Host{Files: map[string]string{}, Packages: []string{"runc"}},
			[]string{"ainur 1", "packages containerd", "certificate", "configuration", "supervisor"},
		},
		"another program": {
			&facts.Host{
				Files: map[string]string{
					d.Manifest(): manifestText(t, d), filepath.Join(d.TLS(), mtls.CertificateFile): "x", filepath.Join(d.TLS(), mtls.AuthorityFile): "another",
				},
				Exists: []string{d.Home(), filepath.Join(d.TLS(), mtls.KeyFile)}, Packages: d.Packages, Binary: "def",
			},
			[]string{"ainur 1", "certificate", "configuration", "supervisor"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			changes, err := setup.Diff(d, tt.host, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				got = append(got, c.What)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for folder, attribute := range map[string]string{d.Home(): "state_dir", d.Root(): "prefix"} {
		if _, err := setup.Diff(d, &facts.Host{Exists: []string{folder}}, now); err == nil || !strings.Contains(err.Error(), "install."+attribute) {
			t.Errorf("the folder %s of somebody else: %v", folder, err)
		}
	}
	other := d
	other.Prefix = "/elsewhere"
	if _, err := setup.Diff(other, &facts.Host{Files: map[string]string{d.Manifest(): manifestText(t, d)}}, now); err == nil || !strings.Contains(err.Error(), "destroy it first") {
		t.Errorf("a deployment elsewhere: %v", err)
	}
}

func manifestText(t *testing.T, d setup.Desired) string {
	t.Helper()
	b, err := json.Marshal(setup.Manifest{Format: 1, Layout: d.Layout})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
