package shell

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzFilter: a word is replaced in whatever pieces it comes, and nothing else changes.
func FuzzFilter(f *testing.F) {
	f.Add("it is secret, secret", "secret", 3)
	f.Add("sesesecret", "secret", 1)
	f.Add("aaaa", "aa", 3)
	f.Add("secre", "secret", 2)
	f.Fuzz(func(t *testing.T, text, secret string, piece int) {
		if secret == "" || piece < 1 {
			t.Skip("no word, or no pieces")
		}
		var got bytes.Buffer
		found := 0
		to := &filter{to: &got, words: []word{{secret, "*", func() { found++ }}}}
		for rest := text; rest != ""; {
			n := min(piece, len(rest))
			if _, err := to.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		to.flush()
		if want := strings.ReplaceAll(text, secret, "*"); got.String() != want || found != strings.Count(text, secret) {
			t.Errorf("%q without %q became %q, want %q", text, secret, got.String(), want)
		}
	})
}

// A secret is hidden in each of its forms, the longest first where one is in another.
func TestHiding(t *testing.T) {
	for _, secret := range []string{"plain", "p q/+%", "QUJD"} {
		var got bytes.Buffer
		to := &filter{to: &got, words: hiding(secret)}
		for _, w := range hiding(secret) {
			if _, err := to.Write([]byte("<" + w.from + ">")); err != nil {
				t.Fatal(err)
			}
		}
		to.flush()
		if got.String() != strings.Repeat("<(sensitive)>", 4) {
			t.Errorf("%q: %s", secret, got.String())
		}
	}
}
