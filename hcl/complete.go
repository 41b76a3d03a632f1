package hcl

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl/schema"
)

// Complete lists what the name that ends at pos of a line may become, sorted:
// line[from:pos] is to be replaced. A function has its bracket.
func (s *Session) Complete(line string, pos int) (from int, words []string) {
	tokens := wordTokens(line[:pos])
	if tokens == nil {
		return pos, nil
	}
	last := len(tokens) - 1
	partial, from := "", pos
	if last >= 0 && tokens[last].Type == hclsyntax.TokenIdent && tokens[last].Range.End.Byte == pos {
		partial, from = string(tokens[last].Bytes), tokens[last].Range.Start.Byte
		last--
	}
	if last < 0 || tokens[last].Type != hclsyntax.TokenDot || tokens[last].Range.End.Byte != from {
		return from, matching(s.names(partial != ""), partial)
	}
	dot := tokens[last].Range.Start.Byte
	start := termStart(tokens[:last])
	if start < 0 {
		return pos, nil
	}
	for _, name := range s.members(line[start:dot], tokens[:last]) {
		switch {
		case !strings.HasPrefix(name, partial):
		case hclsyntax.ValidIdentifier(name):
			words = append(words, line[start:dot]+"."+name)
		default:
			words = append(words, line[start:dot]+"["+keyText(name)+"]")
		}
	}
	slices.Sort(words)
	return start, words
}

// wordTokens are the tokens of src, nil when it ends within a text.
func wordTokens(src string) []hclsyntax.Token {
	all, _ := hclsyntax.LexExpression([]byte(src), consoleFile, hcl.InitialPos) // the line is not finished
	var open []hclsyntax.TokenType
	for _, t := range all {
		switch t.Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(0, len(open)-1)]
		}
	}
	if n := len(open); n > 0 && (open[n-1] == hclsyntax.TokenOQuote || open[n-1] == hclsyntax.TokenOHeredoc) {
		return nil
	}
	return slices.DeleteFunc(all, func(t hclsyntax.Token) bool { return t.Type == hclsyntax.TokenEOF })
}

// termStart is where the term begins that tokens end with: worker.pool["w1"],
// values(x)[0]. It is -1 when they end with none.
func termStart(tokens []hclsyntax.Token) int {
	start := -1
	for i := len(tokens) - 1; i >= 0; i-- {
		t := tokens[i]
		if start >= 0 && t.Range.End.Byte != start {
			return start
		}
		switch t.Type {
		case hclsyntax.TokenIdent, hclsyntax.TokenDot, hclsyntax.TokenNumberLit:
			start = t.Range.Start.Byte
		case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace:
			for depth := 1; depth > 0; {
				if i--; i < 0 {
					return -1
				}
				switch tokens[i].Type {
				case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace:
					depth++
				case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOBrace:
					depth--
				}
			}
			start = tokens[i].Range.Start.Byte
		default:
			return start
		}
	}
	return start
}

// names are those that an expression may begin with, and the functions.
func (s *Session) names(functions bool) []string {
	names := []string{"ainur", "path"}
	for _, root := range roots {
		if len(s.m.known(root)) > 0 {
			names = append(names, root)
		}
	}
	if s.experiment != "" {
		names = append(names, "point", "result", "run")
	}
	if functions {
		for name := range s.functions() {
			names = append(names, name+"(")
		}
	}
	return names
}

// functions are those that an expression may call.
func (s *Session) functions() map[string]bool {
	names := map[string]bool{}
	for name := range s.m.functions {
		if name != meter {
			names[name] = true
		}
	}
	return names
}

// members are the names that follow a term and a dot.
func (s *Session) members(term string, before []hclsyntax.Token) []string {
	if known := s.m.known(term); len(known) > 0 && slices.Contains(roots, term) {
		return known
	}
	root, rest := term, ""
	if i := strings.IndexAny(term, ".["); i >= 0 {
		root, rest = term[:i], term[i:]
	}
	if over := loopOver(root, before); over != "" {
		term = "values({ for k, v in " + over + " : k => v })[0]" + rest
	}
	a, diags := s.Eval(term)
	if diags.HasErrors() || a.Value.IsMarked() {
		return nil
	}
	v, t := a.Value, a.Value.Type()
	var names []string
	switch {
	case t.IsObjectType():
		names = attributes(v)
	case t.IsMapType() && v.IsKnown() && !v.IsNull():
		for key := range v.Elements() {
			names = append(names, key.AsString())
		}
	}
	if kind, _, nested := strings.Cut(rest, "."); root == "sweep" && kind == "" && nested && strings.Count(rest, ".") == 1 {
		names = append(names, "point")
	}
	slices.Sort(names)
	return names
}

// loopOver is the expression whose elements a for expression around the end of
// tokens calls name, "" when none does.
func loopOver(name string, tokens []hclsyntax.Token) string {
	word := func(i int, text string) bool {
		return i >= 0 && i < len(tokens) && tokens[i].Type == hclsyntax.TokenIdent && string(tokens[i].Bytes) == text
	}
	for i := len(tokens) - 1; i >= 0; i-- {
		if !word(i, "in") || !word(i-1, name) || !word(i-2, "for") && !word(i-4, "for") {
			continue
		}
		depth := 0
		over := ""
		for _, t := range tokens[i+1:] {
			switch t.Type {
			case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOBrace:
				depth++
			case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace:
				depth--
			case hclsyntax.TokenColon:
				if depth == 0 {
					return over
				}
			}
			over += string(t.Bytes)
		}
	}
	return ""
}

// CompleteTopic lists what Doc knows whose names begin with prefix, sorted.
func (s *Session) CompleteTopic(prefix string) []string {
	dot := strings.LastIndex(prefix, ".")
	if dot < 0 {
		names := slices.Collect(maps.Keys(s.functions()))
		for _, b := range schema.Root.Blocks {
			names = append(names, b.Type)
		}
		return matching(names, prefix)
	}
	def, attr := s.defined(prefix[:dot])
	var names []string
	switch {
	case def != nil:
		for _, list := range [][]*schema.Block{def.Blocks, def.Variants} {
			for _, b := range list {
				names = append(names, b.Type)
			}
		}
		for _, a := range def.Attrs {
			names = append(names, a.Name)
		}
	case attr != nil:
		for _, a := range attr.Type.Fields {
			names = append(names, a.Name)
		}
	}
	for i := range names {
		names[i] = prefix[:dot+1] + names[i]
	}
	return matching(names, prefix)
}

// matching is the names that begin with prefix, sorted, each once.
func matching(names []string, prefix string) []string {
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return slices.Compact(names)
}
