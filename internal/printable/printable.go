// Package printable makes text of others fit for a terminal.
package printable

import (
	"strings"
	"unicode"
)

// Text is s with U+FFFD for what cannot be shown, or would do something else than be
// shown: control characters but for line ends and tabs, and what turns the line round.
func Text(s string) string {
	s = strings.ToValidUTF8(s, string(unicode.ReplacementChar))
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
