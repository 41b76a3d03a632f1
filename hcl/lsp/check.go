package lsp

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	hcllib "github.com/hashicorp/hcl/v2"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/diag"
)

// checker checks what changed until there are no more changes to come.
func (s *server) checker() {
	for shot := range s.changed {
		for waiting := s.Delay > 0; waiting; {
			select {
			case newer, ok := <-s.changed:
				if !ok {
					return
				}
				newer.after(shot)
				shot = newer
			case <-time.After(s.Delay):
				waiting = false
			}
		}
		for _, path := range append(shot.more, shot.path) {
			one := shot
			one.path = path
			s.publish(one)
		}
	}
}

// load reads the module of a document: its folder, or the file alone where the
// folder is no module.
func (s *server) load(shot snapshot) (*hcl.Module, hcllib.Diagnostics) {
	m, diags := s.Load(filepath.Dir(shot.path), shot.overlay)
	for _, d := range diags {
		if p, ok := d.Extra.(*diag.Problem); ok && p.ID == "AIN1109" {
			return s.Load(shot.path, shot.overlay)
		}
	}
	return m, diags
}

// publish checks a document and shows what is wrong in its module.
func (s *server) publish(shot snapshot) {
	files := map[string][]any{}
	if _, open := shot.overlay[shot.path]; open || onDisk(shot.path) {
		m, diags := s.load(shot)
		diags = append(diags, m.Validate()...)
		if !diags.HasErrors() {
			diags = append(diags, m.Lint()...)
		}
		for name := range m.Files() {
			files[name] = []any{}
		}
		v := view{m.Files(), shot.utf8, map[string]*text{}}
		for _, o := range diag.JSON(diags) {
			if o.Place != nil {
				files[o.Place.File] = append(files[o.Place.File], v.diagnostic(o))
			}
		}
		if len(m.Files()) > 0 && (!diags.HasErrors() || s.modules[shot.path] == nil) {
			s.mu.Lock()
			s.modules[shot.path] = m // from here on it is that of who answers requests
			s.mu.Unlock()
		}
	}
	for _, name := range s.shown[shot.path] {
		if files[name] == nil {
			files[name] = []any{}
		}
	}
	s.shown[shot.path] = nil
	for name, list := range files {
		if len(list) > 0 {
			s.shown[shot.path] = append(s.shown[shot.path], name)
		}
		if !filepath.IsAbs(name) && !strings.Contains(name, "://") { // a value from the environment
			continue
		}
		if err := s.conn.write(message{Method: "textDocument/publishDiagnostics", Params: raw(map[string]any{"uri": uriOf(name), "diagnostics": list})}); err != nil {
			return // the reader finds that the client is gone
		}
	}
}

func onDisk(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// view is the files that places are in.
type view struct {
	files map[string]*hcllib.File
	utf8  bool
	texts map[string]*text
}

func (v view) text(name string) *text {
	if v.texts[name] == nil {
		src := ""
		if f := v.files[name]; f != nil {
			src = string(f.Bytes)
		}
		v.texts[name] = newText(src, v.utf8)
	}
	return v.texts[name]
}

func (v view) span(p diag.Place) span { return v.text(p.File).span(p.Start.Byte, p.End.Byte) }

// diagnostic is one as the protocol has it.
func (v view) diagnostic(o diag.Object) any {
	severity := 1
	if o.Severity == "warning" {
		severity = 2
	}
	var text strings.Builder
	text.WriteString(o.Summary)
	if o.Label != "" {
		text.WriteString("\n" + o.Label)
	}
	if len(o.Suggestions) > 0 {
		text.WriteString("\ndid you mean " + diag.Or(o.Suggestions) + "?")
	}
	for _, n := range o.Notes {
		if n.Kind != "fix" {
			text.WriteString("\n" + n.Kind + ": " + n.Text)
		}
	}
	d := map[string]any{"range": v.span(*o.Place), "severity": severity, "code": o.ID, "source": "ainur", "message": text.String()}
	var related []any
	for _, r := range o.Related {
		related = append(related, map[string]any{"location": map[string]any{"uri": uriOf(r.File), "range": v.span(r.Place)}, "message": r.Label})
	}
	if related != nil {
		d["relatedInformation"] = related
	}
	return d
}

// module is the last module of a document that had no errors, or nil.
func (s *server) module(path string) *hcl.Module {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modules[path]
}

// overlay is the open documents as files.
func (s *server) overlay() map[string][]byte {
	all := map[string][]byte{}
	for name, doc := range s.documents {
		all[name] = []byte(doc.src)
	}
	return all
}

// siblings are the files of a document's module with their texts: those of its
// folder, open or on disk.
func (s *server) siblings(path string) map[string]*text {
	all := map[string]*text{path: s.documents[path]}
	for _, pattern := range []string{"*" + hcl.Extension, "*.ainurvars.hcl"} {
		found, _ := filepath.Glob(filepath.Join(escaped(filepath.Dir(path)), pattern)) // the pattern is well formed
		for _, name := range found {
			if s.documents[name] == nil && len(all) < maxSiblings {
				if src, err := os.ReadFile(name); err == nil {
					all[name] = newText(string(src), s.utf8)
				}
			}
		}
	}
	for name, doc := range s.documents {
		if filepath.Dir(name) == filepath.Dir(path) {
			all[name] = doc
		}
	}
	return all
}

// maxSiblings bounds the files of a folder that are looked at.
const maxSiblings = 1000

// escaped is a folder's name in a pattern.
func escaped(dir string) string {
	var b []rune
	for _, r := range dir {
		if slices.Contains([]rune(`*?[\`), r) {
			b = append(b, '\\')
		}
		b = append(b, r)
	}
	return string(b)
}
