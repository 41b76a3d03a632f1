package lsp

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl/schema"
)

// mention is a name in a file: where something is declared, or referred to.
type mention struct {
	kind, name string // "var", "local", "worker", "func" ...; a host is named by cluster and name
	from, to   int    // bytes of the name, without quotes
	declares   bool
	from0, to0 int // bytes of the whole block or argument it declares
}

// scan finds the mentions in a file. It goes by tokens, so a file that is being
// typed has them too.
func scan(src []byte, values bool) (found []mention) {
	w := &walk{tokens: lex(src)}
	var open []int // of blocks that are open, the mention they declare, or -1
	for w.next() {
		switch {
		case w.opened != nil:
			m := w.declaration()
			open = append(open, -1)
			if m != nil {
				open[len(open)-1] = len(found)
				found = append(found, *m)
			}
		case w.closed:
			if n := len(open); n > 0 {
				if open[n-1] >= 0 {
					found[open[n-1]].to0 = w.token().Range.End.Byte
				}
				open = open[:n-1]
			}
		case w.argument():
			t := w.token()
			kind := ""
			if w.top().def != nil && w.top().def.Type == "locals" {
				kind = "local"
			} else if values && len(w.frames) == 1 {
				kind = "var"
			}
			if kind != "" {
				found = append(found, mention{kind: kind, name: string(t.Bytes), from: t.Range.Start.Byte, to: t.Range.End.Byte, declares: kind == "local", from0: t.Range.Start.Byte, to0: t.Range.End.Byte})
			}
		default:
			found = append(found, w.references()...)
		}
	}
	return found
}

func lex(src []byte) hclsyntax.Tokens {
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos) // what is wrong is for the diagnostics
	return tokens
}

// frame is a bracket that is open.
type frame struct {
	open      hclsyntax.TokenType
	def       *schema.Block // of a block; nil for what is no block, or none of ours
	block     bool
	statement []hclsyntax.Token // of a block: what stands since the last line
}

// walk goes through the tokens of a file and knows the block around.
type walk struct {
	tokens hclsyntax.Tokens
	i      int // of the next token
	frames []frame
	opened *frame // the block that the last token opened
	closed bool   // the last token closed a block
}

func (w *walk) token() hclsyntax.Token { return w.tokens[w.i-1] }

func (w *walk) top() *frame { return &w.frames[len(w.frames)-1] }

// next takes a token; false at the end.
func (w *walk) next() bool {
	if w.frames == nil {
		w.frames = []frame{{block: true, def: schema.Root}}
	}
	w.opened, w.closed = nil, false
	if w.i >= len(w.tokens) || w.tokens[w.i].Type == hclsyntax.TokenEOF {
		return false
	}
	t := w.tokens[w.i]
	w.i++
	top := w.top()
	switch t.Type {
	case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		if top.block {
			top.statement = nil
		}
	case hclsyntax.TokenOBrace:
		f := frame{open: t.Type}
		if top.block && header(top.statement) {
			f.block, f.def = true, inner(top)
			w.frames = append(w.frames, f)
			w.opened = w.top()
			return true
		}
		w.frames = append(w.frames, f)
	case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		if top.block {
			top.statement = append(top.statement, t)
		}
		w.frames = append(w.frames, frame{open: t.Type})
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
		if len(w.frames) > 1 {
			w.closed = top.block
			w.frames = w.frames[:len(w.frames)-1]
			if w.closed {
				w.top().statement = nil
			}
		}
	case hclsyntax.TokenQuotedLit:
		if n := len(w.frames); n > 1 && w.frames[n-2].block && top.open == hclsyntax.TokenOQuote {
			w.frames[n-2].statement = append(w.frames[n-2].statement, t)
		}
	default:
		if top.block {
			top.statement = append(top.statement, t)
		}
	}
	return true
}

// header reports whether a statement is the header of a block: names and labels, no =.
func header(statement []hclsyntax.Token) bool {
	for _, t := range statement {
		if t.Type == hclsyntax.TokenEqual {
			return false
		}
	}
	return len(statement) > 0 && statement[0].Type == hclsyntax.TokenIdent
}

// labels are the texts after the first name of a header.
func labels(statement []hclsyntax.Token) (all []hclsyntax.Token) {
	for _, t := range statement[1:] {
		if t.Type == hclsyntax.TokenQuotedLit || t.Type == hclsyntax.TokenIdent {
			all = append(all, t)
		}
	}
	return all
}

// inner is the definition of the block that a statement opens.
func inner(around *frame) *schema.Block {
	if around.def == nil {
		return nil
	}
	kind, names := string(around.statement[0].Bytes), labels(around.statement)
	switch {
	case kind == "dynamic" && len(names) == 1:
		if def := around.def.Block(string(names[0].Bytes)); def != nil {
			content := *def
			content.Type, content.Label = "content", ""
			return &schema.Block{Type: "dynamic", Doc: "A block for each element.", Blocks: []*schema.Block{&content}, Attrs: []schema.Attr{
				{Name: "for_each", Type: schema.Type{Kind: schema.Expr}, Required: true, Doc: "map, object or list"},
				{Name: "labels", Type: schema.Type{Kind: schema.Expr}, Doc: "labels of each block"},
				{Name: "iterator", Type: schema.Type{Kind: schema.Expr}, Doc: "name of the element; default: the block's"},
			}}
		}
		return nil
	}
	def := around.def.Block(kind)
	if def != nil && def.Variants != nil && len(names) == 1 {
		return def.Variant(string(names[0].Bytes))
	}
	return def
}

// declaration is what the block that was opened declares.
func (w *walk) declaration() *mention {
	around := w.frames[len(w.frames)-2]
	names := labels(around.statement)
	kind := string(around.statement[0].Bytes)
	if len(names) != 1 || w.opened.def == nil {
		return nil
	}
	m := &mention{
		kind: kind, name: string(names[0].Bytes), from: names[0].Range.Start.Byte, to: names[0].Range.End.Byte, declares: true,
		from0: around.statement[0].Range.Start.Byte, to0: w.token().Range.End.Byte,
	}
	switch {
	case len(w.frames) == 2 && kind == "variable":
		m.kind = "var"
	case len(w.frames) == 2:
	case kind == "host" && len(w.frames) == 3:
		outer := w.frames[0].statement
		if cluster := labels(outer); len(cluster) == 1 {
			m.name = string(cluster[0].Bytes) + "." + m.name
		}
	default:
		return nil
	}
	return m
}

// argument reports whether the last token is the name of an argument: an
// identifier that begins a statement and has = behind it.
func (w *walk) argument() bool {
	t := w.token()
	return t.Type == hclsyntax.TokenIdent && w.top().block && len(w.top().statement) == 1 && w.i < len(w.tokens) && w.tokens[w.i].Type == hclsyntax.TokenEqual
}

// references are those in the term that begins at the last token.
func (w *walk) references() (found []mention) {
	t := w.token()
	if t.Type != hclsyntax.TokenIdent || w.i >= 2 && w.tokens[w.i-2].Type == hclsyntax.TokenDot {
		return nil
	}
	at := func(i int) hclsyntax.Token {
		if i < len(w.tokens) {
			return w.tokens[i]
		}
		return hclsyntax.Token{}
	}
	mentioned := func(kind, name string, t hclsyntax.Token) {
		found = append(found, mention{kind: kind, name: name, from: t.Range.Start.Byte, to: t.Range.End.Byte})
	}
	if at(w.i).Type == hclsyntax.TokenOParen {
		mentioned("func", string(t.Bytes), t)
		return found
	}
	name := func(i int) (hclsyntax.Token, bool) {
		return at(i + 1), at(i).Type == hclsyntax.TokenDot && at(i+1).Type == hclsyntax.TokenIdent
	}
	first, ok := name(w.i)
	if !ok {
		return nil
	}
	kind := string(t.Bytes)
	mentioned(kind, string(first.Bytes), first)
	if second, ok := name(w.i + 2); ok && kind == "cluster" && string(second.Bytes) == "host" {
		if host, ok := name(w.i + 4); ok {
			mentioned("host", string(first.Bytes)+"."+string(host.Bytes), host)
		}
	}
	return found
}

// cursor is what stands at a place of a file.
type cursor struct {
	block     *schema.Block // around; nil when it is none of ours
	statement []hclsyntax.Token
	naming    bool   // a name of an argument or block stands here, or may
	label     bool   // within the quotes of a label
	quoted    bool   // within the quotes of a value
	attr      string // the argument whose value is here
	word      string // what has been typed of a name or text
	given     map[string]bool
}

// at finds what stands before a byte.
func at(src []byte, offset int) cursor {
	w := &walk{tokens: lex(src[:offset])}
	for w.next() {
	}
	c := cursor{}
	depth := len(w.frames) - 1
	for depth > 0 && !w.frames[depth].block {
		depth--
	}
	c.block, c.statement = w.frames[depth].def, w.frames[depth].statement
	if len(c.statement) > 1 && c.statement[1].Type == hclsyntax.TokenEqual {
		c.attr = string(c.statement[0].Bytes)
	}
	inQuote := len(w.frames)-1 > depth && w.top().open == hclsyntax.TokenOQuote
	c.quoted = inQuote && c.attr != ""
	c.label = inQuote && c.attr == "" && len(w.frames)-2 == depth
	if w.i > 0 {
		if t := w.token(); t.Range.End.Byte == offset && (t.Type == hclsyntax.TokenIdent || t.Type == hclsyntax.TokenQuotedLit) {
			c.word = string(t.Bytes)
		}
	}
	alone := len(c.statement) == 0 || len(c.statement) == 1 && c.statement[0].Range.End.Byte == offset
	c.naming = len(w.frames)-1 == depth && alone
	c.given = givenNames(src, offset)
	return c
}

// givenNames are the arguments that the block around a place has already.
func givenNames(src []byte, offset int) map[string]bool {
	given := map[string]bool{}
	w := &walk{tokens: lex(src)}
	var open []map[string]bool
	current := given
	for w.next() {
		switch {
		case w.opened != nil:
			open = append(open, current)
			current = map[string]bool{}
		case w.closed:
			if w.token().Range.Start.Byte >= offset {
				return current
			}
			if n := len(open); n > 0 {
				current, open = open[n-1], open[:n-1]
			}
		case w.argument():
			if t := w.token(); t.Range.End.Byte != offset {
				current[string(t.Bytes)] = true
			}
		}
	}
	return current
}

// term is the dotted name around a byte, from its first part to the one there.
func term(src []byte, offset int) (parts []hclsyntax.Token, call bool) {
	tokens := lex(src)
	for i, t := range tokens {
		if t.Type != hclsyntax.TokenIdent || offset < t.Range.Start.Byte || offset > t.Range.End.Byte {
			continue
		}
		parts = []hclsyntax.Token{t}
		for j := i; j >= 2 && tokens[j-1].Type == hclsyntax.TokenDot && tokens[j-2].Type == hclsyntax.TokenIdent; j -= 2 {
			parts = append([]hclsyntax.Token{tokens[j-2]}, parts...)
		}
		return parts, len(parts) == 1 && i+1 < len(tokens) && tokens[i+1].Type == hclsyntax.TokenOParen
	}
	return nil, false
}

// quoted is the text in quotes around a byte.
func quoted(src []byte, offset int) []hclsyntax.Token {
	for _, t := range lex(src) {
		if t.Type == hclsyntax.TokenQuotedLit && t.Range.Start.Byte <= offset && offset <= t.Range.End.Byte {
			return []hclsyntax.Token{t}
		}
	}
	return nil
}

func joined(parts []hclsyntax.Token) string {
	var names []string
	for _, p := range parts {
		names = append(names, string(p.Bytes))
	}
	return strings.Join(names, ".")
}
