package lsp

import (
	"sort"
	"unicode/utf8"
)

// position is a place in a text: a line from 0, and a column from 0 in code
// units of the encoding that was agreed on, UTF-16 or UTF-8.
type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// span is a stretch of text; the end is not in it.
type span struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

// text is a document with the places of its lines.
type text struct {
	src   string
	lines []int // byte offset of each line's start
	utf8  bool  // columns are bytes
}

func newText(src string, utf8 bool) *text {
	t := &text{src: src, lines: []int{0}, utf8: utf8}
	for i := range len(src) {
		if src[i] == '\n' || src[i] == '\r' && (i+1 == len(src) || src[i+1] != '\n') {
			t.lines = append(t.lines, i+1)
		}
	}
	return t
}

// offset is the byte at a position. What is out of the text is moved to its nearest place.
func (t *text) offset(p position) int {
	if p.Line < 0 {
		return 0
	}
	if p.Line >= len(t.lines) {
		return len(t.src)
	}
	at, end := t.lines[p.Line], len(t.src)
	if p.Line+1 < len(t.lines) {
		end = t.lines[p.Line+1]
		for end > at && (t.src[end-1] == '\n' || t.src[end-1] == '\r') {
			end--
		}
	}
	for units := 0; at < end && units < p.Character; {
		r, n := utf8.DecodeRuneInString(t.src[at:])
		units += t.units(r, n)
		if units > p.Character { // within a character
			break
		}
		at += n
	}
	return at
}

// units is the length of a character of n bytes.
func (t *text) units(r rune, n int) int {
	switch {
	case t.utf8:
		return n
	case r >= 1<<16:
		return 2
	}
	return 1
}

// position is the place of a byte.
func (t *text) position(offset int) position {
	offset = max(0, min(offset, len(t.src)))
	line := sort.SearchInts(t.lines, offset+1) - 1
	p := position{Line: line}
	for at := t.lines[line]; at < offset; {
		r, n := utf8.DecodeRuneInString(t.src[at:])
		p.Character += t.units(r, n)
		at += n
	}
	return p
}

func (t *text) span(from, to int) span { return span{t.position(from), t.position(to)} }

// edited is the text with a stretch replaced.
func (t *text) edited(s span, by string) *text {
	from, to := t.offset(s.Start), t.offset(s.End)
	if to < from {
		from, to = to, from
	}
	return newText(t.src[:from]+by+t.src[to:], t.utf8)
}
