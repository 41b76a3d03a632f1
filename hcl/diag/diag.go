// Package diag says what is wrong in an experiment: where, why, and what to write instead.
package diag

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/spec"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Sensitive marks values that are never shown.
const Sensitive = mark("sensitive")

type mark string

// Problem is one mistake. It travels as the Extra of an hcl.Diagnostic.
type Problem struct {
	ID      string     // "AIN1102", for `ainur explain`
	Warning bool       // not an error
	Summary string     // one line, lower case, without a full stop
	At      *hcl.Range // the part to blame, under the caret; nil when no file is
	Whole   *hcl.Range // the expression At is a part of, named as the place; nil means At
	Label   string     // beside the caret
	Suggest []string   // what may have been meant, best first; appended to Label
	Related []Related  // other places that matter
	Lines   []Line     // source lines shown in place of At's
	Facts   []string   // what was found, shown in place of the source
	Notes   []Note     // below
	Fix     []Edit     // certain to mend it, all together; nil when it is not certain what was meant
}

// Edit replaces a stretch of source.
type Edit struct {
	At   hcl.Range
	Text string
}

// Rename offers to write the only suggestion over the word at a place, where it
// may be in quotes, if it is close enough to be certain.
func (p Problem) Rename(at hcl.Range, word string) Problem {
	if len(p.Suggest) != 1 || distance(strings.ToLower(word), p.Suggest[0]) > max(1, len(word)/4) {
		return p
	}
	text := p.Suggest[0]
	switch at.End.Byte - at.Start.Byte {
	case len(word):
	case len(word) + 2:
		text = `"` + text + `"`
	default:
		return p // not written as such: an escape, or a template
	}
	p.Fix = []Edit{{at, text}}
	p.Notes = append(p.Notes, Note{"fix", "rename it, or run `ainur validate --fix`"})
	return p
}

// Related is another place that matters to a Problem.
type Related struct {
	At    hcl.Range
	Label string
}

// Line is a line of source with a remark behind it.
type Line struct {
	At     hcl.Range
	Remark string
}

// Note is a remark below the source: Kind is "note", "help" or "fix".
type Note struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Help is a Note that says what to do.
func Help(format string, args ...any) Note { return Note{"help", fmt.Sprintf(format, args...)} }

// Remark is a Note that says what else is so.
func Remark(format string, args ...any) Note { return Note{"note", fmt.Sprintf(format, args...)} }

// Diagnostic is p for the hcl library and its callers.
func (p Problem) Diagnostic() *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: p.Summary, Subject: p.At, Context: p.Whole, Extra: &p}
	if p.Warning {
		d.Severity = hcl.DiagWarning
	}
	var detail []string
	if label := p.label(); label != "" {
		detail = append(detail, label)
	}
	for _, n := range p.Notes {
		detail = append(detail, n.Kind+": "+n.Text)
	}
	d.Detail = strings.Join(detail, "; ")
	return d
}

// label is Label with the suggestions.
func (p Problem) label() string {
	if len(p.Suggest) == 0 {
		return p.Label
	}
	quoted := make([]string, len(p.Suggest))
	for i, s := range p.Suggest {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	meant := "did you mean " + Or(quoted) + "?"
	if p.Label == "" {
		return meant
	}
	return p.Label + "; " + meant
}

// Or joins words: "a, b or c".
func Or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// From gives a diagnostic of the hcl library an id and the values it depends on.
func From(id string, d *hcl.Diagnostic) *hcl.Diagnostic {
	if _, ok := d.Extra.(*Problem); ok {
		return d
	}
	p := Problem{
		ID: id, Warning: d.Severity == hcl.DiagWarning, Summary: lowerFirst(strings.TrimSuffix(d.Summary, ".")),
		At: d.Subject,
	}
	if d.Detail != "" {
		p.Notes = append(p.Notes, Remark("%s", d.Detail))
	}
	if d.Expression != nil && d.EvalContext != nil {
		if values := Values(d.Expression.Variables(), d.EvalContext); values != "" {
			p.Notes = append(p.Notes, Remark("%s", values))
		}
	}
	return p.Diagnostic()
}

// lowerFirst lowers the first letter unless the word is an acronym.
func lowerFirst(s string) string {
	if len(s) > 1 && strings.ToUpper(s[:2]) == s[:2] {
		return s
	}
	return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):]
}

// Values shows what references evaluate to: "load.minute.overhead.p99 = 0.0231, var.n = 3".
// What has no simple value is left out, and each reference is shown once.
func Values(refs []hcl.Traversal, ctx *hcl.EvalContext) string {
	var shown []string
	seen := map[string]bool{}
	for _, ref := range refs {
		v, diags := ref.TraverseAbs(ctx)
		name := Traversal(ref)
		if diags.HasErrors() || seen[name] {
			continue
		}
		seen[name] = true
		if text := Value(v); text != "" {
			shown = append(shown, name+" = "+text)
		}
	}
	return strings.Join(shown, ", ")
}

// Value shows a string, number, bool or null; "" for anything else.
func Value(v cty.Value) string {
	switch {
	case v.IsMarked():
		return spec.Redacted
	case !v.IsKnown():
		return ""
	case v.IsNull():
		return "null"
	case v.Type() == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return fmt.Sprintf("%.6g", f)
	case v.Type() == cty.String, v.Type() == cty.Bool:
		b, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return ""
		}
		return string(b)
	}
	return ""
}

// Traversal writes a reference as in the source.
func Traversal(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			b.WriteString("[" + Value(s.Key) + "]")
		}
	}
	return b.String()
}
