package shell

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/url"
)

// filter replaces words in what it passes on, also where they come in pieces.
type filter struct {
	to    io.Writer
	words []word
	held  []byte // that may be the beginning of one
}

type word struct {
	from, to string
	found    func() // nil: nobody wants to know
}

// hiding are the words that show a secret, with what is shown instead.
func hiding(secret string) (words []word) {
	for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret), url.PathEscape(secret)} {
		words = append(words, word{form, "(sensitive)", nil})
	}
	return words
}

func (f *filter) Write(b []byte) (int, error) {
	if len(f.words) == 0 {
		return f.to.Write(b)
	}
	f.held = append(f.held, b...)
	for {
		at, w := f.next()
		if w == nil {
			break
		}
		if _, err := f.to.Write(append(f.held[:at:at], w.to...)); err != nil {
			return 0, err
		}
		f.held = f.held[at+len(w.from):]
		if w.found != nil {
			w.found()
		}
	}
	whole := len(f.held) - f.begun()
	if whole > 0 {
		if _, err := f.to.Write(f.held[:whole]); err != nil {
			return 0, err
		}
		f.held = append([]byte(nil), f.held[whole:]...)
	}
	return len(b), nil
}

// next is the first word in what is held.
func (f *filter) next() (at int, first *word) {
	for i, w := range f.words {
		if n := bytes.Index(f.held, []byte(w.from)); n >= 0 && (first == nil || n < at) {
			at, first = n, &f.words[i]
		}
	}
	return at, first
}

// begun is how many bytes at the end of what is held may be the beginning of a word.
func (f *filter) begun() (most int) {
	for _, w := range f.words {
		for n := min(len(w.from)-1, len(f.held)); n > most; n-- {
			if bytes.HasSuffix(f.held, []byte(w.from[:n])) {
				most = n
			}
		}
	}
	return most
}

// flush passes on what no word came of.
func (f *filter) flush() {
	_, _ = f.to.Write(f.held) // into a sink
	f.held = nil
}
