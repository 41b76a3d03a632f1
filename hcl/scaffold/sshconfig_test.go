package scaffold

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSSHConfig(t *testing.T) {
	dir := folder(t, map[string]string{
		"config": `Include INCLUDED*
Host gpu1 gpu2
  HostName %h.lab.org
  User faas
  IdentityFile %d/.ssh/%r_key
Host odd
  HostName 10.0.0.9
  Port 2222
  ProxyCommand nc %h %p
  ProxyJump none
Host *.org !secret
  User nobody
Host gpu1
  User late
Host *
  Port 22
  ProxyJump me@gate:2200, inner
`,
		"more": "Host included\n  User inc\n",
	})
	path := filepath.Join(dir, "config")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(src, []byte("INCLUDED"), []byte(filepath.Join(dir, "mor")), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadSSHConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	hops := []string{"me@gate:2200", "inner"}
	want := &Inventory{
		From: path, Config: path,
		Hosts: []Host{
			{Name: "included", Address: "included", User: "inc", ProxyJump: hops},
			{Name: "gpu1", Address: "gpu1.lab.org", User: "faas", Identity: []string{"~/.ssh/faas_key"}, ProxyJump: hops},
			{Name: "gpu2", Address: "gpu2.lab.org", User: "faas", Identity: []string{"~/.ssh/faas_key"}, ProxyJump: hops},
			{Name: "odd", Address: "10.0.0.9", Port: 2222},
		},
		Notes: []string{
			"Host gpu1 is there twice: what the first says counts.",
			"ProxyCommand of odd has no argument here: it is left to the configuration of ssh.",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	chosen, err := ReadSSHConfig(path, []string{"gpu2", "odd"})
	if err != nil || !cmp.Equal(chosen.Names(), []string{"gpu2", "odd"}) {
		t.Errorf("got %+v and %v, want gpu2 and odd", chosen, err)
	}
	if _, err := ReadSSHConfig(path, []string{"gpu3"}); err == nil || !strings.Contains(err.Error(), "it has included, gpu1, gpu2, odd") {
		t.Errorf("got %v, want an error that names the hosts", err)
	}
}

// A file that ssh does not read by itself is named in the experiment.
func TestSSHConfigElsewhere(t *testing.T) {
	path := filepath.Join(folder(t, map[string]string{"lab.conf": "Host a\n  Port 23\nHost b\n"}), "lab.conf")
	inv, err := ReadSSHConfig(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	template, err := Find("cluster")
	if err != nil {
		t.Fatal(err)
	}
	e, err := template.New(inv)
	if err != nil {
		t.Fatal(err)
	}
	load(t, place(t), e.Text)
	if !strings.Contains(string(e.Text), `config = "`+path+`"`) {
		t.Errorf("does not name %s:\n%s", path, e.Text)
	}
}

func TestSSHConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "names no host without wildcards",
		"Host *\n  User a\n":          "names no host without wildcards",
		"Host a\n  Port x\n":          "the port of a is",
		"Match exec true\n  User a\n": "name the hosts by --hosts instead",
	} {
		dir := folder(t, map[string]string{"config": text})
		if _, err := ReadSSHConfig(filepath.Join(dir, "config"), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
	loop := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(loop, []byte("Include "+loop+"\nHost a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSSHConfig(loop, nil); err == nil || !strings.Contains(err.Error(), "depth") {
		t.Errorf("a file that includes itself: got %v", err)
	}
}
