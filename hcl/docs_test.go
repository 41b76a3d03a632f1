package hcl_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
)

// Every snippet of the documentation is valid, but for what it refers to and
// does not show, and in canonical style.
func TestDocSnippets(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := 0
	for _, page := range append(pages, "../README.md") {
		src, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(src), "\n```hcl\n")[1:] {
			text, _, _ := strings.Cut(part, "```\n")
			snippets++
			t.Run(fmt.Sprint(filepath.Base(page), " ", i), func(t *testing.T) {
				o := options()
				o.Overlay = map[string][]byte{"../examples/exp.ainur.hcl": []byte(text)}
				m, diags := hcl.Load("../examples/exp.ainur.hcl", o)
				diags = slices.DeleteFunc(all(m, diags), func(d *hcllib.Diagnostic) bool {
					id := d.Extra.(*diag.Problem).ID
					return d.Severity == hcllib.DiagWarning || id == "AIN1301" || id == "AIN1701" // not shown
				})
				if len(diags) > 0 {
					t.Error(render(t, m, diags))
				}
				if got := string(hcl.Format([]byte(text))); got != text {
					t.Errorf("not in style:\n%s", got)
				}
			})
		}
	}
	if snippets < 3 {
		t.Errorf("%d snippets", snippets)
	}
}
