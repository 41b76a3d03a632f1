// Package scaffold writes new experiments: from a template, with the hosts that
// the files of other tools name, or from the configuration of Ilúvatar.
package scaffold

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Experiment is a new experiment.
type Experiment struct {
	File  string // its name
	First string // what to do first with it: the arguments of ainur before the file
	Text  []byte
	Notes []string // what is not as it was in the files that it comes from
}

// Bounds of what is read.
const (
	maxSource = 16 << 20 // bytes of a file
	maxHosts  = 10_000
)

// errText is for a file that is no text.
var errText = errors.New("it is no text in UTF-8: save it as such")

// read reads a text file.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder: name the file in it", path)
	case info.Size() > maxSource:
		return nil, fmt.Errorf("%s has %d MiB, and %d are read", path, info.Size()>>20, maxSource>>20)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return src, checkText(src)
}

func checkText(src []byte) error {
	if !utf8.Valid(src) {
		return errText
	}
	return nil
}

// comment adds a line of comment.
func comment(body *hclwrite.Body, text string) {
	body.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte(strings.TrimRight("# "+oneLine(text), " ") + "\n")}})
}

// oneLine is text that can stand in a comment and on a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// names gives each thing an identifier of its own.
type names map[string]bool

// take makes name an identifier that none had before; prefix begins one that
// would begin with no letter.
func (n names) take(name, prefix string) string {
	id := identifier(name, prefix)
	for i := 2; n[id]; i++ {
		id = fmt.Sprintf("%s_%d", identifier(name, prefix), i)
	}
	n[id] = true
	return id
}

// identifier is name with _ for what an identifier may not have.
func identifier(name, prefix string) string {
	id := strings.Map(func(r rune) rune {
		if hclsyntax.ValidIdentifier("a" + string(r)) {
			return r
		}
		return '_'
	}, name)
	if id != name {
		id = strings.TrimLeft(id, "_-")
	}
	if !hclsyntax.ValidIdentifier(id) {
		id = prefix + strings.TrimLeft(id, "_-")
	}
	return id
}

// notes are remarks for the user, each once.
type notes []string

func (n *notes) add(format string, args ...any) {
	text := oneLine(fmt.Sprintf(format, args...))
	if !slices.Contains(*n, text) {
		*n = append(*n, text)
	}
}

// from is the base name of a path, for comments.
func from(path string) string { return filepath.Base(path) }
