package schema_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/ainur-faas/ainur/hcl/funcs"
	"github.com/ainur-faas/ainur/hcl/schema"
)

var update = flag.Bool("update", false, "rewrite the generated parts of docs/language.md")

const docs = "../../docs/language.md"

// The lists of functions and blocks in the documentation are those of the code.
func TestDocumentation(t *testing.T) {
	src, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for head, body := range map[string]string{
		"## Functions\n\n": funcs.Markdown(),
		"## Blocks\n\n":    strings.TrimSuffix(schema.Markdown(), "\n"),
	} {
		before, after, ok := strings.Cut(text, head)
		if !ok {
			t.Fatalf("no %q in %s", head, docs)
		}
		rest := ""
		if head == "## Functions\n\n" {
			_, rest, _ = strings.Cut(after, "\n## ")
			rest = "\n## " + rest
		}
		text = before + head + body + rest
	}
	if *update {
		if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, string(src)); diff != "" {
		t.Errorf("%s is out of date; go test ./hcl/schema -update (-want +got):\n%s", docs, diff)
	}
}

// The table is consistent: names differ, defaults parse, what is named exists.
func TestTable(t *testing.T) {
	var check func(b *schema.Block, path string)
	check = func(b *schema.Block, path string) {
		names := map[string]bool{}
		for _, a := range b.Attrs {
			if names[a.Name] {
				t.Errorf("%s has %s twice", path, a.Name)
			}
			names[a.Name] = true
			if a.Default != "" && a.Required {
				t.Errorf("%s.%s is required and has a default", path, a.Name)
			}
			if a.Unless != "" && b.Attr(a.Unless) == nil && b.Block(a.Unless) == nil {
				t.Errorf("%s.%s names %s, which is not there", path, a.Name, a.Unless)
			}
			for _, kind := range a.Type.Of {
				if kind != "host" && schema.Root.Block(kind) == nil {
					t.Errorf("%s.%s refers to %s, which is no block", path, a.Name, kind)
				}
			}
			if a.Type.Kind == schema.Expr || a.Default == "" {
				continue
			}
			expr, diags := hclsyntax.ParseExpression([]byte(a.Default), path, hcl.InitialPos)
			if diags.HasErrors() {
				t.Errorf("default of %s.%s: %v", path, a.Name, diags)
				continue
			}
			if _, diags := expr.Value(nil); diags.HasErrors() {
				t.Errorf("default of %s.%s: %v", path, a.Name, diags)
			}
		}
		for _, inner := range append(b.Blocks, b.Variants...) {
			check(inner, path+"."+inner.Type)
		}
	}
	check(schema.Root, "root")
}
