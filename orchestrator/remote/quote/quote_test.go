package quote

import (
	"os/exec"
	"strings"
	"testing"
)

var awkward = []string{"", "a b", "it's", `"$HOME" \n`, "`id`", "$(id)", "a\nb", "-n", "~", "*", "=ls", "\xff", "a=b", "!x", "\\", "'", "''", `\\0041`, `\c`, "%s", "a\r\n", "\n\n"}

// FuzzWords: a shell reads back what was written, at once and out of a script.
func FuzzWords(f *testing.F) {
	for _, s := range awkward {
		f.Add(s, "x")
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) { roundTrip(t, "sh", a, b) })
}

func roundTrip(t *testing.T, shell, a, b string) {
	t.Helper()
	script := `printf '%s\0%s\0' ` + Words(a, b)
	commands := map[string]string{"script": "exec " + Script(script), "script in a script": Script(Script(script) + "\n")}
	if shell == "sh" {
		commands["words"] = script
	}
	for name, command := range commands {
		out, err := exec.Command(shell, "-c", command).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := strings.ReplaceAll(a, "\x00", "") + "\x00" + strings.ReplaceAll(b, "\x00", "") + "\x00"
		if string(out) != want {
			t.Errorf("%s: %q and %q became %q", name, a, b, out)
		}
	}
}

// Users have other shells, which must not read a script differently.
func TestShells(t *testing.T) {
	for _, shell := range []string{"dash", "bash", "zsh", "ksh", "tcsh", "csh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("%s is not installed", shell)
			}
			for _, s := range awkward {
				roundTrip(t, shell, s, "x")
			}
		})
	}
}
