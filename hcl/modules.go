package hcl

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/userfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
)

// ModuleFolder is where `ainur init` puts modules that come from elsewhere.
const ModuleFolder = ".ainur/modules"

// maxModules bounds modules in one another.
const maxModules = 16

// rootOnly are the blocks that a module may not have: they are about a run.
var rootOnly = []string{"experiment", "assert", "claim", "report", "check", "ainur"}

// loadModules reads the folders of module blocks, and of those in them. Around
// are the folders that led here.
func (m *Module) loadModules(around []string) (diags hcl.Diagnostics) {
	around = append(slices.Clone(around), m.path("."))
	for _, name := range m.names("module") {
		a := addr{"module", name}
		b := m.blocks[a]
		if m.broken[a] {
			continue
		}
		source := b.Body.Attributes["source"].Expr
		at := source.Range()
		wrong := func(id, summary, help string) {
			diags = append(diags, diag.Problem{ID: id, Summary: summary, At: &at, Notes: []diag.Note{diag.Help("%s", help)}}.Diagnostic())
		}
		text, more := source.Value(nil)
		if more.HasErrors() || text.Type() != cty.String || text.IsNull() {
			wrong("AIN1701", fmt.Sprintf("the source of module %q is written out: it is read before everything else", name), `write source = "./folder"`)
			continue
		}
		dir, err := m.moduleFolder(text.AsString())
		if err != nil {
			wrong("AIN1701", fmt.Sprintf("module %q: %v", name, err), "a source is ./folder, or git::https://host/repo//folder?ref=COMMIT")
			continue
		}
		switch info, err := os.Stat(dir); {
		case strings.HasPrefix(text.AsString(), gitPrefix) && err != nil:
			wrong("AIN1702", fmt.Sprintf("module %q has not been fetched", name), "run `ainur init`")
			continue
		case err != nil:
			wrong("AIN1701", fmt.Sprintf("module %q: there is no folder %s", name, dir), "the path counts from the folder of this file")
			continue
		case !info.IsDir():
			wrong("AIN1701", fmt.Sprintf("module %q: %s is no folder", name, dir), "name the folder that holds its files")
			continue
		case slices.Contains(around, funcs.Abs(".", dir)) || len(around) > maxModules:
			wrong("AIN1703", fmt.Sprintf("module %q leads back to itself", name), "take one of the modules out of the other")
			continue
		}
		if strings.HasPrefix(text.AsString(), gitPrefix) {
			source, _ := ParseGitSource(text.AsString()) // moduleFolder has read it
			if err := m.locked(source); err != nil {
				wrong("AIN1706", fmt.Sprintf("module %q: %v", name, err), "the lock file says which files an experiment was made with")
				continue
			}
		}
		child := newModule(dir, m.opts, m.top)
		_, files, err := find(dir, m.opts.Overlay)
		if err != nil {
			wrong("AIN1701", fmt.Sprintf("module %q: %v", name, err), "name the folder that holds its files")
			continue
		}
		m.modules[name] = child
		if more := child.read(files); more.HasErrors() {
			diags = append(diags, more...)
			continue
		}
		for _, a := range child.order {
			if slices.Contains(rootOnly, a.kind) {
				at := child.blocks[a].DefRange()
				diags = append(diags, diag.Problem{
					ID: "AIN1704", Summary: fmt.Sprintf("a module cannot have %s blocks", a.kind), At: &at,
					Related: []diag.Related{{At: b.DefRange(), Label: "it is used as a module here"}},
					Notes:   []diag.Note{diag.Help("put it in the files that use the module")},
				}.Diagnostic())
			}
		}
		child.order = slices.DeleteFunc(child.order, func(a addr) bool { return slices.Contains(rootOnly, a.kind) })
		diags = append(diags, child.loadModules(around)...)
		diags = append(diags, child.checkInputs(name, b)...)
	}
	return diags
}

// checkInputs compares the arguments of a module block with the variables of m.
func (m *Module) checkInputs(name string, b *hclsyntax.Block) (diags hcl.Diagnostics) {
	meant := map[string]bool{} // what a misspelling explains
	for _, input := range sortedAttributes(b.Body) {
		if input.Name == "source" || m.blocks[addr{"variable", input.Name}] != nil {
			continue
		}
		p := diag.Problem{ID: "AIN1705", Summary: fmt.Sprintf("module %q has no variable %q", name, input.Name), At: &input.NameRange, Suggest: diag.Suggest(input.Name, m.known("var"))}
		if len(p.Suggest) == 0 && len(m.known("var")) > 0 {
			p.Notes = []diag.Note{diag.Help("its variables are %s", strings.Join(m.known("var"), ", "))}
		}
		for _, s := range p.Suggest {
			meant[s] = true
		}
		diags = append(diags, p.Rename(input.NameRange, input.Name).Diagnostic())
	}
	for _, v := range m.names("variable") {
		block := m.blocks[addr{"variable", v}]
		if block.Body.Attributes["default"] == nil && b.Body.Attributes[v] == nil && !meant[v] {
			at := b.DefRange()
			diags = append(diags, diag.Problem{
				ID: "AIN1402", Summary: fmt.Sprintf("module %q needs %q", name, v), At: &at,
				Related: []diag.Related{{At: block.DefRange(), Label: "the variable has no default"}},
			}.Diagnostic())
		}
	}
	return diags
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	var all []*hclsyntax.Attribute
	for _, a := range body.Attributes {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return all
}

const gitPrefix = "git::"

// GitSource is where a module from elsewhere comes from.
type GitSource struct {
	URL    string // of the repository
	Folder string // in it, "" for its root
	Commit string // all 40 hex digits
}

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// ParseGitSource reads git::https://host/repo//folder?ref=COMMIT. A branch or a
// tag is refused: it may be something else tomorrow.
func ParseGitSource(text string) (s GitSource, err error) {
	u, err := url.Parse(strings.TrimPrefix(text, gitPrefix))
	if err != nil {
		return s, err
	}
	if !slices.Contains([]string{"https", "ssh", "file"}, u.Scheme) {
		return s, fmt.Errorf("a git source begins with git::https://, git::ssh:// or git::file://")
	}
	if _, secret := u.User.Password(); secret {
		return s, errors.New("the URL has a password in it, which would be recorded: leave it to git's credential helper")
	}
	s.Commit = u.Query().Get("ref")
	if !commit.MatchString(s.Commit) {
		return s, fmt.Errorf("ref is %q, want a commit of 40 hex digits: branches and tags move", s.Commit)
	}
	repository, folder, _ := strings.Cut(u.Path, "//")
	if s.Folder = filepath.Clean(folder); folder == "" {
		s.Folder = ""
	} else if !filepath.IsLocal(s.Folder) {
		return s, fmt.Errorf("the folder %q leads out of the repository", folder)
	}
	u.Path, u.RawQuery = repository, ""
	s.URL = u.String()
	return s, nil
}

// Path is where the repository is kept below ModuleFolder.
func (s GitSource) Path() string {
	return regexp.MustCompile(`[^A-Za-z0-9.-]+`).ReplaceAllString(s.URL, "_") + "@" + s.Commit
}

// moduleFolder is the folder of a module's files.
func (m *Module) moduleFolder(source string) (string, error) {
	switch {
	case strings.HasPrefix(source, gitPrefix):
		s, err := ParseGitSource(source)
		return filepath.Join(m.top.dir, ModuleFolder, s.Path(), s.Folder), err
	case strings.HasPrefix(source, "./"), strings.HasPrefix(source, "../"):
		return filepath.Join(m.dir, source), nil
	}
	return "", errors.New("this is no source")
}

// GitSources lists the git sources of the module blocks below path, whether
// they have been fetched or not.
func GitSources(path string) ([]GitSource, hcl.Diagnostics) {
	dir, files, err := find(path, nil)
	if err != nil {
		return nil, hcl.Diagnostics{diag.Problem{ID: "AIN1002", Summary: err.Error()}.Diagnostic()}
	}
	m := newModule(dir, Options{}, nil)
	var all []GitSource
	var diags hcl.Diagnostics
	for _, f := range files {
		body, p := m.parse(f)
		if p != nil {
			diags = append(diags, p.Diagnostic())
			continue
		}
		for _, b := range body.Blocks {
			source := b.Body.Attributes["source"]
			if b.Type != "module" || source == nil {
				continue
			}
			if text, more := source.Expr.Value(nil); !more.HasErrors() && text.Type() == cty.String && !text.IsNull() && strings.HasPrefix(text.AsString(), gitPrefix) {
				if s, err := ParseGitSource(text.AsString()); err == nil {
					all = append(all, s)
				}
			}
		}
	}
	return all, diags
}

// declareFunctions adds the func blocks of a file.
func (m *Module) declareFunctions(body *hclsyntax.Body) (diags hcl.Diagnostics) {
	builtin := funcs.All(m.dir)
	for _, b := range body.Blocks {
		if b.Type != "func" {
			continue
		}
		if len(b.Labels) != 1 || m.broken[addr{"func", b.Labels[0]}] {
			return nil // reported by schema.Check
		}
		name := b.Labels[0]
		if _, taken := builtin[name]; taken {
			diags = append(diags, diag.Problem{ID: "AIN1331", Summary: fmt.Sprintf("the language has a function %q already", name), At: &b.LabelRanges[0], Notes: []diag.Note{diag.Help("give it another name")}}.Diagnostic())
			continue
		}
		params := []string{}
		for _, attr := range []string{"params", "variadic_param"} {
			if a := b.Body.Attributes[attr]; a != nil {
				params = append(params, keywords(a.Expr)...)
			}
		}
		for _, ref := range b.Body.Attributes["result"].Expr.Variables() {
			if root := ref.RootName(); !slices.Contains(params, root) {
				at := ref.SourceRange()
				p := diag.Problem{ID: "AIN1301", Summary: fmt.Sprintf("func %q has no parameter %q", name, root), At: &at, Suggest: diag.Suggest(root, params)}
				p.Notes = []diag.Note{diag.Remark("the result of a func depends on its parameters only")}
				diags = append(diags, p.Diagnostic())
			}
		}
	}
	if diags.HasErrors() {
		return diags
	}
	own, _, more := userfunc.DecodeUserFunctions(body, "func", func() *hcl.EvalContext { return &hcl.EvalContext{Functions: builtin} })
	for i, d := range more {
		more[i] = diag.From("AIN1332", d)
	}
	maps.Copy(m.functions, own)
	return append(diags, more...)
}

// keywords are the names in a list of names, or a name.
func keywords(expr hcl.Expression) (names []string) {
	list, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		list = []hcl.Expression{expr}
	}
	for _, e := range list {
		if name := hcl.ExprAsKeyword(e); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// checkVersion refuses files that want another ainur.
func (m *Module) checkVersion() hcl.Diagnostics {
	b := m.blocks[addr{"ainur", ""}]
	if b == nil || b.Body.Attributes["required_version"] == nil {
		return nil
	}
	expr := b.Body.Attributes["required_version"].Expr
	at := expr.Range()
	text, diags := expr.Value(nil)
	if m.broken[addr{"ainur", ""}] {
		return nil
	}
	if diags.HasErrors() || text.Type() != cty.String || text.IsNull() {
		return hcl.Diagnostics{diag.Problem{ID: "AIN1203", Summary: "required_version is written out, as text", At: &at}.Diagnostic()}
	}
	want, err := version.NewConstraint(text.AsString())
	if err != nil {
		return hcl.Diagnostics{diag.Problem{
			ID: "AIN1203", Summary: fmt.Sprintf("%q is no version constraint", text.AsString()), At: &at,
			Notes: []diag.Note{diag.Help("write \">= 0.3, < 1.0\"")},
		}.Diagnostic()}
	}
	have, err := version.NewVersion(m.opts.Version)
	if err != nil || want.Check(have.Core()) { // a development build may run everything
		return nil
	}
	return hcl.Diagnostics{diag.Problem{
		ID: "AIN1005", Summary: fmt.Sprintf("this file needs ainur %s, and this is %s", text.AsString(), m.opts.Version), At: &at,
		Notes: []diag.Note{diag.Help("use that version, or change required_version if you know that this one will do")},
	}.Diagnostic()}
}
