package hcl

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"

	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/schema"
)

// Bounds of a source file, far above what people write. They keep the memory
// and the stack that a hostile file can take small.
const (
	maxSource    = 16 << 20 // bytes
	maxDepth     = 200      // of brackets, braces, quotes and templates in one another
	maxOperators = 2000     // between two separators
	maxExponent  = 400      // of a number
	maxBlocks    = 100_000
	maxHeredoc   = 10_000 // lines and parts
	maxControls  = 1000   // of %{ if } and %{ for } in a file: each may hold the rest
)

// parseSource parses a file in native syntax, or in JSON when its name says so.
// Only the first mistake is reported: what follows it is noise.
func parseSource(src []byte, path string) (*hclsyntax.Body, *diag.Problem) {
	whole := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	if len(src) > maxSource {
		return nil, &diag.Problem{ID: "AIN1003", Summary: fmt.Sprintf("the file has %d MiB, and %d are read", len(src)>>20, maxSource>>20), At: &whole}
	}
	if strings.HasSuffix(path, jsonExtension) {
		return parseJSON(src, path)
	}
	if at, what := tooDeep(src, path); at != nil {
		return nil, &diag.Problem{ID: "AIN1003", Summary: what, At: at}
	}
	file, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diag.From("AIN1001", firstError(diags)).Extra.(*diag.Problem)
	}
	return file.Body.(*hclsyntax.Body), nil
}

func firstError(diags hcl.Diagnostics) *hcl.Diagnostic {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return d
		}
	}
	return nil
}

// tooDeep finds what would take the parser or the evaluator too much stack.
func tooDeep(src []byte, path string) (*hcl.Range, string) {
	tokens, _ := hclsyntax.LexConfig(src, path, hcl.InitialPos) // what is wrong is the parser's to say
	type level struct {
		open      hclsyntax.TokenType
		operators int // since the last separator
	}
	stack := []level{{open: hclsyntax.TokenOBrace}}
	controls := 0
	for i, t := range tokens {
		top := &stack[len(stack)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
			top.operators++
			stack = append(stack, level{open: t.Type})
			if t.Type == hclsyntax.TokenTemplateControl {
				controls++
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
			if len(stack) > 1 {
				stack = stack[:len(stack)-1]
			}
		case hclsyntax.TokenComma:
			top.operators = 0
		case hclsyntax.TokenNewline:
			if top.open == hclsyntax.TokenOBrace { // elsewhere an expression goes on
				top.operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenComment:
		case hclsyntax.TokenStringLit:
			if top.operators++; top.operators > maxHeredoc {
				return &tokens[i].Range, fmt.Sprintf("a text of more than %d lines", maxHeredoc)
			}
		case hclsyntax.TokenNumberLit:
			if hugeNumber(string(t.Bytes)) {
				return &tokens[i].Range, fmt.Sprintf("this number has over %d digits, or an exponent over that", maxExponent)
			}
		default:
			top.operators++
		}
		if controls > maxControls {
			return &tokens[i].Range, fmt.Sprintf("more than %d template directives", maxControls)
		}
		if len(stack) > maxDepth {
			return &tokens[i].Range, fmt.Sprintf("more than %d brackets and templates in one another", maxDepth)
		}
		if top.operators > maxOperators && top.open != hclsyntax.TokenOQuote && top.open != hclsyntax.TokenOHeredoc {
			return &tokens[i].Range, fmt.Sprintf("an expression of more than %d operators", maxOperators)
		}
	}
	return nil, ""
}

// hugeNumber reports whether a literal is too far from 1 to be meant.
func hugeNumber(text string) bool {
	_, exponent, ok := strings.Cut(strings.ToLower(text), "e")
	exponent = strings.TrimLeft(exponent, "+-0")
	return len(text) > maxExponent || ok && (len(exponent) > 3 || len(exponent) == 3 && exponent > fmt.Sprint(maxExponent))
}

// jsonExtension is how the name of an experiment file in JSON ends.
const jsonExtension = ".ainur.json"

// parseJSON reads a file in the JSON syntax of HCL and returns what the same
// file in native syntax would be, with the places of the JSON. A property is a
// block where the language has a block of that name, and an argument elsewhere;
// a string is a template.
func parseJSON(src []byte, path string) (*hclsyntax.Body, *diag.Problem) {
	if at := jsonTooDeep(src, path); at != nil {
		return nil, &diag.Problem{ID: "AIN1003", Summary: fmt.Sprintf("more than %d brackets in one another", maxDepth), At: at}
	}
	file, diags := json.Parse(src, path)
	if diags.HasErrors() {
		return nil, diag.From("AIN1001", firstError(diags)).Extra.(*diag.Problem)
	}
	attrs, diags := file.Body.JustAttributes()
	if diags.HasErrors() {
		return nil, diag.From("AIN1001", firstError(diags)).Extra.(*diag.Problem)
	}
	t := translator{src: src, path: path}
	var items []property
	for name, a := range attrs {
		items = append(items, property{name, a.NameRange, a.Expr})
	}
	body := t.body(items, schema.Root, file.Body.MissingItemRange())
	return body, t.problem
}

// jsonTooDeep finds where brackets are too deep, outside strings.
func jsonTooDeep(src []byte, path string) *hcl.Range {
	depth, quoted := 0, false
	pos := hcl.InitialPos
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\n':
			pos.Line++
			pos.Column = 0
		case quoted && c == '\\':
			i++
			pos.Column++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			depth++
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
		if depth > maxDepth {
			pos.Byte = i
			return &hcl.Range{Filename: path, Start: pos, End: hcl.Pos{Line: pos.Line, Column: pos.Column + 1, Byte: i + 1}}
		}
		pos.Column++
	}
	return nil
}
