package hcl

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/spec"
)

const (
	envPrefix   = "AINUR_VAR_"
	valueFiles  = "*.auto.ainurvars.hcl"
	redacted    = `"` + spec.Redacted + `"`
	outsideFile = "--var %s" // name under which the text of a flag is shown
)

// variable is the value of a variable block and where it came from.
type variable struct {
	value     cty.Value
	origin    string
	sensitive bool
}

// given is a value from outside the module's files.
type given struct {
	origin string
	text   string         // from a flag or the environment, or
	expr   hcl.Expression // from a file, or
	value  cty.Value      // from a module block
	at     hcl.Range
}

// readVariables gives every variable its value: default < auto files, by name
// < environment < --var-file < --var.
func (m *Module) readVariables() hcl.Diagnostics {
	values, diags := m.givenValues()
	for _, name := range m.names("variable") {
		v, more := m.variable(name, values[name])
		diags = append(diags, more...)
		m.variables[name] = v
	}
	return diags
}

func (m *Module) givenValues() (map[string]given, hcl.Diagnostics) {
	values := map[string]given{}
	auto, _ := filepath.Glob(filepath.Join(m.dir, valueFiles)) // the pattern is well formed
	var diags hcl.Diagnostics
	for _, f := range auto {
		diags = append(diags, m.valueFile(f, values)...)
	}
	for _, entry := range m.opts.Environ {
		key, text, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(key, envPrefix); ok && m.blocks[addr{"variable", name}] != nil {
			values[name] = m.fromText(key, text)
		}
	}
	for _, f := range m.opts.VarFiles {
		diags = append(diags, m.valueFile(f, values)...)
	}
	for _, v := range m.opts.Vars {
		name, text, ok := strings.Cut(v, "=")
		g := m.fromText(fmt.Sprintf(outsideFile, name), text)
		switch {
		case !ok:
			diags = append(diags, diag.Problem{ID: "AIN1403", Summary: fmt.Sprintf("--var %s has no value", v), Notes: []diag.Note{diag.Help("write --var NAME=VALUE")}}.Diagnostic())
		case m.blocks[addr{"variable", name}] == nil:
			p := m.undeclared(name)
			p.Notes = append(p.Notes, diag.Remark("given as --var %s=...", name))
			diags = append(diags, p.Diagnostic())
		default:
			g.origin = "--var"
			values[name] = g
		}
	}
	return values, diags
}

func (m *Module) undeclared(name string) diag.Problem {
	p := diag.Problem{ID: "AIN1401", Summary: fmt.Sprintf("no variable %q is declared", name), Suggest: diag.Suggest(name, m.known("var"))}
	if len(p.Suggest) > 0 {
		p.Notes = []diag.Note{diag.Help("did you mean %s?", diag.Or(p.Suggest))}
	}
	return p
}

// fromText is a value given as text. The text becomes a file of its own, so that diagnostics show it.
func (m *Module) fromText(origin, text string) given {
	m.top.files[origin] = &hcl.File{Bytes: []byte(text)}
	end := hcl.Pos{Line: 1, Column: len(text) + 1, Byte: len(text)}
	return given{origin: origin, text: text, at: hcl.Range{Filename: origin, Start: hcl.InitialPos, End: end}}
}

// valueFile reads name = value lines.
func (m *Module) valueFile(path string, values map[string]given) hcl.Diagnostics {
	src, err := m.content(path)
	if err != nil {
		return hcl.Diagnostics{diag.Problem{ID: "AIN1002", Summary: fmt.Sprintf("variables: %v", err)}.Diagnostic()}
	}
	m.top.files[path] = &hcl.File{Bytes: src}
	body, problem := parseSource(src, path)
	if problem != nil {
		return hcl.Diagnostics{problem.Diagnostic()}
	}
	m.bound(body)
	attrs, diags := body.JustAttributes()
	for i, d := range diags {
		diags[i] = diag.From("AIN1101", d)
	}
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := attrs[name]
		if m.blocks[addr{"variable", name}] == nil {
			p := m.undeclared(name)
			p.At, p.Notes = &a.NameRange, nil
			diags = append(diags, p.Diagnostic())
			continue
		}
		values[name] = given{origin: path, expr: a.Expr, at: a.Expr.Range()}
	}
	return diags
}

// variable decodes a variable block and gives it its value.
func (m *Module) variable(name string, g given) (variable, hcl.Diagnostics) {
	d := decode.New(func(expr hcl.Expression, _ decode.Scope) (cty.Value, hcl.Diagnostics) {
		return m.evalPlain("AIN1405", expr)
	}, nil)
	owner := addr{"variable", name}
	b, diags := d.Block(m.blocks[owner], block("variable"), decode.Scope{Owner: owner.owner()})
	v := variable{value: cty.DynamicVal, sensitive: decode.Get[bool](b, "sensitive")}
	if diags.HasErrors() {
		return v, diags
	}
	if v.sensitive && g.text != "" {
		m.top.files[g.at.Filename] = &hcl.File{Bytes: []byte(spec.Redacted)}
	}
	constraint, defaults := cty.DynamicPseudoType, (*typeexpr.Defaults)(nil)
	if expr := b.Exprs["type"]; expr != nil {
		if constraint, defaults, diags = typeexpr.TypeConstraintWithDefaults(expr); diags.HasErrors() {
			return v, hcl.Diagnostics{diag.From("AIN1406", diags[0])}
		}
	}
	value, origin, at, diags := m.valueOf(name, b, g, constraint)
	if diags.HasErrors() {
		if v.sensitive && origin != "" || v.sensitive && g.origin != "" { // what is wrong with it may show it
			return v, hcl.Diagnostics{diag.Problem{ID: "AIN1407", Summary: fmt.Sprintf("the value of variable %q cannot be read", name), At: &b.Range, Notes: []diag.Note{diag.Remark("it is sensitive, so nothing more is said")}}.Diagnostic()}
		}
		return v, diags
	}
	if defaults != nil && !value.IsNull() {
		value = defaults.Apply(value)
	}
	converted, err := convert.Convert(value, constraint)
	switch {
	case err != nil:
		return v, hcl.Diagnostics{diag.Problem{
			ID: "AIN1407", Summary: fmt.Sprintf("variable %q wants %s: %v", name, typeexpr.TypeString(constraint), err), At: &at,
			Related: []diag.Related{{At: b.Range, Label: "declared here"}},
		}.Diagnostic()}
	case converted.IsNull() && !decode.Get[bool](b, "nullable"):
		return v, hcl.Diagnostics{diag.Problem{ID: "AIN1407", Summary: fmt.Sprintf("variable %q may not be null", name), At: &at}.Diagnostic()}
	}
	v.value, v.origin = converted, origin
	if v.sensitive {
		v.value = v.value.Mark(diag.Sensitive)
	}
	return v, m.validate(name, b, v, at)
}

// valueOf finds the value of a variable, with its origin and place.
func (m *Module) valueOf(name string, b *decode.Block, g given, constraint cty.Type) (cty.Value, string, hcl.Range, hcl.Diagnostics) {
	switch {
	case g.value != cty.NilVal:
		return g.value, g.origin, g.at, nil
	case g.expr != nil:
		v, diags := m.evalPlain("AIN1405", g.expr)
		return v, g.origin, g.at, diags
	case g.origin != "" && (constraint.IsPrimitiveType() || constraint == cty.DynamicPseudoType):
		return cty.StringVal(g.text), g.origin, g.at, nil
	case g.origin != "":
		expr, diags := hclsyntax.ParseExpression([]byte(g.text), g.at.Filename, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.DynamicVal, "", g.at, hcl.Diagnostics{diag.From("AIN1001", diags[0])}
		}
		v, diags := m.evalPlain("AIN1405", expr)
		return v, g.origin, g.at, diags
	case b.Exprs["default"] != nil:
		expr := b.Exprs["default"]
		v, diags := m.evalPlain("AIN1405", expr)
		return v, "default", expr.Range(), diags
	}
	return cty.DynamicVal, "", b.Range, hcl.Diagnostics{diag.Problem{
		ID: "AIN1402", Summary: fmt.Sprintf("variable %q has no value", name), At: &b.Range,
		Notes: []diag.Note{diag.Help("give it with --var %s=VALUE, with %s%s, or in a file with --var-file", name, envPrefix, name)},
	}.Diagnostic()}
}

// evalPlain evaluates what may call functions and name nothing.
func (m *Module) evalPlain(id string, expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if refs := expr.Variables(); len(refs) > 0 {
		at := refs[0].SourceRange()
		return cty.DynamicVal, hcl.Diagnostics{diag.Problem{
			ID: id, Summary: fmt.Sprintf("%s cannot be used here", diag.Traversal(refs[0])), At: &at,
			Notes: []diag.Note{diag.Remark("a variable is known before everything else")},
		}.Diagnostic()}
	}
	functions := maps.Clone(m.functions)
	functions["env"] = funcs.Env(m.opts.Environ)
	m.steps = 0
	v, diags := expr.Value(&hcl.EvalContext{Functions: functions})
	if diags.HasErrors() {
		return cty.DynamicVal, hcl.Diagnostics{diag.From(id, diags[0])}
	}
	if size(v, maxSize) >= maxSize {
		return cty.DynamicVal, hcl.Diagnostics{large(expr.Range()).Diagnostic()}
	}
	return v, nil
}

// validate checks the conditions of a variable against its value, at which the mistake is.
func (m *Module) validate(name string, b *decode.Block, v variable, at hcl.Range) (diags hcl.Diagnostics) {
	ctx := &hcl.EvalContext{
		Functions: m.functions,
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{name: v.value})},
	}
	for _, validation := range b.All("validation") {
		condition := validation.Exprs["condition"]
		if condition == nil || validation.Exprs["error_message"] == nil {
			continue // reported by schema.Check
		}
		ok, more := condition.Value(ctx)
		if more.HasErrors() {
			diags = append(diags, diag.From("AIN1404", more[0]))
			continue
		}
		ok, _ = ok.Unmark()
		if !ok.IsKnown() {
			continue // it depends on facts, or on the point
		}
		if ok, err := convert.Convert(ok, cty.Bool); err == nil && !ok.IsNull() && ok.IsKnown() && ok.True() {
			continue
		}
		p := diag.Problem{ID: "AIN1404", Summary: fmt.Sprintf("variable %q is refused", name), At: &at, Label: "this is " + diag.Value(v.value)}
		if diag.Value(v.value) == "" {
			p.Label = ""
		}
		if text, more := validation.Exprs["error_message"].Value(ctx); !more.HasErrors() && text.Type() == cty.String && !text.IsMarked() && !text.IsNull() {
			p.Notes = []diag.Note{diag.Help("%s", text.AsString())}
		}
		if condition := condition.Range(); condition != at {
			p.Related = []diag.Related{{At: condition, Label: "the condition is here"}}
		}
		diags = append(diags, p.Diagnostic())
	}
	return diags
}

// variableSpecs records the variables with their origins, sorted by name.
func (m *Module) variableSpecs() []spec.Variable {
	var all []spec.Variable
	for _, name := range slices.Sorted(maps.Keys(m.variables)) {
		v := m.variables[name]
		s := spec.Variable{Name: name, Origin: v.origin, Value: json.RawMessage(redacted)}
		if !v.sensitive {
			s.Value = marshal(v.value)
		}
		all = append(all, s)
	}
	return all
}

// marshal is a known value as JSON; a value that is partly sensitive is redacted.
func marshal(v cty.Value) json.RawMessage {
	if v.ContainsMarked() {
		return json.RawMessage(redacted)
	}
	v, err := cty.Transform(v, shortNumber)
	if err != nil {
		return json.RawMessage("null")
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}

// shortNumber rounds a fraction, which the language computes with 512 bits, to
// what readers of JSON keep of it.
func shortNumber(_ cty.Path, v cty.Value) (cty.Value, error) {
	if v.Type() != cty.Number || v.IsNull() || !v.IsKnown() || v.AsBigFloat().IsInt() {
		return v, nil
	}
	f, _ := v.AsBigFloat().Float64()
	return cty.NumberFloatVal(f), nil
}
