package funcs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/funcs"
)

// eval is the value of an expression as JSON, or the error.
func eval(t *testing.T, root, text string) (string, error) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, diags := expr.Value(&hcl.EvalContext{Functions: funcs.All(root)})
	if diags.HasErrors() {
		return "", diags
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

func TestFunctions(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"a.txt": "hello", "b.txt": "bye", "t.tmpl": "x = ${x}, ${sum([1, 2])}"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]string{
		`seconds("20ms")`:                             `0.02`,
		`bytes("1.5KiB")`:                             `1536`,
		`rate("30/m")`:                                `0.5`,
		`duration(1.5, "m")`:                          `90`,
		`linspace(1, 2, 3)`:                           `[1,1.5,2]`,
		`linspace(5, 9, 1)`:                           `[5]`,
		`hostlist("node[01-03,7]")`:                   `["node01","node02","node03","node7"]`,
		`hostlist("r[1-2]n[3-4]")`:                    `["r1n3","r1n4","r2n3","r2n4"]`,
		`hostlist("one")`:                             `["one"]`,
		`hostlist("n[098-101]")`:                      `["n098","n099","n100","n101"]`,
		`seed("a") == seed("a")`:                      `true`,
		`seed("a") == seed("b")`:                      `false`,
		`hash({ a = 1 }) == hash({ a = 1.0})`:         `true`,
		`length(hash("x"))`:                           `64`,
		`mean([1, 2, 6])`:                             `3`,
		`median([5, 1, 3])`:                           `3`,
		`median([1, 2])`:                              `1.5`,
		`quantile([4, 1, 3, 2], 0.25)`:                `1.75`,
		`quantile([7], 0.99)`:                         `7`,
		`sum([1, 2, 3])`:                              `6`,
		`alltrue([true, false])`:                      `false`,
		`anytrue([true, false])`:                      `true`,
		`length("añb")`:                               `3`,
		`length({ a = 1 })`:                           `1`,
		`length([1, 2])`:                              `2`,
		`index(["a", "b"], "b")`:                      `1`,
		`transpose({ a = ["x", "y"], b = ["x"] })`:    `{"x":["a","b"],"y":["a"]}`,
		`base64decode(base64encode("añ"))`:            `"añ"`,
		`type(1)`:                                     `"number"`,
		`try(tonumber("x"), 3)`:                       `3`,
		`can(tonumber("x"))`:                          `false`,
		`toset(["a", "a"])`:                           `["a"]`,
		`file("a.txt")`:                               `"hello"`,
		`fileexists("a.txt")`:                         `true`,
		`fileexists("c.txt")`:                         `false`,
		`fileset(".", "*.txt")`:                       `["a.txt","b.txt"]`,
		`filesha256("a.txt")`:                         `"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`,
		`templatefile("t.tmpl", { x = 5 })`:           `"x = 5, 3"`,
		`basename(dirname("/a/b/c"))`:                 `"b"`,
		`basename(abspath("a.txt"))`:                  `"a.txt"`,
		`pathexpand("/x/~")`:                          `"/x/~"`,
		`format("%s-%d", "a", 3)`:                     `"a-3"`,
		`jsonencode({ a = [1] })`:                     `"{\"a\":[1]}"`,
		`csvdecode("a,b\n1,2")[0].b`:                  `"2"`,
		`max(range(5)...)`:                            `4`,
		`lookup({ a = 1 }, "b", 9)`:                   `9`,
		`join(",", sort(keys({ b = 1, a = 2 })))`:     `"a,b"`,
		`flatten([[1], [2, [3]]])`:                    `[1,2,3]`,
		`trimsuffix("a.hcl", ".hcl")`:                 `"a"`,
		`length(setproduct(["a", "b"], ["c"]))`:       `2`,
		`merge({ a = 1 }, { b = 2 })`:                 `{"a":1,"b":2}`,
		`regex("[0-9]+", "ab12")`:                     `"12"`,
		`coalesce(null, "x")`:                         `"x"`,
		`distinct([1, 1, 2])`:                         `[1,2]`,
		`zipmap(["a"], [1])`:                          `{"a":1}`,
		`element(["a", "b"], 3)`:                      `"b"`,
		`chunklist(["a", "b", "c"], 2)`:               `[["a","b"],["c"]]`,
		`parseint("ff", 16) + signum(-3) + ceil(1.2)`: `256`,
	} {
		got, err := eval(t, root, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		`seconds("20")`:               "needs a unit",
		`bytes("1 parsec")`:           "unknown unit",
		`linspace(1, 2, 0)`:           "whole number from 1",
		`linspace(1, 2, 1e9)`:         "whole number from 1",
		`hostlist("n[3-1]")`:          "not a range",
		`hostlist("n[1-")`:            "does not close",
		`hostlist("n1]")`:             "did not open",
		`hostlist("n[1-999999999]")`:  "not a range",
		`median([])`:                  "empty",
		`quantile([1], 2)`:            "from 0 to 1",
		`index(["a"], "b")`:           "does not hold",
		`file("nothing")`:             "no such file",
		`base64decode("*")`:           "illegal base64",
		`templatefile("nothing", {})`: "no such file",
		`mean([null])`:                "null",
	} {
		if got, err := eval(t, t.TempDir(), text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %s, %v, want an error with %q", text, got, err, want)
		}
	}
}
