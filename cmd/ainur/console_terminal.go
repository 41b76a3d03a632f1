package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/ainur-faas/ainur/hcl"
)

// Prompts of the console.
const (
	prompt     = "> "
	promptMore = ". " // while brackets are open
)

// onTerminal is the dialogue on a terminal.
func (k *console) onTerminal(ctx context.Context, in *os.File) error {
	if err := k.c.explain(k.c.stderr, k.c.diags); err != nil {
		return err
	}
	k.c.diags = nil
	state, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	past, trouble := openHistory(historyPath())
	err = k.dialogue(ctx, in, k.c.stdout, past, trouble)
	return errors.Join(err, term.Restore(int(in.Fd()), state), past.Close())
}

// dialogue reads lines with an editor until the input ends. A history that
// cannot be kept is a trouble to be told, and no more.
func (k *console) dialogue(ctx context.Context, in io.Reader, out io.Writer, past *history, trouble error) error {
	keys := newKeys(ctx, in)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{keys, out}, prompt)
	t.History = past
	k.out, k.problems = t, t
	fmt.Fprintf(t, "%s\nType an expression. :help lists the commands, Tab completes, :quit leaves.\n", k.title())
	if trouble != nil {
		fmt.Fprintf(t, "ainur: lines are not kept for the next time: %v\n", trouble)
	}
	pending := ""
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return k.complete(t, pending, line, pos)
	}
	for !k.ended {
		if f, ok := out.(*os.File); ok {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
				if err := t.SetSize(width, height); err != nil {
					return err
				}
			}
		}
		t.SetPrompt(prompt)
		if pending != "" {
			t.SetPrompt(promptMore)
		}
		line, err := t.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			_, err = fmt.Fprint(out, "\r\n")
			return err
		case err != nil:
			_, werr := fmt.Fprint(out, "\r\n")
			return errors.Join(err, werr)
		case keys.broken():
			pending = ""
			continue
		}
		if pending += line; hcl.Incomplete(pending) {
			pending += "\n"
			continue
		}
		k.do(pending)
		pending = ""
	}
	return nil
}

// title says what the expressions are about.
func (k *console) title() string {
	switch names := k.m.Experiments(); {
	case k.s.Experiment() != "":
		return fmt.Sprintf("experiment %s, stage %s", k.s.Experiment(), k.s.Stage())
	case len(names) > 1:
		return "experiments " + strings.Join(names, ", ") + ": --experiment NAME chooses one"
	case len(k.m.Files()) > 0:
		return "no experiment, stage " + string(k.s.Stage())
	}
	return "no files here: functions only"
}

// complete is the line with the name before pos completed, as far as it is
// certain. When nothing is, it shows what there is.
func (k *console) complete(out io.Writer, pending, line string, pos int) (string, int, bool) {
	from, words := k.candidates(pending, line, pos)
	if len(words) == 0 || from < 0 {
		return "", 0, false
	}
	text, typed := common(words), line[from:pos]
	if len(words) > 1 && len(text) <= len(typed) { // which may end with a dot where words have a bracket
		text = typed
		if _, err := io.WriteString(out, inColumns(words, k.columns())); err != nil {
			return "", 0, false
		}
	}
	return line[:from] + text + line[pos:], from + len(text), true
}

// candidates are what line[from:pos] may become. It is negative when that
// begins on an earlier line.
func (k *console) candidates(pending, line string, pos int) (from int, words []string) {
	if pending != "" || !strings.HasPrefix(line, ":") {
		from, words = k.s.Complete(pending+line, len(pending)+pos)
		return from - len(pending), words
	}
	name, rest, spaced := strings.Cut(line[:pos], " ")
	arg := strings.TrimLeft(rest, " ")
	from = pos - len(arg)
	switch {
	case !spaced:
		for _, c := range k.commands() {
			words = append(words, c.name)
		}
		return 0, beginning(words, name)
	case name == ":type":
		start, words := k.s.Complete(arg, len(arg))
		return from + start, words
	case name == ":doc":
		return from, k.s.CompleteTopic(arg)
	case name == ":stage":
		for _, stage := range hcl.Stages {
			words = append(words, string(stage))
		}
	case name == ":point":
		points, diags := k.s.Points()
		if diags.HasErrors() {
			return from, nil
		}
		from = strings.LastIndexAny(line[:pos], " ,") + 1
		for _, p := range points {
			words = append(words, p.ID)
			words = append(words, strings.Fields(hcl.PointText(p, " "))...)
		}
		slices.Sort(words)
		words = slices.Compact(words)
	}
	return from, beginning(words, line[from:pos])
}

// beginning are the words that begin with a prefix.
func beginning(words []string, prefix string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.HasPrefix(w, prefix) })
}

// common is what all words begin with.
func common(words []string) string {
	prefix := words[0]
	for _, w := range words[1:] {
		for !strings.HasPrefix(w, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}

// inColumns lists words on as few lines as they need.
func inColumns(words []string, width int) string {
	widest := 0
	for _, w := range words {
		widest = max(widest, utf8.RuneCountInString(w))
	}
	across := max(1, (width-1)/(widest+2))
	down := (len(words) + across - 1) / across
	var b strings.Builder
	for row := range down {
		var line strings.Builder
		for i := row; i < len(words); i += down {
			line.WriteString(words[i] + strings.Repeat(" ", widest+2-utf8.RuneCountInString(words[i])))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// keys is what is typed. Ctrl-C gives up the line: it becomes the keys that
// empty and enter it. Reads end with the context.
type keys struct {
	ctx    context.Context //nolint:containedctx // of one dialogue; io.Reader has no other way
	chunks chan []byte     // closed by the goroutine that reads the input, at its end
	rest   []byte
	gaveUp bool
}

const (
	ctrlC      = 0x03
	giveUpLine = "\x05\x15\r" // to its end, clear it, enter
)

// newKeys starts a goroutine that reads in. It ends with in, or when the next
// key is typed after ctx: a read of a terminal cannot be interrupted.
func newKeys(ctx context.Context, in io.Reader) *keys {
	k := &keys{ctx: ctx, chunks: make(chan []byte)}
	go func() {
		defer close(k.chunks)
		for {
			buf := make([]byte, 256)
			n, err := in.Read(buf)
			if n > 0 {
				select {
				case k.chunks <- buf[:n]:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return k
}

// Read hands over what was typed up to the next Ctrl-C.
func (k *keys) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		select {
		case <-k.ctx.Done():
			return 0, context.Cause(k.ctx)
		case chunk, ok := <-k.chunks:
			if !ok {
				return 0, io.EOF
			}
			k.rest = chunk
		}
	}
	if k.rest[0] == ctrlC {
		k.rest, k.gaveUp = k.rest[1:], true
		return copy(p, giveUpLine), nil
	}
	end := bytes.IndexByte(k.rest, ctrlC)
	if end < 0 {
		end = len(k.rest)
	}
	n := copy(p, k.rest[:end])
	k.rest = k.rest[n:]
	return n, nil
}

// broken reports whether the line was given up, once.
func (k *keys) broken() bool {
	was := k.gaveUp
	k.gaveUp = false
	return was
}

// historyPath is the file of the lines that were typed, in the user's folder of state.
func historyPath() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(dir, "ainur", "console_history")
}

// mostHistory is how many lines are kept.
const mostHistory = 1000

// history is the lines that were typed, the oldest first.
type history struct {
	lines []string
	file  *os.File // nil: they are kept in memory only
}

// openHistory reads the lines of a file and appends to it. The history is
// usable with an error, too. Only the user may read the file.
func openHistory(path string) (*history, error) {
	h := &history{}
	if path == "" {
		return h, errors.New("there is no home folder")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return h, err
	}
	src, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return h, err
	}
	if text := strings.TrimSuffix(string(src), "\n"); text != "" {
		h.lines = strings.Split(text, "\n")
	}
	if len(h.lines) > mostHistory {
		h.lines = h.lines[len(h.lines)-mostHistory:]
		if err := os.WriteFile(path, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600); err != nil {
			return h, err
		}
	}
	h.file, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return h, err
}

// Add keeps a line, unless it is the one before again.
func (h *history) Add(line string) {
	if line = strings.TrimSpace(line); line == "" || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if h.file == nil {
		return
	}
	if _, err := h.file.WriteString(line + "\n"); err != nil { // a full disk: go on in memory
		h.Close()
		h.file = nil
	}
}

// Len and At are as term.Terminal wants them: At(0) is the last line.
func (h *history) Len() int { return len(h.lines) }

// At is the line i before the last.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }

// Close closes the file.
func (h *history) Close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}
