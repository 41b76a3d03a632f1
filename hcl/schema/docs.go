package schema

import (
	"fmt"
	"strings"
)

// String writes t as the documentation does: ref(worker), enum(a, b).
func (t Type) String() string {
	switch t.Kind {
	case Ref:
		s := "ref(" + strings.Join(t.Of, " or ") + ")"
		if t.Many {
			s += " or list"
		}
		return s
	case Enum:
		return "one of " + strings.Join(t.Values, ", ")
	case Enums:
		if len(t.Values) == 0 {
			return "list"
		}
		return "list of " + strings.Join(t.Values, ", ")
	case Bits:
		return "bandwidth"
	case Secret:
		return "ref(secret)"
	}
	return string(t.Kind)
}

// Markdown is the reference of every block, for docs/language.md.
func Markdown() string {
	var b strings.Builder
	for _, def := range Root.Blocks {
		write(&b, def, "", 3)
	}
	return b.String()
}

func write(b *strings.Builder, def *Block, within string, level int) {
	name := "`" + head(def) + "`"
	if within != "" {
		name += " in " + within
	}
	fmt.Fprintf(b, "%s %s\n\n%s", strings.Repeat("#", level), name, def.Doc)
	if def.ForEach {
		b.WriteString(" Takes `for_each`.")
	}
	b.WriteString("\n\n")
	if def.Lacking != 0 {
		b.WriteString(def.Lacking.refusal() + "\n\n")
	}
	table(b, def.Attrs)
	for _, v := range def.Variants {
		fmt.Fprintf(b, "**`%s \"%s\"`**: %s", def.Type, v.Type, v.Doc)
		if v.Lacking != 0 {
			b.WriteString(" " + v.Lacking.refusal())
		}
		b.WriteString("\n\n")
		table(b, v.Attrs)
	}
	for _, inner := range def.Blocks {
		if inner == arrival && def.Type != "load" {
			fmt.Fprintf(b, "Holds an `arrival` block.\n\n")
			continue
		}
		write(b, inner, def.Type, level+1)
	}
}

func table(b *strings.Builder, attrs []Attr) {
	if len(attrs) == 0 {
		return
	}
	b.WriteString("| argument | type | default | |\n| --- | --- | --- | --- |\n")
	for _, a := range attrs {
		standard := ""
		switch {
		case a.Required && a.Unless != "":
			standard = "required without `" + a.Unless + "`"
		case a.Required:
			standard = "required"
		case a.Default != "":
			standard = "`" + a.Default + "`"
		}
		doc := a.Doc
		if a.Lacking != 0 {
			doc = strings.TrimPrefix(doc+". "+a.Lacking.refusal(), ". ")
		}
		if note := a.Type.lackingNote(); note != "" {
			doc = strings.TrimPrefix(doc+". "+note, ". ")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, a.Type, standard, doc)
	}
	b.WriteString("\n")
}

// refusal says which engines do not have something yet.
func (e Engine) refusal() string {
	switch e {
	case Live:
		return "*This version validates and simulates it, and does not run it live.*"
	case Simulated:
		return "*This version validates it, and does not simulate it.*"
	}
	return "*This version validates it, and does not run it.*"
}

// lackingNote says which values engines do not have yet.
func (t Type) lackingNote() string {
	var names []string
	for _, v := range t.Values {
		if t.Lacking[v] != 0 {
			names = append(names, v)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "*This version validates " + strings.Join(names, ", ") + " only.*"
}
