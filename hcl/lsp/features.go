package lsp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// raw is plain data as JSON.
func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("lsp: " + err.Error()) // plain data marshals
	}
	return b
}

// hover explains what is at a place.
func (s *server) hover(p place) (any, error) {
	parts, call := term([]byte(p.doc.src), p.at)
	if parts == nil {
		parts = quoted([]byte(p.doc.src), p.at)
	}
	if parts == nil {
		return nil, nil
	}
	last := parts[len(parts)-1]
	text := ""
	c := at([]byte(p.doc.src), last.Range.End.Byte)
	switch {
	case call:
		text = functionDoc(string(last.Bytes))
	case c.naming && c.block != nil:
		name := string(last.Bytes)
		if a := c.block.Attr(name); a != nil {
			text = attrDoc(*a)
		} else if b := c.block.Block(name); b != nil {
			text = blockDoc(b)
		}
	case c.label && c.block != nil:
		text = variantDoc(c)
	case len(parts) > 1:
		text = s.referenceDoc(p, parts)
	}
	if text == "" {
		return nil, nil
	}
	return map[string]any{
		"contents": map[string]string{"kind": "markdown", "value": text},
		"range":    p.doc.span(last.Range.Start.Byte, last.Range.End.Byte),
	}, nil
}

func functionDoc(name string) string {
	for _, d := range funcs.Docs() {
		if d.Name == name {
			return fmt.Sprintf("```hcl\n%s\n```\n%s\n\n`%s` is `%s`", d.Signature, d.Summary, d.Example, d.Result)
		}
	}
	return ""
}

func attrDoc(a schema.Attr) string {
	text := fmt.Sprintf("`%s`: %s", a.Name, a.Type)
	switch {
	case a.Required && a.Unless != "":
		text += ", required without `" + a.Unless + "`"
	case a.Required:
		text += ", required"
	case a.Default != "":
		text += ", default `" + a.Default + "`"
	}
	if unit := unitOf(a.Type.Kind); unit != "" {
		text += "\n\nUnit: " + unit
	}
	if a.Doc != "" {
		text += "\n\n" + a.Doc
	}
	return text
}

// unitOf says how a quantity is written.
func unitOf(k schema.Kind) string {
	switch k {
	case schema.Duration, schema.Dist:
		return "a duration such as `\"20ms\"`, `\"1m30s\"`; computed numbers are seconds"
	case schema.Bytes:
		return "a size such as `\"64MiB\"`; computed numbers are bytes"
	case schema.Rate:
		return "a rate such as `\"50/s\"`, `\"10/m\"`; computed numbers are per second"
	case schema.Bits:
		return "a bandwidth such as `\"25Gbit/s\"`"
	}
	return ""
}

func blockDoc(b *schema.Block) string {
	text := "`" + b.Type
	if b.Label != "" {
		text += fmt.Sprintf(" %q", b.Label)
	}
	text += "`\n\n" + b.Doc
	if b.ForEach {
		text += " Takes `for_each`."
	}
	return text
}

// variantDoc explains the label of a block such as arrival "poisson".
func variantDoc(c cursor) string {
	if len(c.statement) == 0 {
		return ""
	}
	def := c.block.Block(string(c.statement[0].Bytes))
	if def == nil || def.Variant(c.word) == nil {
		return ""
	}
	v := def.Variant(c.word)
	var text strings.Builder
	text.WriteString(fmt.Sprintf("`%s \"%s\"`\n\n%s", def.Type, v.Type, v.Doc))
	for _, a := range v.Attrs {
		text.WriteString("\n\n" + attrDoc(a))
	}
	return text.String()
}

// referenceDoc is what a reference is, with its value where that is known.
func (s *server) referenceDoc(p place, parts []hclsyntax.Token) string {
	name := joined(parts)
	text := "`" + name + "`"
	if m := s.module(p.path); m != nil {
		if session, diags := m.Session("", nil); session != nil && !diags.HasErrors() {
			if answer, diags := session.Eval(name); !diags.HasErrors() {
				value := answer.HCL(80)
				if len(value) > 2000 {
					value = value[:2000] + " ..."
				}
				text += "\n```hcl\n" + strings.ToValidUTF8(value, "") + "\n```"
			}
		}
	}
	if kind := string(parts[0].Bytes); kind == "var" {
		text += "\n\nA variable."
	} else if b := schema.Root.Block(kind); b != nil {
		text += "\n\n" + b.Doc
	}
	return text
}

// Kinds of completions, as the protocol numbers them.
const (
	kindFunction = 3
	kindField    = 5
	kindModule   = 9
	kindValue    = 12
	kindEnum     = 13
)

type completion struct {
	Label         string `json:"label"`
	Kind          int    `json:"kind"`
	Detail        string `json:"detail,omitempty"`
	Documentation any    `json:"documentation,omitempty"`
	SortText      string `json:"sortText,omitempty"`
	TextEdit      any    `json:"textEdit,omitempty"`
}

// completion lists what may be written at a place.
func (s *server) completion(p place) (any, error) {
	c := at([]byte(p.doc.src), p.at)
	items := []completion{}
	add := func(kind int, label, detail, doc string) {
		edit := map[string]any{"range": p.doc.span(p.at-len(c.word), p.at), "newText": label}
		item := completion{Label: label, Kind: kind, Detail: detail, TextEdit: edit}
		if doc != "" {
			item.Documentation = map[string]string{"kind": "markdown", "value": doc}
		}
		items = append(items, item)
	}
	switch {
	case c.block == nil:
	case c.naming:
		for _, a := range c.block.Attrs {
			if !c.given[a.Name] {
				add(kindField, a.Name, a.Type.String(), attrDoc(a))
			}
		}
		for _, b := range c.block.Blocks {
			if !c.given[b.Type] {
				add(kindModule, b.Type, "block", blockDoc(b))
			}
		}
		if c.block.ForEach && !c.given["for_each"] {
			add(kindField, "for_each", "map, object or strings", "A block for each element.")
		}
	case c.label:
		s.labels(c, add)
	case c.quoted:
		if a := c.block.Attr(c.attr); a != nil {
			for _, v := range a.Type.Values {
				add(kindEnum, v, c.attr, a.Doc)
			}
		}
	default:
		if a := c.block.Attr(c.attr); a != nil && c.word == "" && len(c.statement) == 2 {
			for _, v := range a.Type.Values {
				add(kindEnum, `"`+v+`"`, c.attr, a.Doc)
			}
		}
		items = append(items, s.expression(p)...)
	}
	slices.SortFunc(items, func(a, b completion) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Label, b.Label)) })
	return items, nil
}

// labels are what a label may be: the models of arrival, the names of policies.
func (s *server) labels(c cursor, add func(kind int, label, detail, doc string)) {
	if len(c.statement) == 0 {
		return
	}
	kind := string(c.statement[0].Bytes)
	def := c.block.Block(kind)
	switch {
	case kind == "dynamic":
		for _, b := range c.block.Blocks {
			add(kindModule, b.Type, "block", b.Doc)
		}
	case def == nil:
	case def.Variants != nil:
		for _, v := range def.Variants {
			add(kindEnum, v.Type, def.Label, v.Doc)
		}
	case def.Policy != "":
		if a := c.block.Attr(def.Policy); a != nil {
			for _, name := range a.Type.Values {
				add(kindEnum, name, def.Policy, a.Doc)
			}
		}
	}
}

// expression completes an expression: names, attributes of what they stand for, functions.
func (s *server) expression(p place) []completion {
	lineStart := p.doc.lines[p.doc.position(p.at).Line]
	line := p.doc.src[lineStart:p.at]
	var items []completion
	if _, value, ok := strings.Cut(line, "="); ok && !strings.Contains(value, "=") {
		lineStart += len(line) - len(value)
		line = value
	}
	if i := strings.LastIndex(line, "${"); i >= 0 && strings.Count(line, `"`)%2 == 1 {
		lineStart += i + 2
		line = line[i+2:]
	}
	from, words := len(line), []string(nil)
	if m := s.module(p.path); m != nil {
		if session, diags := m.Session("", nil); session != nil && !diags.HasErrors() {
			from, words = session.Complete(line, len(line))
		}
	}
	if words == nil {
		from, words = s.declared(p, line)
	}
	docs := map[string]funcs.Doc{}
	for _, d := range funcs.Docs() {
		docs[d.Name] = d
	}
	for _, w := range words {
		item := completion{Label: w, Kind: kindValue, TextEdit: map[string]any{"range": p.doc.span(lineStart+from, p.at), "newText": w}}
		if d, ok := docs[strings.TrimSuffix(w, "(")]; ok && strings.HasSuffix(w, "(") {
			item.Kind, item.Detail, item.Documentation = kindFunction, d.Signature, d.Summary
		}
		items = append(items, item)
	}
	return items
}

// declared completes a name by what the files declare: for a module that
// cannot be evaluated.
func (s *server) declared(p place, line string) (from int, words []string) {
	from = strings.LastIndexAny(line, " \t([{,=!<>+-*/%&|?:\"") + 1
	typed := line[from:]
	names := map[string]bool{}
	for name, doc := range s.siblings(p.path) {
		for _, m := range scan([]byte(doc.src), strings.HasSuffix(name, ".ainurvars.hcl")) {
			if !m.declares {
				continue
			}
			full := m.kind + "." + m.name
			if m.kind == "host" {
				cluster, host, _ := strings.Cut(m.name, ".")
				full = "cluster." + cluster + ".host." + host
			}
			names[full], names[m.kind] = true, true
		}
	}
	for _, d := range funcs.Docs() {
		names[d.Name+"("] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if typed != "" && strings.HasPrefix(name, typed) {
			words = append(words, name)
		}
	}
	return from, words
}

// here is the mention at a place, or nil.
func here(p place) *mention {
	for _, m := range scan([]byte(p.doc.src), strings.HasSuffix(p.path, ".ainurvars.hcl")) {
		if m.from <= p.at && p.at <= m.to {
			return &m
		}
	}
	return nil
}

// mentions are all of the same thing, by file, in the files of the module.
func (s *server) mentions(p place, of *mention) map[string][]mention {
	all := map[string][]mention{}
	for name, doc := range s.siblings(p.path) {
		for _, m := range scan([]byte(doc.src), strings.HasSuffix(name, ".ainurvars.hcl")) {
			if m.kind == of.kind && m.name == of.name {
				all[name] = append(all[name], m)
			}
		}
	}
	return all
}

type location struct {
	URI   string `json:"uri"`
	Range span   `json:"range"`
}

func (s *server) locations(p place, keep func(mention) bool) (any, error) {
	list := []location{}
	if of := here(p); of != nil {
		files, texts := s.mentions(p, of), s.siblings(p.path)
		for _, name := range slices.Sorted(maps.Keys(files)) {
			for _, m := range files[name] {
				if keep(m) {
					list = append(list, location{uriOf(name), texts[name].span(m.from, m.to)})
				}
			}
		}
	}
	return list, nil
}

// definition is where the name at a place is declared.
func (s *server) definition(p place) (any, error) {
	return s.locations(p, func(m mention) bool { return m.declares })
}

// references are where the name at a place stands.
func (s *server) references(p place) (any, error) {
	return s.locations(p, func(mention) bool { return true })
}

// renamed is the variable or local at a place.
func (s *server) renamed(p place) (*mention, error) {
	of := here(p)
	switch {
	case of == nil:
		return nil, &rpcError{requestFailed, "there is no name here"}
	case of.kind != "var" && of.kind != "local":
		return nil, &rpcError{requestFailed, fmt.Sprintf("%s %q names what results are recorded under: only variables and locals are renamed", of.kind, of.name)}
	}
	for _, list := range s.mentions(p, of) {
		if slices.ContainsFunc(list, func(m mention) bool { return m.declares }) {
			return of, nil
		}
	}
	return nil, &rpcError{requestFailed, fmt.Sprintf("%s.%s is not declared in this folder", of.kind, of.name)}
}

func (s *server) prepareRename(p place) (any, error) {
	of, err := s.renamed(p)
	if err != nil {
		return nil, err
	}
	return map[string]any{"range": p.doc.span(of.from, of.to), "placeholder": of.name}, nil
}

type textEdit struct {
	Range   span   `json:"range"`
	NewText string `json:"newText"`
}

func (s *server) rename(p place) (any, error) {
	of, err := s.renamed(p)
	if err != nil {
		return nil, err
	}
	if !hclsyntax.ValidIdentifier(p.NewName) {
		return nil, &rpcError{invalidParams, fmt.Sprintf("%q cannot be a name: a name begins with a letter and has letters, digits, _ and -", p.NewName)}
	}
	for _, list := range s.mentions(p, &mention{kind: of.kind, name: p.NewName}) {
		if slices.ContainsFunc(list, func(m mention) bool { return m.declares }) {
			return nil, &rpcError{requestFailed, fmt.Sprintf("there is a %s.%s already", of.kind, p.NewName)}
		}
	}
	changes, texts := map[string][]textEdit{}, s.siblings(p.path)
	for name, list := range s.mentions(p, of) {
		for _, m := range list {
			changes[uriOf(name)] = append(changes[uriOf(name)], textEdit{texts[name].span(m.from, m.to), p.NewName})
		}
	}
	return map[string]any{"changes": changes}, nil
}

// symbols lists what a file declares.
func (s *server) symbols(p place) (any, error) {
	list := []map[string]any{}
	for _, m := range scan([]byte(p.doc.src), false) {
		if m.declares && m.kind != "host" {
			kind := 5 // class
			if m.kind == "var" || m.kind == "local" {
				kind = 13 // variable
			}
			list = append(list, map[string]any{
				"name": m.kind + "." + m.name, "kind": kind, "range": p.doc.span(m.from0, m.to0), "selectionRange": p.doc.span(m.from, m.to),
			})
		}
	}
	return list, nil
}

// formatting is the edits that put a file in the canonical style.
func (s *server) formatting(p place) (any, error) {
	formatted, diags := hcl.FormatFile(filepath.Base(p.path), []byte(p.doc.src))
	if diags.HasErrors() {
		return nil, &rpcError{requestFailed, diags[0].Summary}
	}
	if string(formatted) == p.doc.src {
		return []textEdit{}, nil
	}
	return []textEdit{{p.doc.span(0, len(p.doc.src)), string(formatted)}}, nil
}

// codeAction offers the certain repairs of what is wrong within a range.
func (s *server) codeAction(p place) (any, error) {
	from, to := p.doc.offset(p.Range.Start), p.doc.offset(p.Range.End)
	m, diags := s.load(snapshot{path: p.path, overlay: s.overlay(), utf8: s.utf8})
	diags = append(diags, m.Validate()...)
	actions := []any{}
	for _, d := range diag.Sort(diags) {
		problem, ok := d.Extra.(*diag.Problem)
		if !ok || len(problem.Fix) == 0 || problem.Fix[0].At.Filename != p.path {
			continue
		}
		first := problem.Fix[0]
		if first.At.Start.Byte > to || first.At.End.Byte < from {
			continue
		}
		var edits []textEdit
		for _, e := range problem.Fix {
			edits = append(edits, textEdit{p.doc.span(e.At.Start.Byte, e.At.End.Byte), e.Text})
		}
		actions = append(actions, map[string]any{
			"title": "write " + first.Text, "kind": "quickfix", "isPreferred": true,
			"edit": map[string]any{"changes": map[string]any{uriOf(p.path): edits}},
		})
	}
	return actions, nil
}
