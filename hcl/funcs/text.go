package funcs

import (
	"errors"
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

var textFunctions = []entry{
	{Doc: Doc{
		Name: "format", Summary: "A text with values put in: %s text, %d a whole number, %05.2f width and digits, %v anything, %q quoted.",
		Params:  []Param{{"format", "the text, with a % sign and a letter for each value"}, {"values", "what to put in"}},
		Example: `format("%s-%03d", "node", 7)`, Result: `"node-007"`,
	}, fn: stdlib.FormatFunc, refuse: longFormat},
	{Doc: Doc{
		Name: "join", Summary: "The elements of lists as one text.",
		Params:  []Param{{"separator", "what goes between"}, {"lists", "of texts"}},
		Example: `join(", ", ["a", "b"])`, Result: `"a, b"`,
	}, fn: stdlib.JoinFunc, refuse: longJoin},
	{Doc: Doc{
		Name: "split", Summary: "A text cut at every separator.",
		Params:  []Param{{"separator", "where to cut"}, {"text", "what to cut"}},
		Example: `split(",", "a,b")`, Result: `["a", "b"]`,
	}, fn: stdlib.SplitFunc, refuse: longSplit},
	{Doc: Doc{
		Name: "lower", Summary: "A text in lower case.",
		Params:  []Param{{"text", "any text"}},
		Example: `lower("Warm")`, Result: `"warm"`,
	}, fn: stdlib.LowerFunc},
	{Doc: Doc{
		Name: "upper", Summary: "A text in upper case.",
		Params:  []Param{{"text", "any text"}},
		Example: `upper("cold")`, Result: `"COLD"`,
	}, fn: stdlib.UpperFunc},
	{Doc: Doc{
		Name: "replace", Summary: "A text with every occurrence of another replaced; between slashes that is a regular expression.",
		Params:  []Param{{"text", "where to replace"}, {"old", "what to replace: \"a\", or \"/[0-9]+/\""}, {"new", "what to put there; $1 is the first group of a regular expression"}},
		Example: `replace("node-12", "/[a-z]+-([0-9]+)/", "n$1")`, Result: `"n12"`,
	}, fn: static(cty.String, replace, cty.String, cty.String, cty.String)},
	{Doc: Doc{
		Name: "regex", Summary: "The first match of a regular expression: the text, or its groups as a list, or as an object when they have names.",
		Params:  []Param{{"pattern", "in the syntax of RE2"}, {"text", "where to look"}},
		Example: `regex("([a-z]+)-([0-9]+)", "node-12")`, Result: `["node", "12"]`,
	}, fn: stdlib.RegexFunc, refuse: longSearch},
	{Doc: Doc{
		Name: "regexall", Summary: "Every match of a regular expression, each as regex has it.",
		Params:  []Param{{"pattern", "in the syntax of RE2"}, {"text", "where to look"}},
		Example: `regexall("[0-9]+", "3 of 12")`, Result: `["3", "12"]`,
	}, fn: stdlib.RegexAllFunc, refuse: longScan},
	{Doc: Doc{
		Name: "startswith", Summary: "Whether a text starts with another.",
		Params:  []Param{{"text", "any text"}, {"prefix", "how it starts"}},
		Example: `startswith("node01", "node")`, Result: `true`,
	}, fn: compare(strings.HasPrefix)},
	{Doc: Doc{
		Name: "endswith", Summary: "Whether a text ends with another.",
		Params:  []Param{{"text", "any text"}, {"suffix", "how it ends"}},
		Example: `endswith("node01", "02")`, Result: `false`,
	}, fn: compare(strings.HasSuffix)},
	{Doc: Doc{
		Name: "substr", Summary: "A part of a text.",
		Params:  []Param{{"text", "any text"}, {"offset", "where the part starts, from 0; below 0 counts from the end"}, {"length", "characters to take; -1 takes all"}},
		Example: `substr("node01", 4, 2)`, Result: `"01"`,
	}, fn: stdlib.SubstrFunc},
	{Doc: Doc{
		Name: "trim", Summary: "A text without some characters at its start and end.",
		Params:  []Param{{"text", "any text"}, {"characters", "each is taken off"}},
		Example: `trim("--a-b--", "-")`, Result: `"a-b"`,
	}, fn: stdlib.TrimFunc, refuse: longTrim},
	{Doc: Doc{
		Name: "trimprefix", Summary: "A text without a prefix, if it has it.",
		Params:  []Param{{"text", "any text"}, {"prefix", "what to take off"}},
		Example: `trimprefix("v1.2", "v")`, Result: `"1.2"`,
	}, fn: stdlib.TrimPrefixFunc},
	{Doc: Doc{
		Name: "trimsuffix", Summary: "A text without a suffix, if it has it.",
		Params:  []Param{{"text", "any text"}, {"suffix", "what to take off"}},
		Example: `trimsuffix("a.hcl", ".hcl")`, Result: `"a"`,
	}, fn: stdlib.TrimSuffixFunc},
	{Doc: Doc{
		Name: "trimspace", Summary: "A text without space at its start and end.",
		Params:  []Param{{"text", "any text"}},
		Example: `trimspace("  a\n")`, Result: `"a"`,
	}, fn: stdlib.TrimSpaceFunc},
	{Doc: Doc{
		Name: "indent", Summary: "A text with spaces before every line but the first.",
		Params:  []Param{{"spaces", "how many"}, {"text", "lines"}},
		Example: `indent(2, "a\nb")`, Result: `"a\n  b"`,
	}, fn: stdlib.IndentFunc, refuse: longIndent},
}

func compare(f func(text, part string) bool) function.Function {
	return static(cty.Bool, func(args []cty.Value) (cty.Value, error) {
		return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
	}, cty.String, cty.String)
}

func replace(args []cty.Value) (cty.Value, error) {
	text, old, new := args[0].AsString(), args[1].AsString(), args[2].AsString()
	if len(old) > 2 && old[0] == '/' && old[len(old)-1] == '/' {
		return replacePattern(text, old[1:len(old)-1], new)
	}
	if float64(strings.Count(text, old))*float64(len(new)-len(old))+float64(len(text)) > maxText {
		return cty.NilVal, errText
	}
	return cty.StringVal(strings.ReplaceAll(text, old, new)), nil
}

func replacePattern(text, pattern, with string) (cty.Value, error) {
	re, err := scan(pattern, text)
	if arg := (function.ArgError{}); errors.As(err, &arg) {
		return cty.NilVal, function.NewArgError(1-arg.Index, arg) // the pattern comes second here
	}
	if re == nil {
		_, err := regexp.Compile(pattern)
		return cty.NilVal, function.NewArgErrorf(1, "%q is no regular expression: %w", pattern, err)
	}
	var b []byte
	end := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		b = append(b, text[end:m[0]]...)
		b = re.ExpandString(b, with, text, m)
		end = m[1]
		if len(b) > maxText {
			return cty.NilVal, errText
		}
	}
	return cty.StringVal(string(b) + text[end:]), nil
}
