package graph

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Mermaid writes g as a Mermaid flowchart. The edges of a loop are dotted.
func Mermaid(w io.Writer, g Graph) error {
	arcs, err := g.arcs()
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	if g.Title != "" {
		fmt.Fprintf(b, "---\ntitle: %s\n---\n", strconv.QuoteToASCII(line(g.Title)))
	}
	b.WriteString("flowchart LR\n")
	names, of := g.groups()
	node := func(indent string, i int) {
		label := mermaidText(g.Nodes[i].label())
		if kind := g.Nodes[i].kind(); kind != "" {
			label = mermaidText(kind) + "<br/>" + label
		}
		fmt.Fprintf(b, "%sn%d[\"%s\"]\n", indent, i, label)
	}
	for k, name := range names {
		fmt.Fprintf(b, "  subgraph g%d[\"%s\"]\n", k, mermaidText(name))
		for i := range g.Nodes {
			if of[i] == k {
				node("    ", i)
			}
		}
		b.WriteString("  end\n")
	}
	for i := range g.Nodes {
		if of[i] < 0 {
			node("  ", i)
		}
	}
	for i, e := range g.Edges {
		arrow := "-->"
		if e.Cycle {
			arrow = "-.->"
		}
		if e.Label != "" {
			arrow += `|"` + mermaidText(e.Label) + `"|`
		}
		fmt.Fprintf(b, "  n%d %s n%d\n", arcs[i].from, arrow, arcs[i].to)
	}
	return b.Flush()
}

// mermaidText is s as it stands within quotes: letters, digits and a few marks
// as they are, the rest as entity codes. Mermaid takes no empty text.
func mermaidText(s string) string {
	if s == "" {
		return " "
	}
	var b strings.Builder
	for i, l := range lines(s) {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for _, r := range l {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" _.,:/-()=+", r) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	return b.String()
}
