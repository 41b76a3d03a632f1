package graph

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DOT writes g in the language of Graphviz. The edges of a loop are bold and
// dashed.
func DOT(w io.Writer, g Graph) error {
	if _, err := g.arcs(); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	b.WriteString("digraph {\n  rankdir=LR\n  node [shape=box, style=rounded, fontname=monospace]\n  edge [fontname=monospace, fontsize=11]\n")
	if g.Title != "" {
		fmt.Fprintf(b, "  label=%s\n  labelloc=t\n  fontname=monospace\n", dotText(g.Title))
	}
	names, of := g.groups()
	node := func(indent string, n Node) {
		label := dotEscape(n.label())
		if kind := n.kind(); kind != "" {
			label = dotEscape(kind) + `\n` + label
		}
		fmt.Fprintf(b, "%s%s [label=\"%s\"]\n", indent, dotID(n.ID), label)
	}
	for k, name := range names {
		fmt.Fprintf(b, "  subgraph cluster_%d {\n    label=%s\n    labeljust=l\n    style=dotted\n", k, dotText(name))
		for i, n := range g.Nodes {
			if of[i] == k {
				node("    ", n)
			}
		}
		b.WriteString("  }\n")
	}
	for i, n := range g.Nodes {
		if of[i] < 0 {
			node("  ", n)
		}
	}
	for _, e := range g.Edges {
		var attributes []string
		if e.Label != "" {
			attributes = append(attributes, "label="+dotText(e.Label))
		}
		if e.Cycle {
			attributes = append(attributes, `style="bold,dashed"`)
		}
		fmt.Fprintf(b, "  %s -> %s", dotID(e.From), dotID(e.To))
		if len(attributes) > 0 {
			fmt.Fprintf(b, " [%s]", strings.Join(attributes, ", "))
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.Flush()
}

// dotText is s as a quoted label.
func dotText(s string) string { return `"` + dotEscape(s) + `"` }

// dotEscape is s as it stands within the quotes of a label, where Graphviz
// reads escapes, such as \N, and HTML entities.
func dotEscape(s string) string {
	return dotLabel.Replace(strings.Join(lines(s), "\n"))
}

var dotLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "&", "&amp;")

// dotID is s as a quoted name. Graphviz reads \" in it and nothing else, so a
// backslash is doubled, which keeps names apart and the last quote a quote;
// what cannot be shown is spelt out.
func dotID(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	b.WriteByte('"')
	return b.String()
}
