// Package quote writes words and scripts so that shells read them as they are.
package quote

import "strings"

// plain are the characters that mean nothing to a shell.
const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+.,:=@/"

// Word is s as one word of a POSIX shell. A NUL cannot be in a word and is left out.
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

// Script is a command that executes a script of a POSIX shell, for users whose own
// shell may be another: csh wants no newline and no "!" between quotes, fish
// has a meaning for backslashes there. So these are written as printf's %b reads them.
func Script(script string) string {
	return `sh -c 'eval "$(printf %b "$1")"' sh '` + escaper.Replace(script) + `'`
}

var escaper = strings.NewReplacer("\x00", "", `\`, `\0134`, "\n", `\0012`, "\r", `\0015`, "'", `\0047`, "!", `\0041`)
