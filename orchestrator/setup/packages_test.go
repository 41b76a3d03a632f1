package setup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakes are package managers that keep a list in $LIST and install what a package
// needs too. With $FAIL they do all and then fail.
var fakes = map[string]map[string]string{
	"apt-get": {
		"dpkg-query": `while read -r p; do echo "installed $p"; done <"$LIST"; echo "config-files old"`,
		"apt-get": `case " $* " in
*" install "*) for p in "$@"; do case $p in containerd) printf 'containerd\nneeded\n' >>"$LIST" ;; runc) echo runc >>"$LIST" ;; esac; done ;;
*" purge "*) for p in "$@"; do grep -vx -e "$p" "$LIST" >"$LIST.new"; mv "$LIST.new" "$LIST"; done ;;
esac
[ -z "$FAIL" ]`,
	},
	"dnf": {
		"rpm": `while read -r p; do echo "installed $p"; done <"$LIST"`,
		"dnf": `case " $* " in
*" install "*) for p in "$@"; do case $p in containerd) printf 'containerd\nneeded\n' >>"$LIST" ;; runc) echo runc >>"$LIST" ;; esac; done ;;
*" remove "*) for p in "$@"; do grep -vx -e "$p" "$LIST" >"$LIST.new"; mv "$LIST.new" "$LIST"; done ;;
esac
[ -z "$FAIL" ]`,
	},
}

// TestPackages installs what is missing, and removes exactly that, also after a
// failure in the middle.
func TestPackages(t *testing.T) {
	for family, programs := range fakes {
		for _, failing := range []string{"", "yes"} {
			t.Run(family+" failing "+failing, func(t *testing.T) {
				dir := t.TempDir()
				for name, script := range programs {
					if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				for _, name := range []string{"sh", "grep", "mv"} { // and nothing else
					if err := os.Symlink("/bin/"+name, filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
				list := filepath.Join(dir, "list")
				if err := os.WriteFile(list, []byte("base\ncontainernetworking\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("PATH", dir)
				t.Setenv("LIST", list)
				t.Setenv("FAIL", failing)
				m := &Manifest{Format: format, Layout: Layout{"d", filepath.Join(dir, "opt"), filepath.Join(dir, "var")}}
				if err := os.MkdirAll(m.Home(), 0o755); err != nil {
					t.Fatal(err)
				}
				err := m.install(t.Context(), []string{"containerd", "runc"})
				if (err != nil) != (failing != "") {
					t.Errorf("install: %v", err)
				}
				m, err = load(m.Layout)
				if err != nil {
					t.Fatal(err)
				}
				if want := []string{"containerd", "needed", "runc"}; !slices.Equal(m.Packages.Installed, want) || m.Packages.Before != nil {
					t.Errorf("the manifest has %+v, want %v installed", m.Packages, want)
				}
				t.Setenv("FAIL", "")
				if err := m.uninstall(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(list); err != nil || strings.TrimSpace(string(got)) != "base\ncontainernetworking" {
					t.Errorf("left %q, %v", got, err)
				}
			})
		}
	}
}

// An install that was killed is known by what was there before.
func TestPackagesKilled(t *testing.T) {
	dir := t.TempDir()
	for name, script := range map[string]string{"apt-get": "echo \"$@\" >>" + dir + "/said", "dpkg-query": "echo installed base; echo installed new"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	m := &Manifest{Format: format, Layout: Layout{"d", dir, dir}, Packages: &Packages{Before: []string{"base"}}}
	if err := os.MkdirAll(m.Home(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := m.uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said, err := os.ReadFile(dir + "/said"); err != nil || !strings.HasSuffix(strings.TrimSpace(string(said)), "purge new") {
		t.Errorf("removed by %q, %v", said, errors.Join(err))
	}
}

// TestSwaps reads devices with their priorities.
func TestSwaps(t *testing.T) {
	const head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for text, want := range map[string]string{
		"": None, head: None,
		head + "/dev/sda2   partition  1 0 -2\n/swap file 1 0 5\n": "/dev/sda2 -2, /swap 5",
	} {
		if got := Value(Swaps, text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"always [madvise] never\n": "madvise", "32768\t60999\n": "32768 60999", "1\n": "1", "": ""} {
		if got := Value("/sys/x", text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
