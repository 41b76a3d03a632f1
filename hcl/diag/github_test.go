package diag_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/diag"
)

func TestGitHub(t *testing.T) {
	files, at := source("a = 1\n\té👍🏽tat = wrong\nc = <<E\nx\nE\n")
	comma := hcl.Range{Filename: "a,b:c%.hcl", Start: hcl.InitialPos, End: hcl.InitialPos}
	for name, tt := range map[string]struct {
		problem diag.Problem
		want    string
	}{
		"a place, a note": {
			diag.Problem{ID: "AIN1102", Summary: "100% wrong: a, b", At: at("wrong"), Label: "here", Notes: []diag.Note{diag.Help("line\r\nnext")}},
			"::error file=f.hcl,line=2,col=11,endColumn=15,title=AIN1102::100%25 wrong: a, b; here%0Ahelp: line%0D%0Anext\n",
		},
		"several lines have no columns": {
			diag.Problem{ID: "AIN1102", Summary: "s", At: at("<<E\nx\nE"), Warning: true}, "::warning file=f.hcl,line=3,endLine=5,title=AIN1102::s\n",
		},
		"what would end a property": {
			diag.Problem{ID: "AIN1102", Summary: "s", At: &comma}, "::error file=a%2Cb%3Ac%25.hcl,line=1,col=1,endColumn=1,title=AIN1102::s\n",
		},
		"no place":      {diag.Problem{ID: "AIN1002", Summary: "s"}, "::error title=AIN1002::s\n"},
		"neither":       {diag.Problem{Summary: "s"}, "::error::s\n"},
		"another place": {diag.Problem{ID: "X", Summary: "s", At: at("1"), Related: []diag.Related{{At: *at("c"), Label: "r"}}}, "::error file=f.hcl,line=1,col=5,endColumn=5,title=X::s%0Af.hcl:3: r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := diag.GitHub(&b, diagnostics(tt.problem), diag.Checkout{Files: files}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever a message holds, a diagnostic is one line, and reads back.
func TestGitHubProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		summary := rapid.StringMatching(`[a-z%:,\r\n0-9é]{0,20}`).Draw(t, "summary")
		var b strings.Builder
		if err := diag.GitHub(&b, diagnostics(diag.Problem{ID: "X", Summary: summary}), diag.Checkout{}); err != nil {
			t.Fatal(err)
		}
		line, rest, _ := strings.Cut(b.String(), "\n")
		escaped, ok := strings.CutPrefix(line, "::error title=X::")
		got := strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n").Replace(escaped)
		if !ok || rest != "" || strings.ContainsAny(line, "\r") || got != summary {
			t.Fatalf("%q became %q", summary, b.String())
		}
	})
}
