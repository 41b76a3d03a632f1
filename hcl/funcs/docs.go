package funcs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Doc is the documentation of a function.
type Doc struct {
	Name      string
	Signature string // linspace(a, b, n)
	Summary   string // one sentence
	Params    []Param
	Example   string // a call
	Result    string // of the example, as an expression
	Group     string
}

// Param is the documentation of a parameter. The last one of a function may
// stand for any number of arguments.
type Param struct{ Name, Doc string }

// Docs is the documentation of every function, env included, group by group.
func Docs() []Doc {
	var docs []Doc
	for _, g := range append(groups(Options{Root: "."}), group{"Environment", []entry{env(nil)}}) {
		for _, e := range g.entries {
			e.Group = g.title
			if e.Signature == "" {
				e.Signature = e.signature()
			}
			docs = append(docs, e.Doc)
		}
	}
	return docs
}

// signature writes the parameters as calls have them.
func (e entry) signature() string {
	var names []string
	for _, p := range e.Params {
		names = append(names, p.Name)
	}
	s := e.Name + "(" + strings.Join(names, ", ")
	if e.fn.VarParam() != nil {
		s += "..."
	}
	return s + ")"
}

// Markdown is the reference of every function, for docs/language.md.
func Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "No call makes more than %d MiB of text or %d elements. What is not known before a run gives a result that is not known,\n", maxText>>20, maxList)
	b.WriteString("and what is sensitive gives one that is sensitive.\n\n")
	title := ""
	for _, d := range Docs() {
		if d.Group != title {
			title = d.Group
			fmt.Fprintf(&b, "### %s\n\n| function | | example |\n| --- | --- | --- |\n", title)
		}
		fmt.Fprintf(&b, "| %s | %s | %s is %s |\n", code(d.Signature), cell(d.Summary), code(d.Example), code(d.Result))
	}
	b.WriteString("### Absent on purpose\n\n| function | |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(Absent)) {
		fmt.Fprintf(&b, "| %s | %s |\n", code(name), cell(Absent[name]))
	}
	return strings.ReplaceAll(b.String(), "|\n###", "|\n\n###")
}

func code(s string) string { return "`" + cell(s) + "`" }

// cell is s inside a table.
func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
