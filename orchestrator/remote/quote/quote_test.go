package quote

import (
	"os/exec"
	"strings"
	"testing"
)

// FuzzWords: a shell reads back what was written.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "a b", "it's", `"$HOME" \n`, "`id`", "$(id)", "a\nb", "-n", "~", "*", "=ls", "\xff", "a=b", "!x", "\\", "'", "''"} {
		f.Add(s, "x")
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		out, err := exec.Command("sh", "-c", "printf '%s\\0%s\\0' "+Words(a, b)).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(a, "\x00", "") + "\x00" + strings.ReplaceAll(b, "\x00", "") + "\x00"
		if string(out) != want {
			t.Errorf("%q and %q became %q", a, b, out)
		}
	})
}
