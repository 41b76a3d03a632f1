// Package quote writes words so that a POSIX shell reads them as they are.
package quote

import "strings"

// plain are the characters that mean nothing to a shell.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.,:=@/%"

// Word is s as one word. A NUL cannot be in a word and is left out.
func Word(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if s != "" && s[0] != '=' && strings.Trim(s, plain) == "" { // zsh expands =name
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Words is each of these as a word, with spaces between.
func Words(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = Word(w)
	}
	return strings.Join(quoted, " ")
}
