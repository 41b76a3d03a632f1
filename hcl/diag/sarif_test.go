package diag_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/diag"
)

func diagnostics(problems ...diag.Problem) (diags hcl.Diagnostics) {
	for _, p := range problems {
		diags = append(diags, p.Diagnostic())
	}
	return diags
}

// log is what the tests read of a SARIF log.
type log struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name, Version string
				Rules         []struct {
					ID               string
					ShortDescription text
					FullDescription  text
					Help             text
				}
			}
		}
		ColumnKind  string
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct {
				Level          string
				Message        text
				AssociatedRule struct {
					ID    string
					Index int
				}
			}
		}
		Results []struct {
			RuleID              string
			RuleIndex           int
			Level               string
			Message             text
			Locations           []location
			RelatedLocations    []location
			PartialFingerprints map[string]string
			Fixes               []struct {
				ArtifactChanges []struct {
					ArtifactLocation struct{ URI string }
					Replacements     []struct {
						DeletedRegion   region
						InsertedContent text
					}
				}
			}
		}
	}
}

type (
	text     struct{ Text string }
	region   struct{ StartLine, StartColumn, EndLine, EndColumn int }
	location struct {
		ID               int
		Message          text
		PhysicalLocation struct {
			ArtifactLocation struct{ URI string }
			Region           region
		}
	}
)

func sarif(t *testing.T, at diag.Checkout, problems ...diag.Problem) (l log) {
	t.Helper()
	var b bytes.Buffer
	if err := diag.SARIF(&b, diagnostics(problems...), at, "0.3.0"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	if l.Version != "2.1.0" || len(l.Runs) != 1 || l.Runs[0].Tool.Driver.Name != "ainur" || l.Runs[0].Tool.Driver.Version != "0.3.0" || l.Runs[0].ColumnKind != "unicodeCodePoints" {
		t.Fatalf("got %+v", l)
	}
	return l
}

func TestSARIF(t *testing.T) {
	files, at := source("a = 1\n\té👍🏽tat = wrong\nc = <<E\nx\nE\n")
	p := diag.Problem{
		ID: "AIN1204", Summary: "a { duration", At: at("wrong"), Label: "here", Suggest: []string{"strong"}, Notes: []diag.Note{diag.Help("h")},
		Related: []diag.Related{{At: *at("<<E\nx\nE"), Label: "r"}}, Fix: []diag.Edit{{At: *at("wrong"), Text: "strong"}, {At: *at("1"), Text: "2"}},
	}
	warning := diag.Problem{ID: "AIN9999", Summary: "w", At: at("c"), Warning: true}
	l := sarif(t, diag.Checkout{Files: files}, p, p, warning)
	rules := l.Runs[0].Tool.Driver.Rules
	if len(rules) != 2 || rules[0].ID != "AIN1204" || rules[0].ShortDescription.Text != "a quantity needs a unit" || rules[1].ShortDescription.Text != "w" {
		t.Errorf("rules are %+v", rules)
	}
	for _, r := range rules {
		if r.ShortDescription.Text == "" || r.FullDescription.Text == "" || r.Help.Text == "" {
			t.Errorf("GitHub wants texts of rule %+v", r)
		}
	}
	results := l.Runs[0].Results
	if len(results) != 2 {
		t.Fatalf("results are %+v", results)
	}
	r := results[0]
	if r.RuleID != "AIN1204" || r.RuleIndex != 0 || r.Level != "error" || r.Message.Text != "a {{ duration; here; did you mean \"strong\"?\nhelp: h" {
		t.Errorf("result is %+v", r)
	}
	wrong := region{2, 11, 2, 16} // of one tab, six code points and " = "
	if got := r.Locations[0].PhysicalLocation; got.ArtifactLocation.URI != "f.hcl" || got.Region != wrong {
		t.Errorf("location is %+v", got)
	}
	if got := r.RelatedLocations[0]; got.ID != 1 || got.Message.Text != "r" || got.PhysicalLocation.Region != (region{3, 5, 5, 2}) {
		t.Errorf("related location is %+v", got)
	}
	changes := r.Fixes[0].ArtifactChanges
	if len(changes) != 1 || len(changes[0].Replacements) != 2 || changes[0].Replacements[0].DeletedRegion != wrong || changes[0].Replacements[0].InsertedContent.Text != "strong" {
		t.Errorf("fix is %+v", changes)
	}
	if got := results[1]; got.Level != "warning" || got.RuleIndex != 1 {
		t.Errorf("warning is %+v", got)
	}
}

// What GitHub would not show for want of a place is a notification, unless
// another place has to do with it.
func TestSARIFWithoutPlace(t *testing.T) {
	files, at := source("ab = cd\n")
	flag := hcl.Range{Filename: "--var rate", Start: hcl.InitialPos, End: hcl.InitialPos}
	l := sarif(t, diag.Checkout{Files: files},
		diag.Problem{ID: "AIN1002", Summary: "gone"}, diag.Problem{Summary: "no id"},
		diag.Problem{ID: "AIN1404", Summary: "refused", At: &flag, Related: []diag.Related{{At: *at("cd"), Label: "the condition is here"}}},
	)
	run := l.Runs[0]
	if notes := run.Invocations[0].ToolExecutionNotifications; len(notes) != 2 || run.Invocations[0].ExecutionSuccessful || notes[0].Message.Text != "gone" || notes[0].AssociatedRule.ID != "AIN1002" || notes[1].AssociatedRule.ID != "" {
		t.Errorf("notifications are %+v", notes)
	}
	if r := run.Results; len(r) != 1 || r[0].Locations[0].PhysicalLocation.Region != (region{1, 6, 1, 8}) {
		t.Errorf("results are %+v", r)
	}
	empty := sarif(t, diag.Checkout{}).Runs[0]
	if empty.Results == nil || empty.Tool.Driver.Rules == nil || !empty.Invocations[0].ExecutionSuccessful {
		t.Errorf("nothing wrong is %+v", empty)
	}
}

func TestSARIFURI(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for file, want := range map[string]string{
		"lab.ainur.hcl": "lab.ainur.hcl", "./a b/ü%.hcl": "a%20b/%C3%BC%25.hcl", "a:b.hcl": "./a:b.hcl", filepath.Join(dir, "x", "y.hcl"): "x/y.hcl",
		"/elsewhere/z.hcl": "file:///elsewhere/z.hcl", "../up.hcl": "../up.hcl", "a[1]#?.hcl": "a%5B1%5D%23%3F.hcl",
	} {
		at := hcl.Range{Filename: file, Start: hcl.InitialPos, End: hcl.InitialPos}
		l := sarif(t, diag.Checkout{Root: dir}, diag.Problem{ID: "AIN1002", Summary: "s", At: &at})
		if got := l.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI; got != want {
			t.Errorf("the URI of %s is %q, want %q", file, got, want)
		}
	}
}

// A name of a file comes back from its URI, whatever is in it.
func TestSARIFURIProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		file := rapid.StringMatching(`[a-zé %#?:\[\]+&,;=@!~'"<>]{1,12}\.hcl`).Draw(rt, "file")
		at := hcl.Range{Filename: file, Start: hcl.InitialPos, End: hcl.InitialPos}
		l := sarif(t, diag.Checkout{}, diag.Problem{ID: "AIN1002", Summary: "s", At: &at})
		u, err := url.Parse(l.Runs[0].Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI)
		if err != nil || strings.TrimPrefix(u.Path, "./") != file || u.Scheme != "" || u.RawQuery != "" || u.Fragment != "" {
			rt.Fatalf("%q became %v, %v", file, u, err)
		}
	})
}

// A fingerprint stays when lines move, and tells equal lines apart.
func TestSARIFFingerprints(t *testing.T) {
	prints := func(src string, lines ...int) (all []string) {
		files := map[string]*hcl.File{"f.hcl": {Bytes: []byte(src)}}
		var problems []diag.Problem
		for _, n := range lines {
			start := 0
			for range n - 1 {
				start += strings.IndexByte(src[start:], '\n') + 1
			}
			at := hcl.Range{Filename: "f.hcl", Start: hcl.Pos{Line: n, Column: 1, Byte: start}, End: hcl.Pos{Line: n, Column: 2, Byte: start + 1}}
			problems = append(problems, diag.Problem{ID: "AIN1102", Summary: "s", At: &at})
		}
		for _, r := range sarif(t, diag.Checkout{Files: files}, problems...).Runs[0].Results {
			all = append(all, r.PartialFingerprints["primaryLocationLineHash"])
		}
		return all
	}
	before, after := prints("x\ny\n  x\n", 1, 2, 3), prints("\n\nx\n\ny\nx\n", 3, 5, 6)
	if diff := cmp.Diff(before, after); diff != "" || before[0] == before[2] || before[0] == before[1] {
		t.Errorf("fingerprints are %q, and after a move %q", before, after)
	}
}
