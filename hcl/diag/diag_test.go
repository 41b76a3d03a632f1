package diag_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/diag"
)

func TestSuggest(t *testing.T) {
	known := []string{"duration", "rate", "memory", "max_in_flight", "warmup", "p90", "p95", "p99"}
	for word, want := range map[string]string{
		"duraton": "duration", "DURATION": "duration", "dur": "duration", "raet": "rate", "qps": "rate", "mem": "memory", "warmpu": "warmup",
		"p98": "p90 p95 p99", "zzzzz": "", "x": "", "": "",
	} {
		if got := strings.Join(diag.Suggest(word, known), " "); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

// A known word is its own best suggestion, and there are never more than three.
func TestSuggestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		known := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z_é]{2,8}`), 1, 9, rapid.ID).Draw(t, "known")
		word := rapid.SampledFrom(known).Draw(t, "word")
		got := diag.Suggest(word, known)
		if len(got) == 0 || len(got) > 3 {
			t.Fatalf("Suggest(%q) = %q", word, got)
		}
	})
}

func source(text string) (map[string]*hcl.File, func(part string) *hcl.Range) {
	at := func(part string) *hcl.Range {
		i := strings.Index(text, part)
		pos := func(i int) hcl.Pos {
			line := strings.Count(text[:i], "\n") + 1
			return hcl.Pos{Line: line, Column: i - strings.LastIndex(text[:i], "\n"), Byte: i}
		}
		return &hcl.Range{Filename: "f.hcl", Start: pos(i), End: pos(i + len(part))}
	}
	return map[string]*hcl.File{"f.hcl": {Bytes: []byte(text)}}, at
}

func write(t *testing.T, files map[string]*hcl.File, o diag.Options, problems ...diag.Problem) string {
	t.Helper()
	var diags hcl.Diagnostics
	for _, p := range problems {
		diags = append(diags, p.Diagnostic())
	}
	var b strings.Builder
	if err := diag.Write(&b, files, diags, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWrite(t *testing.T) {
	files, at := source("a = 1\n\tétat = wrong\nc = <<E\nx\nE\n")
	for name, tt := range map[string]struct {
		problem diag.Problem
		want    string
	}{
		"tabs and letters of two bytes": {
			diag.Problem{ID: "X1", Summary: "s", At: at("wrong"), Label: "here"},
			"error[X1]: s\n  --> f.hcl:2:10\n   |\n 2 |  état = wrong\n   |         ^^^^^ here\n",
		},
		"a range of several lines is marked on its first": {
			diag.Problem{ID: "X1", Summary: "s", At: at("<<E\nx\nE")},
			"error[X1]: s\n  --> f.hcl:3:5\n   |\n 3 | c = <<E\n   |     ^^^\n",
		},
		"no place": {
			diag.Problem{ID: "X1", Summary: "s", Warning: true, Notes: []diag.Note{diag.Help("h")}},
			"warning[X1]: s\n   = help: h\n",
		},
		"no source": {
			diag.Problem{ID: "X1", Summary: "s", At: &hcl.Range{Filename: "gone", Start: hcl.Pos{Line: 3, Column: 4, Byte: 9}}, Label: "l"},
			"error[X1]: s\n  --> gone:3:4\n   = l\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, write(t, files, diag.Options{}, tt.problem)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The texts of the design for what is no mistake in a file.
func TestFacts(t *testing.T) {
	for want, p := range map[string]diag.Problem{
		`error[AIN2107]: host key of w1 (10.10.0.11) is not the one on file
  --> known_hosts:14
   |   on file   ssh-ed25519 SHA256:q3b…   added 2026-03-02
   |   offered   ssh-ed25519 SHA256:9xA…
   |
   = note: either the machine was re-imaged or someone is in between
   = help: if you re-imaged it: ainur doctor --forget-host w1   (asks before it writes)
`: {
			ID: "AIN2107", Summary: "host key of w1 (10.10.0.11) is not the one on file", At: &hcl.Range{Filename: "known_hosts", Start: hcl.Pos{Line: 14}},
			Facts: []string{"on file   ssh-ed25519 SHA256:q3b…   added 2026-03-02", "offered   ssh-ed25519 SHA256:9xA…"},
			Notes: []diag.Note{diag.Remark("either the machine was re-imaged or someone is in between"), diag.Help("if you re-imaged it: ainur doctor --forget-host w1   (asks before it writes)")},
		},
		`error[AIN2203]: w2 refused every key
   |   tried  SHA256:Yw1… (agent "work"), SHA256:0pQ… (~/.ssh/id_ed25519)
   |   server accepts  publickey
   |   user   faas, through faas@gate.lab.example.edu
   = note: sshd stops after MaxAuthTries (6 by default); only 2 of your agent's 9 keys were offered
   = help: set identity in cluster "lab" { ssh { identity = [...] } }
`: {
			ID: "AIN2203", Summary: "w2 refused every key",
			Facts: []string{`tried  SHA256:Yw1… (agent "work"), SHA256:0pQ… (~/.ssh/id_ed25519)`, "server accepts  publickey", "user   faas, through faas@gate.lab.example.edu"},
			Notes: []diag.Note{diag.Remark("sshd stops after MaxAuthTries (6 by default); only 2 of your agent's 9 keys were offered"), diag.Help("set identity in cluster \"lab\" { ssh { identity = [...] } }")},
		},
	} {
		if diff := cmp.Diff(want, write(t, nil, diag.Options{}, p)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestWriteSortsCountsAndDropsRepetitions(t *testing.T) {
	text := strings.Repeat("x\n", 30)
	files, _ := source(text)
	var problems []diag.Problem
	for i := 29; i >= 0; i-- {
		at := hcl.Range{Filename: "f.hcl", Start: hcl.Pos{Line: i + 1, Column: 1, Byte: 2 * i}, End: hcl.Pos{Line: i + 1, Column: 2, Byte: 2*i + 1}}
		p := diag.Problem{ID: "X1", Summary: fmt.Sprint("s", i), At: &at}
		problems = append(problems, p, p)
	}
	got := write(t, files, diag.Options{}, problems...)
	if strings.Count(got, "error[") != 20 || !strings.HasSuffix(got, "\nand 10 more\n") || !strings.HasPrefix(got, "error[X1]: s0\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestWidthAndColor(t *testing.T) {
	files, at := source("x = \"" + strings.Repeat("a", 100) + "\" + wrong + \"" + strings.Repeat("b", 100) + "\"\n")
	got := write(t, files, diag.Options{Width: 60}, diag.Problem{ID: "X1", Summary: "s", At: at("wrong")})
	lines := strings.Split(got, "\n")
	if i := strings.Index(lines[4], "^^^^^"); i < 0 || []rune(lines[3])[i] != 'w' || len([]rune(lines[3])) > 60 {
		t.Errorf("the caret is not below the word:\n%s", got)
	}
	colored := write(t, files, diag.Options{Color: true}, diag.Problem{ID: "X1", Summary: "s", At: at("wrong")})
	if !strings.Contains(colored, "\x1b[1;31merror[X1]\x1b[0m") || strings.Contains(got, "\x1b") {
		t.Errorf("colours are wrong:\n%q", colored)
	}
}

func TestJSON(t *testing.T) {
	_, at := source("ab = cd\n")
	p := diag.Problem{ID: "AIN1102", Summary: "s", At: at("cd"), Label: "l", Suggest: []string{"ce"}, Notes: []diag.Note{diag.Help("h")}, Related: []diag.Related{{At: *at("ab"), Label: "r"}}}
	got, err := json.Marshal(diag.JSON(hcl.Diagnostics{p.Diagnostic()}))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"id":"AIN1102","severity":"error","summary":"s","label":"l",` +
		`"place":{"file":"f.hcl","start":{"line":1,"column":6,"byte":5},"end":{"line":1,"column":8,"byte":7}},"suggestions":["ce"],` +
		`"related":[{"file":"f.hcl","start":{"line":1,"column":1,"byte":0},"end":{"line":1,"column":3,"byte":2},"label":"r"}],` +
		`"notes":[{"kind":"help","text":"h"}]}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, _ := json.Marshal(diag.JSON(nil)); string(got) != "[]" {
		t.Errorf("no diagnostics are %s", got)
	}
}
