package hcl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// Doc explains a function, a block, or an argument by its name: seconds, load,
// load.duration, load.arrival.poisson.rate. A declared name may stand after
// that of its kind.
func (s *Session) Doc(name string) (string, error) {
	name = strings.TrimSuffix(strings.TrimSpace(name), "(")
	var topics []string
	if s.functions()[name] {
		topics = append(topics, functionDoc(name, s.m.functions[name]))
	}
	switch def, attr := s.defined(name); {
	case attr != nil:
		topics = append(topics, name+"\n"+attrDoc(*attr))
	case def != nil:
		topics = append(topics, blockDoc(name, def))
	}
	if len(topics) > 0 {
		return strings.Join(topics, "\n"), nil
	}
	prefix := name[:strings.LastIndex(name, ".")+1]
	near := diag.Suggest(name, s.CompleteTopic(prefix))
	if len(near) == 0 {
		return "", fmt.Errorf("nothing is called %q; name a function, a block, or an argument such as load.duration", name)
	}
	return "", fmt.Errorf("nothing is called %q; did you mean %s?", name, diag.Or(near))
}

// defined is the block or the argument that a dotted name leads to.
func (s *Session) defined(name string) (def *schema.Block, attr *schema.Attr) {
	def = schema.Root
	parts := strings.Split(name, ".")
	for i, part := range parts {
		switch {
		case attr != nil:
			f := slices.IndexFunc(attr.Type.Fields, func(a schema.Attr) bool { return a.Name == part })
			if f < 0 {
				return nil, nil
			}
			attr = &attr.Type.Fields[f]
		case def.Block(part) != nil:
			def = def.Block(part)
		case def.Variant(part) != nil:
			def = def.Variant(part)
		case def.Attr(part) != nil:
			def, attr = nil, def.Attr(part)
		case i == 1 && s.m.blocks[addr{parts[0], part}] != nil:
		default:
			return nil, nil
		}
	}
	return def, attr
}

func functionDoc(name string, f function.Function) string {
	var params []string
	var types []cty.Type
	for _, p := range f.Params() {
		params = append(params, p.Name+" "+typeText(p.Type, false).write(1000))
		types = append(types, p.Type)
	}
	if p := f.VarParam(); p != nil {
		params = append(params, p.Name+" "+typeText(p.Type, false).write(1000)+" ...")
	}
	result := "any"
	if t, err := f.ReturnType(types); err == nil {
		result = typeText(t, false).write(1000)
	}
	text := fmt.Sprintf("%s(%s) %s\n", name, strings.Join(params, ", "), result)
	if doc := f.Description(); doc != "" {
		text += "  " + doc + "\n"
	}
	return text
}

func blockDoc(name string, def *schema.Block) string {
	var b strings.Builder
	b.WriteString(name)
	if def.Label != "" {
		fmt.Fprintf(&b, " %q", def.Label)
	}
	fmt.Fprintf(&b, "\n  %s", plainDoc(def.Doc))
	if def.ForEach {
		b.WriteString(" Takes for_each.")
	}
	b.WriteString("\n")
	for _, a := range def.Attrs {
		fmt.Fprintf(&b, "\n  %s\n%s", a.Name, indented(attrDoc(a)))
	}
	for _, inner := range slices.Concat(def.Blocks, def.Variants) {
		fmt.Fprintf(&b, "\n  %s.%s\n    %s\n", name, inner.Type, plainDoc(inner.Doc))
	}
	return b.String()
}

func attrDoc(a schema.Attr) string {
	head := a.Type.String()
	switch {
	case a.Required && a.Unless != "":
		head += ", required without " + a.Unless
	case a.Required:
		head += ", required"
	case a.Default != "":
		head += ", default " + a.Default
	}
	var text strings.Builder
	text.WriteString("  " + head + "\n")
	if a.Doc != "" {
		text.WriteString("  " + plainDoc(a.Doc) + "\n")
	}
	for _, f := range a.Type.Fields {
		text.WriteString("\n  " + f.Name + "\n" + indented(attrDoc(f)))
	}
	return text.String()
}

// plainDoc is documentation for a terminal: without the marks of code.
func plainDoc(doc string) string { return strings.ReplaceAll(doc, "`", "") }

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
