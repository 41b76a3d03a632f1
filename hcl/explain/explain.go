// Package explain has a page for each diagnostic: what it means, a wrong
// experiment and a right one.
package explain

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// pages holds a file of Markdown for each id: a title, what it means, and the
// sections Wrong and Right. Front matter between lines of --- is not shown.
//
//go:embed pages/*.md
var pages embed.FS

// Page explains one diagnostic.
type Page struct {
	ID      string `json:"id"`      // "AIN1204"
	Title   string `json:"title"`   // one line, without a full stop
	Meaning string `json:"meaning"` // Markdown between the title and the examples
	Wrong   []File `json:"wrong"`   // an experiment that has the mistake; empty where files alone cannot have it
	Right   []File `json:"right"`   // the same without the mistake
	Untried string `json:"-"`       // why the examples do not show the mistake; "" where they do
	Text    string `json:"-"`       // the page as Markdown
}

// File is a file of an example, or, when its Name is "", a command.
type File struct {
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

// All lists the pages by id.
func All() []Page {
	var all []Page
	for _, id := range ids() {
		if p, ok := Find(id); ok {
			all = append(all, p)
		}
	}
	return all
}

// ids lists those that have a page, sorted.
func ids() []string {
	entries, _ := fs.ReadDir(pages, "pages") // embedded
	var all []string
	for _, e := range entries {
		all = append(all, strings.TrimSuffix(e.Name(), ".md"))
	}
	slices.Sort(all)
	return all
}

// Find is the page of an id.
func Find(id string) (Page, bool) {
	src, err := pages.ReadFile(path.Join("pages", id+".md"))
	if err != nil {
		return Page{}, false
	}
	return parse(id, string(src)), true
}

// ID is the id that a word stands for: "ain1204" and "1204" are "AIN1204".
func ID(word string) string {
	word = strings.ToUpper(strings.TrimSpace(word))
	if word != "" && strings.Trim(word, "0123456789") == "" {
		return "AIN" + word
	}
	return word
}

// parse reads a page.
func parse(id, src string) Page {
	p := Page{ID: id}
	if rest, ok := strings.CutPrefix(src, "---\n"); ok {
		var matter string
		matter, src, _ = strings.Cut(rest, "---\n")
		for line := range strings.Lines(matter) {
			if reason, ok := strings.CutPrefix(line, "untried:"); ok {
				p.Untried = strings.TrimSpace(reason)
			}
		}
	}
	p.Text = strings.TrimSpace(src) + "\n"
	title, rest, _ := strings.Cut(p.Text, "\n")
	p.Title = strings.TrimPrefix(strings.TrimPrefix(title, "# "), id+": ")
	meaning, examples, _ := strings.Cut(rest, "\n## Wrong\n")
	wrong, right, _ := strings.Cut(examples, "\n## Right\n")
	p.Meaning = strings.TrimSpace(meaning)
	p.Wrong, p.Right = files(wrong), files(right)
	return p
}

// files are the fenced blocks of a section: the word after the language is the
// name of the file.
func files(section string) []File {
	var all []File
	for {
		_, rest, ok := strings.Cut("\n"+section, "\n```")
		if !ok {
			return all
		}
		info, rest, _ := strings.Cut(rest, "\n")
		text, after, _ := strings.Cut("\n"+rest, "\n```")
		f := File{Text: strings.TrimPrefix(text, "\n") + "\n"}
		if _, name, named := strings.Cut(info, " "); named {
			f.Name = name
		}
		all = append(all, f)
		section = after
	}
}
