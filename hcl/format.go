package hcl

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// carriageReturns end lines on Windows.
var carriageReturns = regexp.MustCompile(`\r+\n`)

// Format puts src in the canonical style: two spaces, = aligned in runs, one
// blank line between top-level blocks. Comments stay, and formatting twice
// changes nothing more. What does not parse is returned as it is.
func Format(src []byte) []byte {
	if _, diags := hclsyntax.ParseConfig(src, "", hcl.InitialPos); diags.HasErrors() {
		return src
	}
	src = bytes.TrimRight(hclwrite.Format(carriageReturns.ReplaceAllLiteral(src, []byte("\n"))), "\r\n \t")
	if len(src) == 0 {
		return nil
	}
	lines := bytes.Split(src, []byte("\n"))
	inside, ends := shape(src, len(lines))
	var out bytes.Buffer
	blank, ended := true, false // of the line before: as if one stood before the first
	for i, line := range lines {
		empty := !inside[i] && len(bytes.TrimSpace(line)) == 0
		if empty && blank {
			continue
		}
		if ended && !empty {
			out.WriteByte('\n')
		}
		out.Write(line)
		out.WriteByte('\n')
		blank, ended = empty, ends[i]
	}
	return out.Bytes()
}

// shape tells of each line whether it begins inside a block or a token of
// several lines, and whether a top-level block ends on it.
func shape(src []byte, lines int) (inside, ends []bool) {
	inside, ends = make([]bool, lines), make([]bool, lines)
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos) // it parses
	depth, line, at := 0, 0, 0
	// forward moves to a byte; the lines that begin on the way are inside or not.
	forward := func(to int, in bool) {
		for ; at < to; at++ {
			if src[at] == '\n' {
				line++
				inside[line] = in
			}
		}
	}
	for _, t := range tokens {
		forward(t.Range.Start.Byte, depth > 0)
		forward(t.Range.End.Byte-1, true) // a token of several lines
		forward(t.Range.End.Byte, depth > 0)
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
			depth--
			ends[line] = depth == 0 && t.Type == hclsyntax.TokenCBrace
		}
	}
	return inside, ends
}
