package printable_test

import (
	"testing"

	"github.com/ainur-faas/ainur/internal/printable"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"a\tb\nµs … 人 é":        "a\tb\nµs … 人 é",
		"\x1b[31mred\x1b]0;t\a": "�[31mred�]0;t�",
		"a\r\u202eb\x00\u009b":  "a��b��",
		"no-break\u00a0\xff":    "no-break\u00a0�",
	} {
		if got := printable.Text(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
