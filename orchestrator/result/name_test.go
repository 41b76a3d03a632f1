package result

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl/spec"
)

func TestFileName(t *testing.T) {
	for s, want := range map[string]string{`pool["w1"]`: "pool__w1__", "": "_", "..": "_..", "1f2e-0.5": "1f2e-0.5", "a/b": "a_b", "größe": "gr__e"} {
		if got := fileName(s); got != want {
			t.Errorf("fileName(%q) = %q, want %q", s, got, want)
		}
	}
	fits := regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,59}$`)
	rapid.Check(t, func(t *rapid.T) {
		if s := rapid.String().Draw(t, "s"); !fits.MatchString(fileName(s)) {
			t.Fatalf("fileName(%q) = %q", s, fileName(s))
		}
	})
}

func TestSourceNames(t *testing.T) {
	for name, tt := range map[string]struct{ paths, want []string }{
		"none":      {nil, []string{}},
		"one":       {[]string{"lab/a.hcl"}, []string{"a.hcl"}},
		"siblings":  {[]string{"lab/a.hcl", "lab/b.hcl"}, []string{"a.hcl", "b.hcl"}},
		"above":     {[]string{"lab/a.hcl", "../site.hcl"}, nil},
		"absolute":  {[]string{"/x/y/a.hcl", "/x/z/a.hcl"}, []string{"y/a.hcl", "z/a.hcl"}},
		"at root":   {[]string{"/a.hcl", "/x/b.hcl"}, []string{"a.hcl", "x/b.hcl"}},
		"like name": {[]string{"/x/lab/a.hcl", "/x/lab2/b.hcl"}, []string{"lab/a.hcl", "lab2/b.hcl"}},
	} {
		t.Run(name, func(t *testing.T) {
			var sources []spec.Source
			for _, p := range tt.paths {
				sources = append(sources, spec.Source{Path: p})
			}
			got, err := sourceNames(sources)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == nil { // depends on the working directory
				if filepath.Base(got[0]) != "a.hcl" || got[1] != "site.hcl" {
					t.Errorf("got %q", got)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
