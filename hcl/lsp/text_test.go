package lsp

import (
	"strings"
	"testing"
	"unicode/utf16"

	"pgregory.net/rapid"
)

// A place and its byte are each other's inverse, and columns count UTF-16.
func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.StringOf(rapid.SampledFrom([]rune("ab é\U0001F600\n\r"))).Draw(t, "src")
		doc := newText(src, rapid.Bool().Draw(t, "utf8"))
		offset := 0
		for i := range src {
			if rapid.Bool().Draw(t, "here") {
				offset = i
			}
		}
		if offset > 0 && src[offset-1] == '\r' && src[offset] == '\n' {
			return // within a line's end
		}
		p := doc.position(offset)
		if back := doc.offset(p); back != offset && src[offset] != '\n' && src[offset] != '\r' {
			t.Fatalf("%q: %d is %v is %d", src, offset, p, back)
		}
		line := src[doc.lines[p.Line]:offset]
		want := len(line)
		if !doc.utf8 {
			want = len(utf16.Encode([]rune(line)))
		}
		if p.Character != want {
			t.Fatalf("%q: column of %d is %d, want %d", src, offset, p.Character, want)
		}
	})
}

// An edit by places is an edit by bytes.
func TestEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.StringOf(rapid.SampledFrom([]rune("aé\U0001F600\n"))).Draw(t, "src")
		by := rapid.StringOf(rapid.SampledFrom([]rune("xé\n"))).Draw(t, "by")
		var starts []int
		for i := range src + " " {
			starts = append(starts, i)
		}
		from, to := rapid.SampledFrom(starts).Draw(t, "from"), rapid.SampledFrom(starts).Draw(t, "to")
		from, to = min(from, to), max(from, to)
		doc := newText(src, false)
		if got, want := doc.edited(doc.span(from, to), by).src, src[:from]+by+src[to:]; got != want {
			t.Fatalf("%q[%d:%d] by %q is %q, want %q", src, from, to, by, got, want)
		}
	})
}

func TestOutOfTheText(t *testing.T) {
	doc := newText("a\nbc", false)
	for p, want := range map[position]int{{-1, 0}: 0, {0, 9}: 1, {1, -3}: 2, {9, 9}: 4, {1, 1 << 30}: 4} {
		if got := doc.offset(p); got != want {
			t.Errorf("%v is %d, want %d", p, got, want)
		}
	}
	if got := len(newText(strings.Repeat("\n", 9), false).lines); got != 10 {
		t.Errorf("%d lines", got)
	}
}
