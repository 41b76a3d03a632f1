package diag

import (
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// GitHub writes diags, sorted by place, as the workflow commands that GitHub
// Actions shows beside the source:
// ::error file=lab.ainur.hcl,line=3,col=3,endColumn=9,title=AIN1102::message
//
// Documented at https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
func GitHub(w io.Writer, diags hcl.Diagnostics, at Checkout) error {
	var out strings.Builder
	for _, d := range Sort(diags) {
		p := problemOf(d)
		var properties []string
		add := func(name string, value any) {
			properties = append(properties, name+"="+githubProperty.Replace(fmt.Sprint(value)))
		}
		if where := p.where(); where != nil {
			add("file", at.name(where.Filename))
			add("line", where.Start.Line)
			if where.End.Line > where.Start.Line { // GitHub refuses columns then
				add("endLine", where.End.Line)
			} else {
				first := at.column(where.Filename, where.Start)
				add("col", first)
				add("endColumn", max(first, at.column(where.Filename, where.End)-1)) // the last one
			}
		}
		if p.ID != "" {
			add("title", p.ID)
		}
		command := strings.TrimSpace(p.severity() + " " + strings.Join(properties, ","))
		lines := []string{p.text()}
		for _, other := range p.others() {
			lines = append(lines, fmt.Sprintf("%s:%d: %s", at.name(other.At.Filename), other.At.Start.Line, other.Label))
		}
		fmt.Fprintf(&out, "::%s::%s\n", command, githubMessage.Replace(strings.Join(lines, "\n")))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// What has a meaning in a workflow command, and what stands for it:
// https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
var (
	githubMessage  = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)
