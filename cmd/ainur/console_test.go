package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl"
)

const consoleFile = `locals {
  number = 41
  name   = "x"
}

func "twice" {
  params = [x]
  result = x * 2
}
`

// converse types keys into a dialogue and returns what the terminal showed.
func converse(t *testing.T, past *history, typed ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"+hcl.Extension), []byte(consoleFile), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := &cli{stdout: &out, stderr: &out, output: "table", color: "never"}
	m, ok := c.load([]string{dir}, hcl.Options{})
	if !ok {
		t.Fatal(c.diags)
	}
	s, diags := m.Session("", nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	k := &console{c: c, m: m, s: s}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	keys, write := io.Pipe()
	go func() {
		for _, text := range typed {
			io.WriteString(write, text)
		}
		write.Close()
	}()
	err := k.dialogue(ctx, keys, &out, past, nil)
	return out.String(), err
}

func TestDialogue(t *testing.T) {
	for name, tt := range map[string]struct {
		typed []string
		want  []string // in this order
		never string
	}{
		"a value":             {[]string{"local.number + 1\r"}, []string{"\r\n42\r\n"}, ""},
		"a completed name":    {[]string{"local.nu\t\r"}, []string{"local.number", "\r\n41\r\n"}, ""},
		"a function":          {[]string{"twi\t4)\r"}, []string{"twice(", "\r\n8\r\n"}, ""},
		"what there is":       {[]string{"local.\t\t"}, []string{"local.name", "local.number", "> local.n"}, ""},
		"a command":           {[]string{":ty\t local.number\r"}, []string{":type", "\r\nnumber\r\n"}, ""},
		"a topic":             {[]string{":doc load.dura\t\r"}, []string{"load.duration", "dur"}, ""},
		"a stage":             {[]string{":stage sta\t\r"}, []string{"* static"}, ""},
		"more lines":          {[]string{"[1,\r", "local.number]\r"}, []string{"\r\n[1, 41]\r\n"}, ""},
		"completed on line 2": {[]string{"[1,\r", "local.nu\t]\r"}, []string{"\r\n[1, 41]\r\n"}, ""},
		"given up":            {[]string{"[1,\r", "2\x03", "7 + 1\r"}, []string{"\r\n8\r\n"}, "[1, 2"},
		"given up alone":      {[]string{"\x03\x03", "7 + 1\r"}, []string{"\r\n8\r\n"}, ""},
		"the line before":     {[]string{"5 + 6\r", "\x1b[A\r"}, []string{"\r\n11\r\n", "\r\n11\r\n"}, ""},
		"a mistake":           {[]string{"local.numbr\r", "1\r"}, []string{`there is no local "numbr"`, "\r\n1\r\n"}, ""},
		"quit":                {[]string{":quit\r", "99 + 1\r"}, nil, "100"},
		"control D":           {[]string{"\x04"}, []string{"> \r\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := converse(t, &history{}, tt.typed...)
			if err != nil {
				t.Fatal(err)
			}
			rest := got
			for _, want := range tt.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("no %q in %q of\n%q", want, rest, got)
				}
				rest = after
			}
			if tt.never != "" && strings.Contains(got, tt.never) {
				t.Errorf("%q in\n%q", tt.never, got)
			}
		})
	}
}

// A signal ends the dialogue while it waits for a key.
func TestDialogueEndsWithContext(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	keys := newKeys(ctx, blocked{})
	stop(stopped)
	if _, err := keys.Read(make([]byte, 8)); !errors.Is(err, stopped) {
		t.Errorf("Read gave %v, want %v", err, stopped)
	}
}

// blocked is a terminal that nobody types on.
type blocked struct{}

func (blocked) Read([]byte) (int, error) { select {} }

func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ainur", "console_history")
	h, err := openHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one", "two", "two", "  ", "three"} {
		h.Add(line)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: want a file for the user alone", info.Mode(), err)
	}
	if h, err = openHistory(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two", "three"}, h.lines); diff != "" || h.At(0) != "three" || h.Len() != 3 {
		t.Errorf("the last is %q of %d (-want +got):\n%s", h.At(0), h.Len(), diff)
	}
	for range mostHistory {
		h.Add("a")
		h.Add("b")
	}
	h.Close()
	if h, err = openHistory(path); err != nil || h.Len() != mostHistory {
		t.Errorf("%d lines are kept, want %d; %v", h.Len(), mostHistory, err)
	}
	h.Close()
	if text, err := os.ReadFile(path); err != nil || bytes.Count(text, []byte("\n")) != mostHistory {
		t.Errorf("the file has %d lines, %v", bytes.Count(text, []byte("\n")), err)
	}
	if h, err = openHistory("/dev/null/x"); err == nil {
		t.Error("no error without a folder")
	}
	h.Add("kept in memory")
	if h.Len() != 1 {
		t.Error("the line is lost")
	}
}

func TestInColumns(t *testing.T) {
	for _, tt := range []struct {
		width int
		want  string
	}{
		{80, "a  bb c  d\n"}, {9, "a  c\nbb d\n"}, {1, "a\nbb\nc\nd\n"},
	} {
		got := inColumns([]string{"a", "bb", "c", "d"}, tt.width)
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(tt.want), " ") || strings.Count(got, "\n") != strings.Count(tt.want, "\n") {
			t.Errorf("in %d columns: %q, want %q", tt.width, got, tt.want)
		}
	}
}
