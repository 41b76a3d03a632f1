package graph

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWrap(t *testing.T) {
	for name, tt := range map[string]struct {
		s          string
		room, rows int
		want       []string
	}{
		"short":                      {"worker.pool", 20, 2, []string{"worker.pool"}},
		"after a dot":                {"balancer.front", 12, 2, []string{"balancer.", "front"}},
		"after a space, which goes":  {"one two three", 8, 2, []string{"one two", "three"}},
		"within a word":              {"abcdefgh", 5, 2, []string{"abcde", "fgh"}},
		"too long":                   {"abcdefgh", 3, 2, []string{"abc", "de…"}},
		"too long, with room":        {"ab\ncd\nef", 3, 2, []string{"ab", "cd…"}},
		"two columns a character":    {"関数関数", 5, 2, []string{"関数", "関数"}},
		"no column for an accent":    {"e\u0301e\u0301e", 3, 1, []string{"e\u0301e\u0301e"}},
		"lines, spaces and controls": {"a\r\nb\tc\x00\u202e", 9, 2, []string{"a", "b c\ufffd\ufffd"}},
		"nothing":                    {"", 9, 2, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, wrap(tt.s, tt.room, tt.rows)); diff != "" {
				t.Errorf("wrap(%q, %d, %d) (-want +got):\n%s", tt.s, tt.room, tt.rows, diff)
			}
		})
	}
}

func TestWrapKeepsTheTextAndTheRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune("ab .-関é\n"))).Draw(t, "s")
		room := rapid.IntRange(2, 12).Draw(t, "room")
		got := wrap(s, room, len(s)+1)
		if n := widest(got); n > room {
			t.Errorf("wrap(%q, %d) = %q, %d columns", s, room, got, n)
		}
		bare := strings.NewReplacer(" ", "", "\n", "")
		if bare.Replace(strings.Join(got, "")) != bare.Replace(s) {
			t.Errorf("wrap(%q, %d) = %q lost some of it", s, room, got)
		}
	})
}
