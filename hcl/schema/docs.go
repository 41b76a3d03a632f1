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
	table(b, def.Attrs)
	for _, v := range def.Variants {
		fmt.Fprintf(b, "**`%s \"%s\"`**: %s\n\n", def.Type, v.Type, v.Doc)
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
		if a.Type.Kind == Later {
			continue
		}
		standard := ""
		switch {
		case a.Required && a.Unless != "":
			standard = "required without `" + a.Unless + "`"
		case a.Required:
			standard = "required"
		case a.Default != "":
			standard = "`" + a.Default + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, a.Type, standard, a.Doc)
	}
	b.WriteString("\n")
}
