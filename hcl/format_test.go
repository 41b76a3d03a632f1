package hcl_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		"comment of several lines is kept": {"/* a\n\n\n b */\na {\n}\n", "/* a\n\n\n b */\na {\n}\n"},
		"windows line ends":                {"a {\r\n}\r\nb {\r\n}\r\n", "a {\n}\n\nb {\n}\n"},
		"empty":                            {"\n\n", ""},
		"what does not parse is kept":      {"a {\n\n\nx=", "a {\n\n\nx="},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(hcl.Format([]byte(tt.src)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// comments are the comment lines of src, in order.
func comments(src string) []string {
	var all []string
	for line := range strings.Lines(src) {
		if _, c, ok := strings.Cut(line, "#"); ok {
			all = append(all, strings.TrimSpace(c))
		}
	}
	return all
}

// Formatting twice is formatting once, and comments survive.
func TestFormatIsIdempotent(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"", "  ", "# a comment", "x = 1", "  longer=[1,2,\n3]", "call \"x\" {", "}", "}", "} # end", "a {}", "b { c = 1 }",
		"t = <<EOT\n  text ${ 1+2 }\n\nEOT", "m = {\n a=1\n # in\n bb=2\n}", "s = \"${x}#\"", "y = f(1,\n2)", "/* long\n\n comment */",
	})
	rapid.Check(t, func(t *rapid.T) {
		src := strings.Join(rapid.SliceOfN(line, 0, 12).Draw(t, "lines"), "\n") + "\n"
		once := hcl.Format([]byte(src))
		if twice := hcl.Format(once); string(twice) != string(once) {
			t.Fatalf("once\n%s\ntwice\n%s", once, twice)
		}
		if got, want := comments(string(once)), comments(src); !slices.Equal(got, want) {
			t.Fatalf("comments %q became %q", want, got)
		}
	})
}

// Nothing crashes, every error of a file has a place, and Format keeps its promise.
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
		once := hcl.Format(src)
		if twice := hcl.Format(once); string(twice) != string(once) {
			t.Errorf("Format is not idempotent:\n%q\n%q", once, twice)
		}
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
