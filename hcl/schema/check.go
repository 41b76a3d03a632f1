package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl/diag"
)

// Check finds what does not fit def in a body: unknown, missing and repeated
// blocks, arguments and labels. It evaluates nothing.
func Check(body *hclsyntax.Body, def *Block) hcl.Diagnostics {
	c := &checker{}
	c.body(body, def, "", body.MissingItemRange())
	return c.diags
}

// Owner names a block for messages: load "steady".
func Owner(kind string, labels ...string) string {
	for _, l := range labels {
		kind += fmt.Sprintf(" %q", l)
	}
	return kind
}

type checker struct{ diags hcl.Diagnostics }

func (c *checker) report(p diag.Problem) { c.diags = append(c.diags, p.Diagnostic()) }

// body checks body against def; owner is "" for a file, at is where something missing is reported.
func (c *checker) body(body *hclsyntax.Body, def *Block, owner string, at hcl.Range) {
	if def.Free || def.Policy != "" {
		for _, b := range body.Blocks {
			c.report(diag.Problem{ID: "AIN1101", Summary: owner + " takes no blocks", At: &b.TypeRange, Notes: []diag.Note{diag.Help("write %s = ...", b.Type)}})
		}
		c.missing(body, def, owner, at, nil, nil)
		return
	}
	in := ""
	if owner != "" {
		in = " in " + owner
	}
	meant := map[string]bool{} // missing things that a misspelling explains
	for _, name := range sorted(body) {
		a := body.Attributes[name]
		attr := def.Attr(name)
		switch {
		case attr != nil, name == "for_each" && def.ForEach:
		case def.Block(name) != nil:
			c.report(diag.Problem{ID: "AIN1107", Summary: fmt.Sprintf("%q is a block%s", name, in), At: &a.NameRange, Notes: []diag.Note{diag.Help("write %s { ... }, without =", head(def.Block(name)))}})
			meant[name] = true
			meant[def.Block(name).Unless] = true
		default:
			c.unknown(a, body, def, in, meant)
		}
	}
	count := map[string]*hclsyntax.Block{}
	for _, b := range body.Blocks {
		c.block(b, def, in, meant, count)
	}
	c.missing(body, def, owner, at, meant, count)
}

// missing reports what def requires and body lacks.
func (c *checker) missing(body *hclsyntax.Body, def *Block, owner string, at hcl.Range, meant map[string]bool, count map[string]*hclsyntax.Block) {
	given := func(name string) bool { return body.Attributes[name] != nil || count[name] != nil }
	for _, a := range def.Attrs {
		if !a.Required || meant[a.Name] || given(a.Name) || a.Unless != "" && given(a.Unless) {
			continue
		}
		alternative := ""
		if a.Unless != "" {
			alternative = fmt.Sprintf(" or %q", a.Unless)
		}
		c.report(diag.Problem{ID: "AIN1103", Summary: fmt.Sprintf("%s needs %q%s", owner, a.Name, alternative), At: &at, Notes: []diag.Note{diag.Help("%s: %s", a.Name, a.about())}})
	}
	for _, b := range def.Blocks {
		if b.Required && !given(b.Type) && !meant[b.Type] && (b.Unless == "" || !given(b.Unless)) {
			c.report(diag.Problem{ID: "AIN1103", Summary: fmt.Sprintf("%s needs a %s block", owner, b.Type), At: &at, Notes: []diag.Note{diag.Help("%s: %s", head(b), b.Doc)}})
		}
	}
	c.alternatives(body, def, owner, at, meant)
}

// alternatives checks the arguments of which one has to be given, and the others not.
func (c *checker) alternatives(body *hclsyntax.Body, def *Block, owner string, at hcl.Range, meant map[string]bool) {
	options := append(slices.Clone(def.OneOf), def.SomeOf...)
	var given []string
	for _, name := range options {
		if meant[name] {
			return
		}
		if body.Attributes[name] != nil {
			given = append(given, name)
		}
	}
	switch {
	case len(options) > 0 && len(given) == 0:
		p := diag.Problem{ID: "AIN1110", Summary: fmt.Sprintf("%s needs %s", owner, diag.Or(options)), At: &at}
		for _, name := range options {
			p.Notes = append(p.Notes, diag.Help("%s: %s", name, def.Attr(name).about()))
		}
		c.report(p)
	case len(given) > 1 && len(def.OneOf) > 0:
		first, second := body.Attributes[given[0]], body.Attributes[given[1]]
		if first.NameRange.Start.Byte > second.NameRange.Start.Byte {
			first, second = second, first
		}
		c.report(diag.Problem{
			ID: "AIN1110", Summary: fmt.Sprintf("%s has %s and %s: keep one", owner, first.Name, second.Name), At: &second.NameRange,
			Related: []diag.Related{{At: first.NameRange, Label: first.Name + " is here"}},
		})
	}
}

// unknown reports an argument that def does not have, and what it may stand for.
func (c *checker) unknown(a *hclsyntax.Attribute, body *hclsyntax.Body, def *Block, in string, meant map[string]bool) {
	if in == "" {
		c.report(diag.Problem{
			ID: "AIN1102", Summary: fmt.Sprintf("argument %q outside any block", a.Name), At: &a.NameRange,
			Notes: []diag.Note{diag.Help("put it in a block, such as locals { %s = ... }", a.Name)},
		})
		return
	}
	p := diag.Problem{ID: "AIN1102", Summary: fmt.Sprintf("unknown argument %q%s", a.Name, in), At: &a.NameRange}
	p.Suggest = diag.Suggest(a.Name, slices.DeleteFunc(def.attrNames(), func(n string) bool { return body.Attributes[n] != nil }))
	if len(p.Suggest) > 0 {
		if best := def.Attr(p.Suggest[0]); best.Required {
			meant[best.Name] = true
			p.Notes = append(p.Notes, diag.Remark("%q is required here and was not given otherwise", best.Name))
		}
		p = p.Rename(a.NameRange, a.Name)
	} else {
		p.Notes = append(p.Notes, diag.Help("it takes %s", strings.Join(def.attrNames(), ", ")))
	}
	c.report(p)
}

// block checks one block inside a body of def.
func (c *checker) block(b *hclsyntax.Block, parent *Block, in string, meant map[string]bool, count map[string]*hclsyntax.Block) {
	kind, labels, body := b.Type, b.Labels, b.Body
	def := parent.Block(kind)
	if kind == "dynamic" && in != "" && len(labels) == 1 {
		kind = labels[0]
		if def = parent.Block(kind); def != nil {
			body = c.dynamic(b, def)
			if count[kind] = b; body == nil {
				return
			}
		}
	}
	if def == nil {
		c.unknownBlock(b, kind, parent, in, meant)
		return
	}
	if first := count[kind]; first != nil && def.Once {
		at := b.DefRange()
		c.report(diag.Problem{ID: "AIN1106", Summary: fmt.Sprintf("only one %s block is allowed%s", kind, in), At: &at, Related: []diag.Related{{At: first.DefRange(), Label: "the first is here"}}})
		return
	}
	count[kind] = b
	owner := Owner(kind)
	if b.Type != "dynamic" {
		if !c.labels(b, def) {
			return
		}
		owner = Owner(kind, labels...)
		if def.Variants != nil {
			if def = c.variant(b, def); def == nil {
				return
			}
		}
	}
	c.body(body, def, owner, b.DefRange())
}

// dynamic checks a dynamic block and returns its content, or nil.
func (c *checker) dynamic(b *hclsyntax.Block, def *Block) *hclsyntax.Body {
	generator := &Block{
		Attrs: []Attr{
			{Name: "for_each", Type: plain(Expr), Required: true, Doc: "map, object or list"},
			{Name: "labels", Type: plain(Expr), Required: def.Label != "", Doc: "labels of each block, such as [" + def.Type + ".key]"},
			{Name: "iterator", Type: plain(Expr), Doc: "name to use instead of " + def.Type},
		},
		Blocks: []*Block{{Type: "content", Required: true, Once: true, Free: true, Doc: "what each block holds"}},
	}
	errors := len(c.diags)
	shell := *b.Body
	shell.Blocks = nil
	var content *hclsyntax.Body
	for _, inner := range b.Body.Blocks {
		if inner.Type == "content" && content == nil {
			content = inner.Body
			inner = &hclsyntax.Block{Type: inner.Type, TypeRange: inner.TypeRange, OpenBraceRange: inner.OpenBraceRange, Body: &hclsyntax.Body{}}
		}
		shell.Blocks = append(shell.Blocks, inner)
	}
	c.body(&shell, generator, Owner("dynamic", def.Type), b.DefRange())
	if len(c.diags) > errors {
		return nil
	}
	return content
}

func (c *checker) unknownBlock(b *hclsyntax.Block, kind string, parent *Block, in string, meant map[string]bool) {
	at := b.TypeRange
	if kind != b.Type {
		at = b.LabelRanges[0]
	}
	p := diag.Problem{ID: "AIN1101", Summary: fmt.Sprintf("unknown block %q%s", kind, in), At: &at}
	switch {
	case parent.Attr(kind) != nil:
		p.ID, p.Summary = "AIN1107", fmt.Sprintf("%q is an argument%s", kind, in)
		p.Notes = []diag.Note{diag.Help("write %s = ...", kind)}
		meant[kind] = true
	default:
		p.Suggest = diag.Suggest(kind, types(parent.Blocks))
		if len(p.Suggest) > 0 {
			meant[p.Suggest[0]] = true
			p = p.Rename(at, kind)
		} else if len(parent.Blocks) > 0 {
			p.Notes = []diag.Note{diag.Help("blocks here are %s", strings.Join(types(parent.Blocks), ", "))}
		}
	}
	c.report(p)
}

// labels checks number and form of the labels.
func (c *checker) labels(b *hclsyntax.Block, def *Block) bool {
	want := 0
	if def.Label != "" {
		want = 1
	}
	switch {
	case len(b.Labels) < want:
		c.report(diag.Problem{ID: "AIN1104", Summary: fmt.Sprintf("%s needs a %s", b.Type, def.Label), At: &b.TypeRange, Notes: []diag.Note{diag.Help("write %s { ... }", head(def))}})
		return false
	case len(b.Labels) > want:
		c.report(diag.Problem{ID: "AIN1104", Summary: fmt.Sprintf("%s has too many labels", b.Type), At: &b.LabelRanges[want], Notes: []diag.Note{diag.Help("write %s { ... }", head(def))}})
		return false
	case want == 1 && !hclsyntax.ValidIdentifier(b.Labels[0]):
		c.report(diag.Problem{
			ID: "AIN1108", Summary: fmt.Sprintf("%q cannot be a name", b.Labels[0]), At: &b.LabelRanges[0],
			Notes: []diag.Note{diag.Help("a name begins with a letter and has letters, digits, _ and -")},
		})
		return false
	case b.Type == "experiment" && b.Labels[0] == "latest":
		c.report(diag.Problem{
			ID: "AIN1108", Summary: `an experiment cannot be called "latest"`, At: &b.LabelRanges[0],
			Notes: []diag.Note{diag.Remark("results/latest leads to the latest run")},
		})
		return false
	}
	return true
}

func (c *checker) variant(b *hclsyntax.Block, def *Block) *Block {
	v := def.Variant(b.Labels[0])
	if v == nil {
		c.report(diag.Problem{
			ID: "AIN1105", Summary: fmt.Sprintf("unknown %s %s %q", b.Type, def.Label, b.Labels[0]), At: &b.LabelRanges[0],
			Suggest: diag.Suggest(b.Labels[0], types(def.Variants)),
			Notes:   []diag.Note{diag.Help("models are %s", strings.Join(types(def.Variants), ", "))},
		}.Rename(b.LabelRanges[0], b.Labels[0]))
	}
	return v
}

func head(def *Block) string {
	if def.Label == "" {
		return def.Type
	}
	return fmt.Sprintf("%s %q", def.Type, def.Label)
}

// about is the documentation of an argument in one line.
func (a Attr) about() string {
	if a.Doc == "" {
		return a.Type.String()
	}
	return a.Type.String() + ", " + a.Doc
}

// sorted lists the arguments in source order.
func sorted(body *hclsyntax.Body) []string {
	return slices.SortedFunc(maps.Keys(body.Attributes), func(a, b string) int {
		return body.Attributes[a].SrcRange.Start.Byte - body.Attributes[b].SrcRange.Start.Byte
	})
}
