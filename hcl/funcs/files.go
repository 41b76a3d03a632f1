package funcs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

var path = []function.Parameter{{Name: "path", Type: cty.String}}

// Abs makes path absolute: it counts from the folder root, and where nothing
// is there, as may be for a path from the command line, from the working directory.
func Abs(root, path string) string {
	if under := filepath.Join(root, path); !filepath.IsAbs(path) && (exists(under) || !exists(path)) {
		path = under
	}
	abs, err := filepath.Abs(path)
	if err != nil { // the working directory is gone
		return path
	}
	return abs
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// files are the functions that read files, and those on paths.
func files(root string) map[string]function.Function {
	onPath := func(doc string, f func(string) (string, error)) function.Function {
		return simple(doc, cty.String, path, func(args []cty.Value) (cty.Value, error) {
			s, err := f(args[0].AsString())
			return cty.StringVal(s), err
		})
	}
	return map[string]function.Function{
		"abspath":  onPath("The absolute path.", func(p string) (string, error) { return Abs(root, p), nil }),
		"basename": onPath("The last part of a path.", func(p string) (string, error) { return filepath.Base(p), nil }),
		"dirname":  onPath("A path without its last part.", func(p string) (string, error) { return filepath.Dir(p), nil }),
		"pathexpand": onPath("A path with a leading ~ replaced by the home folder.", func(p string) (string, error) {
			rest, ok := strings.CutPrefix(p, "~")
			if !ok || rest != "" && rest[0] != '/' {
				return p, nil
			}
			home, err := os.UserHomeDir()
			return home + rest, err
		}),
		"file": onPath("The text of a file.", func(p string) (string, error) { return text(Abs(root, p)) }),
		"filesha256": onPath("The SHA-256, in hex, of a file.", func(p string) (string, error) {
			b, err := os.ReadFile(Abs(root, p))
			sum := sha256.Sum256(b)
			return hex.EncodeToString(sum[:]), err
		}),
		"fileexists": simple("Whether a path is a file.", cty.Bool, path, func(args []cty.Value) (cty.Value, error) {
			info, err := os.Stat(Abs(root, args[0].AsString()))
			return cty.BoolVal(err == nil && info.Mode().IsRegular()), nil
		}),
		"fileset": simple("The files in a folder whose names match a pattern, sorted.", cty.List(cty.String),
			append(slices.Clone(path), function.Parameter{Name: "pattern", Type: cty.String}),
			func(args []cty.Value) (cty.Value, error) {
				return fileset(Abs(root, args[0].AsString()), args[1].AsString())
			}),
		"templatefile": templatefile(root),
	}
}

func text(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && !utf8.Valid(b) {
		err = fmt.Errorf("%s is not UTF-8 text", path)
	}
	return string(b), err
}

func fileset(folder, pattern string) (cty.Value, error) {
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(1, "pattern %q: %w", pattern, err)
	}
	var names []cty.Value
	for _, f := range found {
		if rel, err := filepath.Rel(folder, f); err == nil {
			names = append(names, cty.StringVal(filepath.ToSlash(rel)))
		}
	}
	if len(names) == 0 {
		return cty.ListValEmpty(cty.String), nil
	}
	return cty.ListVal(names), nil
}

// templatefile renders a file as a template with the given variables and the functions that are not in cty's library.
func templatefile(root string) function.Function {
	params := append(slices.Clone(path), function.Parameter{Name: "vars", Type: cty.DynamicPseudoType})
	return simple("A file as a template, with variables from an object.", cty.String, params, func(args []cty.Value) (cty.Value, error) {
		name := Abs(root, args[0].AsString())
		if vars := args[1].Type(); !vars.IsObjectType() && !vars.IsMapType() || args[1].IsNull() {
			return cty.NilVal, function.NewArgErrorf(1, "want an object, got %s", vars.FriendlyName())
		}
		src, err := text(name)
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		template, diags := hclsyntax.ParseTemplate([]byte(src), name, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		functions := maps.Clone(general)
		maps.Copy(functions, domain)
		v, diags := template.Value(&hcl.EvalContext{Variables: args[1].AsValueMap(), Functions: functions})
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, diags)
		}
		return convert.Convert(v, cty.String)
	})
}
