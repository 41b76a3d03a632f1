package hcl_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	hcllib "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestFormat(t *testing.T) {
	for name, tt := range map[string]struct{ src, want string }{
		"aligns and indents":            {"a \"b\" {\nx=1\n  long = 2\n}", "a \"b\" {\n  x    = 1\n  long = 2\n}\n"},
		"one blank line between blocks": {"a {\n}\nb {\n}\n\n\n\nc {\n}\n", "a {\n}\n\nb {\n}\n\nc {\n}\n"},
		"a comment stays with its block": {
			"\n\n# head\n\n# of a\na {\n} # end\n# of b\nb {}\n# last\n", "# head\n\n# of a\na {\n} # end\n\n# of b\nb {}\n\n# last\n",
		},
		"text of several lines is kept": {
			"a {\n  x = <<EOT\nb {\n}\n\n\n}\nEOT\n}\nb {}\n", "a {\n  x = <<EOT\nb {\n}\n\n\n}\nEOT\n}\n\nb {}\n",
		},
		"blank lines that begin a text are kept": {"x = <<EOT\n\n\nb\nEOT\n", "x = <<EOT\n\n\nb\nEOT\n"},
		"a text with windows line ends is kept":  {"x = <<EOT\r\na\r\n\r\nEOT\r\n", "x = <<EOT\na\r\n\r\nEOT\n"},
		"a comment that begins behind a block":   {"a {} /*\n*/\nb {}\n", "a {} /*\n*/\n\nb {}\n"},
		"an object is no block":                  {"x = {\n}\ny = 1\n", "x = {\n}\ny = 1\n"},
		"values":                                 {"rate=5\n\n\nmemory = \"1GiB\"\n", "rate = 5\n\nmemory = \"1GiB\"\n"},
		"no space behind, at the end":            {"a {} # c \n \n", "a {} # c \n"},
		"comment of several lines is kept":       {"/* a\n\n\n b */\na {\n}\n", "/* a\n\n\n b */\na {\n}\n"},
		"windows line ends":                      {"a {\r\n}\r\nb {\r\n}\r\n", "a {\n}\n\nb {\n}\n"},
		"a carriage return at the end":           {"# c\r", "# c\n"},
		"empty":                                  {"\n\n", ""},
		"what does not parse is kept":            {"a {\n\n\nx=", "a {\n\n\nx="},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(hcl.Format([]byte(tt.src)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// comments are the comments of src, in order, without what ends their lines.
func comments(src []byte) []string {
	var all []string
	tokens, _ := hclsyntax.LexConfig(src, "", hcllib.InitialPos)
	for _, t := range tokens {
		if t.Type == hclsyntax.TokenComment {
			all = append(all, unix(t))
		}
	}
	return all
}

// unix is the text of a token with the line ends of Unix, but for the last.
func unix(t hclsyntax.Token) string {
	lines := strings.Split(string(t.Bytes), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], "\r")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// words are the tokens of src without those that end lines.
func words(src []byte) []string {
	var all []string
	tokens, _ := hclsyntax.LexConfig(src, "", hcllib.InitialPos)
	for _, t := range tokens {
		text := string(t.Bytes)
		switch t.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenEOF:
			continue
		case hclsyntax.TokenComment, hclsyntax.TokenOHeredoc:
			text = unix(t)
		case hclsyntax.TokenCHeredoc:
			text = strings.TrimSpace(text)
		}
		all = append(all, text)
	}
	return all
}

// meaning is what a body declares: blocks with their labels, arguments with
// their values.
func meaning(body *hclsyntax.Body) any {
	ctx := &hcllib.EvalContext{
		Variables: map[string]cty.Value{"x": cty.StringVal("X"), "y": cty.ObjectVal(map[string]cty.Value{"z": cty.NumberIntVal(3)})},
		Functions: map[string]function.Function{"f": stdlib.MaxFunc},
	}
	attributes := map[string]string{}
	for name, a := range body.Attributes {
		v, diags := a.Expr.Value(ctx)
		attributes[name] = fmt.Sprintf("%#v %d", v, len(diags))
	}
	var blocks []any
	for _, b := range body.Blocks {
		blocks = append(blocks, []any{b.Type, b.Labels, meaning(b.Body)})
	}
	return []any{attributes, blocks}
}

func parsed(t *rapid.T, src []byte) any {
	file, diags := hclsyntax.ParseConfig(src, "", hcllib.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v:\n%s", diags, src)
	}
	return meaning(file.Body.(*hclsyntax.Body))
}

// filled are the lines of src that are not blank, with runs of spaces as one:
// how far to the right a comment stands depends on the lines around it.
func filled(src []byte) []string {
	var all []string
	for line := range strings.Lines(string(src)) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// writer draws files that parse, written as people and their editors may.
type writer struct {
	*rapid.T
	strings.Builder
	names int
}

func (w *writer) pick(from ...string) string { return rapid.SampledFrom(from).Draw(w.T, "text") }

func (w *writer) chance(name string) bool { return rapid.IntRange(0, 3).Draw(w.T, name) == 0 }

func (w *writer) write(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
}

func (w *writer) space() { w.write(w.pick(" ", " ", "", "  ", "\t")) }

// end ends a line.
func (w *writer) end() {
	w.write(w.pick("", "", " ", "\t", " # behind", "  // b\u00e9hind", " /* a */ # b", "#", " /* long\n\n */"), "\n")
}

// between writes what may stand between two items of a body.
func (w *writer) between() {
	for range rapid.IntRange(0, 2).Draw(w.T, "between") {
		w.write(w.pick("\n", "\n\n", "  \n", "# c\n", "\t# \U0001f44d\U0001f3fd c\n", "// c\n", "/* c */\n", "/* long\n\n   comment */\n", "#\n"))
	}
}

func (w *writer) body(depth int) {
	for range rapid.IntRange(0, 4).Draw(w.T, "items") {
		w.between()
		w.space()
		if depth > 0 && w.chance("block") {
			w.block(depth - 1)
			continue
		}
		w.attribute(depth)
		w.end()
	}
	w.between()
}

func (w *writer) name() string {
	w.names++
	return w.pick("a", "long_name", "n\u00e4me", "with-dash") + fmt.Sprint(w.names)
}

func (w *writer) attribute(depth int) {
	w.write(w.name())
	w.space()
	w.write("=")
	w.space()
	if w.chance("heredoc") {
		w.write(w.pick("<<EOT\n", "<<-EOT\n"), w.pick("", "text\n", "  in\n    deeper ${ x }\n", "\n\n", "}\n# no comment\n", "\ttab \n", "%{if  true }a%{ endif }\n"), w.pick("EOT", "  EOT"))
		w.write("\n")
		return
	}
	w.expression(depth)
}

func (w *writer) block(depth int) {
	w.write(w.pick("b", "block", "bl\u00f6ck"))
	for range rapid.IntRange(0, 2).Draw(w.T, "labels") {
		w.space()
		w.write(w.pick("\"l\"", "\"\u00e9 {\"", " bare"))
	}
	w.space()
	w.write("{")
	switch rapid.IntRange(0, 3).Draw(w.T, "form") {
	case 0:
		w.space()
	case 1:
		w.space()
		w.write(w.name())
		w.space()
		w.write("=")
		w.space()
		w.write(w.pick("1", "\"s\"", "[1,2]", "x"))
		w.space()
	default:
		w.end()
		w.body(depth)
		w.space()
	}
	w.write("}")
	w.end()
}

// newline is one that an expression may have within brackets.
func (w *writer) newline() {
	w.write(w.pick("", "", " ", "\n", "\n\n  ", " # in\n", "\n\t// in\n", "/* in */"))
}

func (w *writer) expression(depth int) {
	kinds := 6
	if depth > 0 {
		kinds = 12
	}
	switch rapid.IntRange(0, kinds).Draw(w.T, "expression") {
	case 0:
		w.write(w.pick("1", "-1", "1.5", "1e3", "- 2", "!true", "null"))
	case 1:
		w.write(w.pick("true", "x", "y.z", "y[\"z\"]", "y . z", "[1,2][*]", "[y][0].z", "[y].*.z"))
	case 2:
		w.write(w.pick("\"\"", "\"  s  \"", "\"\u00e9#\"", "\"${x}\"", "\"a${ x }b${1+ 2}\"", "\"${ true?1: 2 }\"", "\"$${x}\"", "\"%{ if true }a%{else}b%{ endif }\"", "\"${~ x ~} \"", "\"${\"${x}\"}\""))
	case 3:
		w.write(w.pick("1+2", "1 +  -2", "1- 1", "2*3 /4", "1<2&&true", "1 ==1", "!( true )", "7%2", "1-(-1)", "- - 1"))
	case 4:
		w.write(w.pick("f(1,2)", "f( 1 , 2 )", "f([1,2]...)", "f(1,\n2)", "f(\n1,\n2,\n)", "f(1, # why\n2)"))
	case 5:
		w.write(w.pick("{}", "[]", "{ }", "[ ]", "{\n}", "[\n\n]"))
	case 6:
		w.write(w.pick("true?1:2", "true ? x : \"n\"", "x==\"X\"?1:2", "(\ntrue\n? 1\n: 2\n)"))
	case 7, 8:
		w.write("[")
		for range rapid.IntRange(1, 3).Draw(w.T, "elements") {
			w.newline()
			w.expression(depth - 1)
			w.newline()
			w.write(",")
		}
		w.newline()
		w.write("]")
	case 9, 10:
		w.write("{")
		for range rapid.IntRange(1, 3).Draw(w.T, "elements") {
			w.newline()
			w.write(w.pick("k", "\"k e\"", "(x)", "key_long"), w.pick("=", " = ", ": ", "  =", ":"))
			w.expression(depth - 1)
			w.write(w.pick(",", "\n", ",\n", " # last\n", ", # last\n"))
		}
		w.newline()
		w.write("}")
	case 11:
		w.write(w.pick("[for v in [1,2]:v]", "[ for v in [ 1,2 ] : v if v>1 ]", "{for k,v in y: k=>v}", "{for k , v in y :k => v...}", "[\n  for v in [1,2] :\n v\n]", "{\nfor k, v in y :\nk => v # c\n}"))
	case 12:
		w.write("(")
		w.newline()
		w.expression(depth - 1)
		w.newline()
		w.write(")")
	}
}

// file is a file that parses, sometimes with the line ends of Windows.
func file(t *rapid.T) []byte {
	w := &writer{T: t}
	w.body(3)
	src := w.String()
	if rapid.Bool().Draw(t, "windows") {
		src = strings.ReplaceAll(src, "\n", "\r\n")
	}
	if cut := strings.TrimRight(src, "\r\n"); !strings.HasSuffix(cut, "EOT") && rapid.Bool().Draw(t, "cut") {
		src = cut
	}
	if _, diags := hclsyntax.ParseConfig([]byte(src), "", hcllib.InitialPos); diags.HasErrors() {
		t.Fatalf("%v:\n%s", diags, src)
	}
	return []byte(src)
}

// style formats src and checks that nothing but space changes, and nothing more
// the second time.
func style(t rapid.TB, src []byte) []byte {
	t.Helper()
	once := hcl.Format(src)
	if twice := hcl.Format(once); string(twice) != string(once) {
		t.Fatalf("of\n%q\nonce\n%s\ntwice\n%s", src, once, twice)
	}
	if diff := cmp.Diff(words(src), words(once)); diff != "" {
		t.Fatalf("tokens of\n%q\n(-before +after):\n%s", src, diff)
	}
	return once
}

// Formatting changes nothing but space: not the tokens, not the comments, not
// what they mean.
func TestFormatProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := file(t)
		once := style(t, src)
		if diff := cmp.Diff(comments(src), comments(once)); diff != "" {
			t.Fatalf("comments (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(parsed(t, src), parsed(t, once)); diff != "" {
			t.Fatalf("of\n%s\nbecame\n%s\nmeaning (-before +after):\n%s", src, once, diff)
		}
	})
}

// What is in style is in the style of hclwrite, and the two differ in blank
// lines only.
func TestFormatAgreesWithHclwrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := file(t)
		ours := hcl.Format(src)
		if theirs := hclwrite.Format(ours); string(theirs) != string(ours) {
			t.Fatalf("hclwrite makes of\n%s\nthis:\n%s", ours, theirs)
		}
		if diff := cmp.Diff(filled(hclwrite.Format(src)), filled(ours)); diff != "" {
			t.Fatalf("lines (-hclwrite +ours):\n%s", diff)
		}
	})
}

// Whatever parses is put in style, and what does not is left alone.
func FuzzFormat(f *testing.F) {
	drawn := rapid.Custom(func(t *rapid.T) []byte {
		w := &writer{T: t}
		w.body(3)
		return []byte(w.String())
	})
	for i := range 20 {
		f.Add(drawn.Example(i))
	}
	for _, src := range []string{"A{}/*\n*/", "#0\r", "x = <<E\r\n\r\nE\r\n", "a {\n\n\nx="} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once := style(t, src)
		if _, diags := hclsyntax.ParseConfig(src, "", hcllib.InitialPos); diags.HasErrors() {
			if string(once) != string(src) {
				t.Fatalf("%q does not parse and became %q", src, once)
			}
			return
		}
		if theirs := hclwrite.Format(once); string(theirs) != string(once) {
			t.Fatalf("hclwrite makes of\n%q\nthis:\n%q", once, theirs)
		}
	})
}

// Nothing crashes, and every error of a file has a place.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/errors/*.ainur.hcl")
	if err != nil {
		f.Fatal(err)
	}
	examples, err := filepath.Glob("../examples/*.ainur.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, examples...) {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	path := filepath.Join(f.TempDir(), "fuzz.ainur.hcl")
	f.Fuzz(func(t *testing.T, src []byte) {
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		m, diags := hcl.Load(path, options())
		usable := !diags.HasErrors()
		diags = all(m, diags)
		for _, d := range diags {
			if d.Subject == nil {
				t.Errorf("no place: %s", d.Summary)
			}
		}
		render(t, m, diags)
		if usable {
			if exp, diags := m.Experiment("", 0); !diags.HasErrors() {
				m.Conclude(exp, spec.Run{}, nil)
			}
		}
	})
}
