package hcl

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format puts src in the canonical style. What does not parse is returned as it is.
func Format(src []byte) []byte {
	formatted, diags := FormatFile("", src)
	if diags.HasErrors() {
		return src
	}
	return formatted
}

// FormatFile puts a file in the canonical style: two spaces, = aligned in runs,
// one blank line between top-level blocks, lines that end as on Unix. Comments
// and the text of heredocs stay, and formatting twice changes nothing more. The
// error is that of a file which does not parse. A file in JSON stays as it is.
func FormatFile(name string, src []byte) ([]byte, hcl.Diagnostics) {
	body, problem := parseSource(src, name)
	if problem != nil {
		return nil, hcl.Diagnostics{problem.Diagnostic()}
	}
	if strings.HasSuffix(name, jsonExtension) {
		return src, nil
	}
	return hclwrite.Format(spaced(unixLines(src), body)), nil
}

// carriageReturns end lines on Windows.
var carriageReturns = regexp.MustCompile(`\r+(\n|\z)`)

// unixLines ends every line with a newline alone, but for those of a heredoc:
// they are its text.
func unixLines(src []byte) []byte {
	if !bytes.ContainsRune(src, '\r') {
		return src
	}
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos) // it parses
	var out bytes.Buffer
	at := 0
	for _, t := range tokens {
		out.Write(src[at:t.Range.Start.Byte])
		if t.Type == hclsyntax.TokenStringLit {
			out.Write(t.Bytes)
		} else {
			out.Write(carriageReturns.ReplaceAll(t.Bytes, []byte("$1")))
		}
		at = t.Range.End.Byte
	}
	return out.Bytes()
}

// spaced has one blank line after each top-level block, and outside of blocks
// nowhere two, and none at either end.
func spaced(src []byte, body *hclsyntax.Body) []byte {
	lines := bytes.Split(src, []byte("\n"))
	inside := insideLines(src, len(lines))
	ends := make([]bool, len(lines))
	for _, b := range body.Blocks {
		ends[b.CloseBraceRange.Start.Line-1] = true
	}
	var out bytes.Buffer
	blank, first := false, true // a blank line belongs before the next that is not and begins outside
	for i, line := range lines {
		if !inside[i] && len(bytes.TrimSpace(line)) == 0 {
			blank = true
			continue
		}
		if blank && !first && !inside[i] {
			out.WriteByte('\n')
		}
		out.Write(line)
		out.WriteByte('\n')
		blank, first = ends[i] || blank && inside[i], false
	}
	return out.Bytes()
}

// insideLines tells of each line whether it begins inside a block or a token of
// several lines.
func insideLines(src []byte, lines int) []bool {
	inside := make([]bool, lines)
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
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc, hclsyntax.TokenOQuote:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenCQuote:
			depth--
		}
		forward(t.Range.End.Byte, depth > 0) // what begins a heredoc ends its line
	}
	return inside
}
