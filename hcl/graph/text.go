package graph

import (
	"strings"
	"unicode"
)

// lines splits s into lines of printable characters. A tab or another space
// is a space; what cannot be shown, or would turn the line round, is U+FFFD.
func lines(s string) []string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ReplacementChar
	}, s)
	return strings.Split(s, "\n")
}

// line is s on one line.
func line(s string) string { return strings.Join(lines(s), " ") }

// wide are the characters that take two columns of a terminal: East Asian
// Width W and F in Unicode's EastAsianWidth.txt, in whole blocks.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1},
		{Lo: 0x231a, Hi: 0x231b, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23ec, Stride: 1},
		{Lo: 0x2614, Hi: 0x2615, Stride: 1},
		{Lo: 0x2705, Hi: 0x2705, Stride: 1},
		{Lo: 0x270a, Hi: 0x270b, Stride: 1},
		{Lo: 0x274c, Hi: 0x274c, Stride: 1},
		{Lo: 0x2753, Hi: 0x2755, Stride: 1},
		{Lo: 0x2795, Hi: 0x2797, Stride: 1},
		{Lo: 0x2b50, Hi: 0x2b50, Stride: 1},
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1},
		{Lo: 0x3041, Hi: 0x4dbf, Stride: 1},
		{Lo: 0x4e00, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1},
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1},
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1},
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// columns is the number of columns r takes in a terminal.
func columns(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// width is the number of columns s takes in a terminal.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

func widest(lines []string) int {
	n := 0
	for _, l := range lines {
		n = max(n, width(l))
	}
	return n
}

// wrap is s in at most rows lines of at most room columns, each broken after
// a space, a dot, a dash or a slash where there is one. Where s is longer, it
// ends in an ellipsis.
func wrap(s string, room, rows int) []string {
	var out []string
	for _, l := range lines(s) {
		for width(l) > room {
			at := breakAt(l, room)
			out = append(out, strings.TrimRight(l[:at], " "))
			l = l[at:]
		}
		out = append(out, l)
	}
	if len(out) <= rows {
		return out
	}
	out = out[:rows]
	last := out[rows-1]
	if width(last) >= room {
		last = last[:cut(last, room-1)]
	}
	out[rows-1] = last + "…"
	return out
}

// breakAt is the byte of l at which a line of room columns is best broken.
func breakAt(l string, room int) int {
	end := cut(l, room)
	if at := strings.LastIndexAny(l[:end], " ._-/:,"); at >= end/3 {
		return at + 1
	}
	return end
}

// cut is the byte after the last character of l within room columns, but at
// least one character is taken.
func cut(l string, room int) int {
	taken := 0
	for i, r := range l {
		taken += columns(r)
		if i > 0 && taken > room {
			return i
		}
	}
	return len(l)
}
