package sshconfig

import (
	"errors"
	"strings"
)

// split is the keyword of a line, in small letters, and what it says of it: after
// spaces, or one "=".
func split(line string) (keyword, rest string) {
	if line == "" || line[0] == '#' {
		return "", ""
	}
	end := strings.IndexAny(line, " \t=")
	if end < 0 {
		return strings.ToLower(line), ""
	}
	rest = strings.TrimLeft(line[end:], " \t")
	if strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], " \t")
	}
	return strings.ToLower(line[:end]), rest
}

// words are those of a line, which may be in quotes and end at a comment.
func words(line string) (all []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return all, nil
		}
		var word strings.Builder
		var quote byte // that is open, 0 is none
		i := 0
		for ; i < len(line) && (quote != 0 || line[i] != ' ' && line[i] != '\t'); i++ {
			switch c := line[i]; {
			case c == '\\' && i+1 < len(line) && (strings.IndexByte(`'"\`, line[i+1]) >= 0 || quote == 0 && line[i+1] == ' '):
				i++
				word.WriteByte(line[i])
			case quote == 0 && (c == '\'' || c == '"'):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errors.New("a quote is not closed")
		}
		all = append(all, word.String())
		line = line[i:]
	}
}

// oneOf reports whether patterns, of which some may be negated, fit a name.
func oneOf(patterns []string, name string) bool {
	fits := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !Fit(p, name) {
			continue
		}
		if negated {
			return false
		}
		fits = true
	}
	return fits
}

// Fit reports whether a pattern, in which * and ? alone mean something, fits a name.
func Fit(pattern, name string) bool {
	star, from := -1, 0 // the last *, and where what it stands for ends
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
