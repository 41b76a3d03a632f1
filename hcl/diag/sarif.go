package diag

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl/explain"
)

// SARIF writes diags, sorted by place, as a log of SARIF 2.1.0 with one run, by
// a version of ainur. It has what GitHub code scanning asks for. A problem of no
// file, which GitHub would not show, is a notification of the run.
//
// Standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
func SARIF(w io.Writer, diags hcl.Diagnostics, at Checkout, version string) error {
	s := sarif{Checkout: at, rules: []sarifRule{}, seen: map[string]int{}}
	results, invocation := []sarifResult{}, sarifInvocation{Successful: true}
	for _, d := range Sort(diags) {
		p := problemOf(d)
		where := p.where()
		if where != nil {
			results = append(results, s.result(p, *where))
			continue
		}
		note := sarifNotification{Level: p.severity(), Message: message(p.text())}
		if p.ID != "" {
			note.Rule = &sarifReference{p.ID, s.rule(p)}
		}
		invocation.Notifications = append(invocation.Notifications, note)
		invocation.Successful = invocation.Successful && p.Warning
	}
	run := sarifRun{
		Tool: sarifTool{sarifDriver{"ainur", version, "https://github.com/ainur-faas/ainur", s.rules}}, Invocations: []sarifInvocation{invocation},
		ColumnKind: "unicodeCodePoints", Results: results,
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// The part of SARIF that is written. Numbers in comments are of its sections.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct { // 3.14
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct { // 3.19
		Name           string      `json:"name"`
		Version        string      `json:"version"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct { // 3.49
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
		Full  sarifText `json:"fullDescription"`
		Help  sarifText `json:"help"`
	}
	sarifText struct { // 3.11, 3.12
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct { // 3.20
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct { // 3.58
		Level   string          `json:"level"`
		Message sarifText       `json:"message"`
		Rule    *sarifReference `json:"associatedRule,omitempty"`
	}
	sarifReference struct {
		ID    string `json:"id"`
		Index int    `json:"index"`
	}
	sarifResult struct { // 3.27
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Related      []sarifLocation   `json:"relatedLocations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Fixes        []sarifFix        `json:"fixes,omitempty"`
	}
	sarifLocation struct { // 3.28
		ID       int           `json:"id,omitempty"`
		Physical sarifPhysical `json:"physicalLocation"`
		Message  *sarifText    `json:"message,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct { // 3.30: the end column is that after the last character
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn"`
		EndLine     int `json:"endLine"`
		EndColumn   int `json:"endColumn"`
	}
	sarifFix struct { // 3.55
		Description sarifText     `json:"description"`
		Changes     []sarifChange `json:"artifactChanges"`
	}
	sarifChange struct {
		Artifact     sarifArtifact      `json:"artifactLocation"`
		Replacements []sarifReplacement `json:"replacements"`
	}
	sarifReplacement struct {
		Deleted  sarifRegion `json:"deletedRegion"`
		Inserted sarifText   `json:"insertedContent"`
	}
)

// sarif makes the results of one run.
type sarif struct {
	Checkout
	rules []sarifRule
	seen  map[string]int // fingerprints, by how often
}

// rule is the number of the rule that a problem breaks.
func (s *sarif) rule(p Problem) int {
	if i := slices.IndexFunc(s.rules, func(r sarifRule) bool { return r.ID == p.ID }); i >= 0 {
		return i
	}
	r := sarifRule{ID: p.ID, Short: sarifText{Text: p.Summary}, Full: sarifText{Text: p.Summary}, Help: sarifText{Text: "run `ainur explain " + p.ID + "`"}}
	if page, ok := explain.Find(p.ID); ok {
		r.Short.Text, r.Full.Text = page.Title, page.Meaning
		r.Help = sarifText{page.Meaning, page.Text}
	}
	s.rules = append(s.rules, r)
	return len(s.rules) - 1
}

func (s *sarif) result(p Problem, where hcl.Range) sarifResult {
	r := sarifResult{
		RuleID: p.ID, RuleIndex: s.rule(p), Level: p.severity(), Message: message(p.text()),
		Locations:    []sarifLocation{{Physical: s.physical(where)}},
		Fingerprints: map[string]string{"primaryLocationLineHash": s.fingerprint(p, where)},
	}
	for i, other := range p.others() {
		label := message(other.Label)
		r.Related = append(r.Related, sarifLocation{i + 1, s.physical(other.At), &label})
	}
	if len(p.Fix) > 0 {
		r.Fixes = []sarifFix{s.fix(p)}
	}
	return r
}

// fix is the edits of a problem by file.
func (s *sarif) fix(p Problem) sarifFix {
	fix := sarifFix{Description: message("write what was meant")}
	for _, edit := range p.Fix {
		uri := s.uri(edit.At.Filename)
		i := slices.IndexFunc(fix.Changes, func(c sarifChange) bool { return c.Artifact.URI == uri })
		if i < 0 {
			i = len(fix.Changes)
			fix.Changes = append(fix.Changes, sarifChange{Artifact: sarifArtifact{uri}})
		}
		fix.Changes[i].Replacements = append(fix.Changes[i].Replacements, sarifReplacement{s.region(edit.At), sarifText{Text: edit.Text}})
	}
	return fix
}

// fingerprint tells a problem from others of its file wherever its line moves:
// a hash of the rule and the line, and a count of those that are equal.
func (s *sarif) fingerprint(p Problem, where hcl.Range) string {
	line, _, _ := s.line(where.Filename, where.Start.Byte)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", p.ID, bytes.TrimSpace(line)))
	print := hex.EncodeToString(sum[:8])
	key := where.Filename + "\x00" + print
	s.seen[key]++
	return fmt.Sprintf("%s:%d", print, s.seen[key])
}

func (s *sarif) physical(at hcl.Range) sarifPhysical {
	return sarifPhysical{sarifArtifact{s.uri(at.Filename)}, s.region(at)}
}

func (s *sarif) region(at hcl.Range) sarifRegion {
	return sarifRegion{
		StartLine: max(at.Start.Line, 1), StartColumn: s.column(at.Filename, at.Start),
		EndLine: max(at.End.Line, 1), EndColumn: s.column(at.Filename, at.End),
	}
}

// uri is the name of a file as a relative reference, percent-encoded. That of a
// file elsewhere is absolute.
func (s *sarif) uri(file string) string {
	u := url.URL{Path: s.name(file)}
	if filepath.IsAbs(file) && strings.HasPrefix(u.Path, "/") {
		u.Scheme = "file"
	}
	return u.String()
}

// message is a text in which braces stand for themselves (3.11.5).
func message(text string) sarifText {
	return sarifText{Text: strings.NewReplacer("{", "{{", "}", "}}").Replace(text)}
}
