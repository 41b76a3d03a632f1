package scaffold

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

func TestMigrate(t *testing.T) {
	for src, want := range map[string]string{
		"":                                   "",
		"worker \"w\" {\n}\n":                "",
		"ainur {\n  language = 1\n}\n":       "",
		"ainur {\n  language = 2\n}\n":       "version 2",
		"ainur {\n  language = 1.5\n}\n":     "language is a version such as 1",
		"ainur {\n  language = \"new\"\n}\n": "language is a version such as 1",
		"ainur {\n  language = 0\n}\n":       "language is a version such as 1",
		"ainur {\n  language = var.x\n}\n":   "Variables not allowed",
		"ainur {":                            "Unclosed",
	} {
		got, changes, err := Migrate([]byte(src), "a.ainur.hcl")
		switch {
		case want == "" && (err != nil || string(got) != src || len(changes) > 0):
			t.Errorf("%q: got %q, %q and %v, want it as it is", src, got, changes, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want an error with %q", src, err, want)
		}
	}
	var newer *NewerError
	if _, _, err := Migrate([]byte(`{"ainur": {"language": 3}}`), "a.ainur.json"); !errors.As(err, &newer) || newer.Version != 3 {
		t.Errorf("got %v, want the version 3", err)
	}
}

// Rules apply to files that are older, and say what they did.
func TestMigrateRules(t *testing.T) {
	rules := []rule{
		{2, "function is called lambda", func(b *hclwrite.Body) bool {
			old := b.FirstMatchingBlock("function", []string{"f"})
			if old != nil {
				old.SetType("lambda")
			}
			return old != nil
		}},
		{1, "never", func(*hclwrite.Body) bool { panic("the file is of version 1") }},
	}
	got, changes, err := migrate([]byte("# kept\nfunction \"f\" {\n  x=1\n}\n"), "a.ainur.hcl", rules)
	if want := "# kept\nlambda \"f\" {\n  x = 1\n}\n"; err != nil || string(got) != want || len(changes) != 1 {
		t.Errorf("got %q, %q and %v, want %q", got, changes, err, want)
	}
	same := "function   \"g\" {\n}\n"
	if got, changes, err := migrate([]byte(same), "a.ainur.hcl", rules); err != nil || string(got) != same || len(changes) > 0 {
		t.Errorf("got %q, %q and %v, want what no rule is about as it is", got, changes, err)
	}
}
