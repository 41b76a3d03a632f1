package diag

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Checkout says where the files of diagnostics are, for programs that show them
// beside the source. The zero value leaves names and columns as they are.
type Checkout struct {
	Files map[string]*hcl.File // their sources, by name
	Root  string               // absolute path of the folder that names are written relative to; "" leaves them
}

// name is that of a file relative to Root, with slashes. A file that is not
// below Root keeps its path.
func (c Checkout) name(file string) string {
	if c.Root != "" {
		if whole, err := filepath.Abs(file); err == nil {
			if rel, err := filepath.Rel(c.Root, whole); err == nil && filepath.IsLocal(rel) {
				file = rel
			}
		}
	}
	return filepath.ToSlash(filepath.Clean(file))
}

// line is the source line that a byte of a file is on; ok is false when the
// source is not known.
func (c Checkout) line(file string, at int) (line []byte, start int, ok bool) {
	f := c.Files[file]
	if f == nil || at > len(f.Bytes) {
		return nil, 0, false
	}
	start = bytes.LastIndexByte(f.Bytes[:at], '\n') + 1
	line, _, _ = bytes.Cut(f.Bytes[start:], []byte("\n"))
	return line, start, true
}

// column is that of a position in code points, from 1. The hcl library counts
// what looks like one character.
func (c Checkout) column(file string, p hcl.Pos) int {
	line, start, ok := c.line(file, p.Byte)
	if !ok {
		return max(p.Column, 1)
	}
	return utf8.RuneCount(line[:min(p.Byte-start, len(line))]) + 1
}

// severity is "error" or "warning".
func (p Problem) severity() string {
	if p.Warning {
		return "warning"
	}
	return "error"
}

// where is the place in a file to show a problem at: its own, or, when it is in
// a value that a flag or the environment gave, the first that is related.
func (p Problem) where() *hcl.Range {
	for _, at := range p.places() {
		if at.Filename != "" && !strings.HasPrefix(at.Filename, "--") && !strings.HasPrefix(at.Filename, "AINUR_VAR_") {
			return &at
		}
	}
	return nil
}

// text is a problem without its source, in one line for each of its notes.
func (p Problem) text() string {
	lines := []string{p.Summary}
	if label := p.label(); label != "" {
		lines[0] += "; " + label
	}
	for _, n := range p.Notes {
		lines = append(lines, n.Kind+": "+n.Text)
	}
	return strings.Join(lines, "\n")
}

// others are the places beside its own that matter to a problem.
func (p Problem) others() []Related {
	all := p.Related
	for _, l := range p.Lines {
		all = append(all[:len(all):len(all)], Related{l.At, l.Remark})
	}
	return all
}
