package funcs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/hcl/funcs"
)

var lock = map[string]string{"example.org/hello:1": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}

// value is the value of an expression. root is the folder of its files.
func value(t testing.TB, root, text string, variables map[string]cty.Value) (cty.Value, error) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(text), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	functions := funcs.With(funcs.Options{Root: root, Lock: lock})
	functions["env"] = funcs.Env([]string{"USER=ada", "HOME=/home/ada"})
	v, diags := expr.Value(&hcl.EvalContext{Functions: functions, Variables: variables})
	if diags.HasErrors() {
		return cty.NilVal, diags
	}
	return v, nil
}

// eval is the value of an expression as JSON, or the error.
func eval(t testing.TB, root, text string) (string, error) {
	t.Helper()
	v, err := value(t, root, text, nil)
	if err != nil {
		return "", err
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	return string(b), nil
}

// folder has the files that the examples name.
func folder(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"hello.txt": "hello", "greeting.tmpl": "Hello ${name}!", "data.csv": "n", "traces/day1.csv": "n", "traces/deep/er.txt": "",
		"x.tmpl": "x = ${x}, ${sum([1, 2])}", "loop.tmpl": "%{ for i in range(3) }${i};%{ endfor }",
		"bad.tmpl": "${", "endless.tmpl": "%{ for i in range(1000) }%{ for j in range(1000) }%{ endfor }%{ endfor }",
		"huge.tmpl": `%{ for i in range(1000) }${join(",", range(1000))}%{ endfor }`, "self.tmpl": `${templatefile("self.tmpl", {})}`,
		"deep.tmpl": "${" + strings.Repeat("!", 100_000) + "true}", "binary": "\xff", "big.txt": strings.Repeat("x", 1<<20+1),
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Every function has documentation, and its example is true.
func TestDocs(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	root := folder(t)
	documented := map[string]bool{"env": true}
	functions := funcs.All(root)
	functions["env"] = funcs.Env(nil)
	for _, d := range funcs.Docs() {
		documented[d.Name] = true
		f, ok := functions[d.Name]
		if !ok {
			t.Errorf("%s is documented and does not exist", d.Name)
			continue
		}
		if d.Summary == "" || f.Description() != d.Summary || !strings.HasSuffix(d.Summary, ".") || strings.Contains(d.Summary, ". ") {
			t.Errorf("%s: summary %q is not one sentence", d.Name, d.Summary)
		}
		if !strings.HasPrefix(d.Signature, d.Name+"(") || d.Group == "" {
			t.Errorf("%s has signature %q, group %q", d.Name, d.Signature, d.Group)
		}
		params := f.Params()
		if v := f.VarParam(); v != nil {
			params = append(params, *v)
		}
		for i, p := range params {
			if p.Name == "" || p.Description == "" || p.Name != d.Params[i].Name {
				t.Errorf("%s: parameter %d is %q, %q", d.Name, i, p.Name, p.Description)
			}
		}
		if len(params) != len(d.Params) {
			t.Errorf("%s documents %d parameters and has %d", d.Name, len(d.Params), len(params))
		}
		if !strings.Contains(d.Example, d.Name+"(") {
			t.Errorf("the example of %s, %s, does not call it", d.Name, d.Example)
		}
		got, err := eval(t, root, d.Example)
		if err != nil {
			t.Errorf("%s: %v", d.Example, err)
			continue
		}
		want, err := eval(t, root, d.Result)
		if err != nil || got != want {
			t.Errorf("%s is %s, documented as %s (%v)", d.Example, got, want, err)
		}
	}
	for name := range functions {
		if !documented[name] {
			t.Errorf("%s has no documentation", name)
		}
		if _, absent := funcs.Absent[name]; absent {
			t.Errorf("%s is absent and exists", name)
		}
	}
	for _, d := range funcs.Docs() {
		if strings.Count(funcs.Markdown(), "`"+d.Signature+"`") != 1 {
			t.Errorf("%s is not once in the reference", d.Signature)
		}
	}
}

// The list of the language's design.
func TestNames(t *testing.T) {
	want := strings.Fields(`abs ceil floor max min sum pow log signum parseint
		format join split lower upper replace regex regexall trim trimprefix trimsuffix trimspace substr indent startswith endswith
		length concat contains distinct flatten keys values lookup merge range reverse setproduct setunion slice sort zipmap
		element coalesce compact chunklist index alltrue anytrue transpose
		tostring tonumber tobool tolist toset tomap can try type
		jsonencode jsondecode csvdecode base64encode base64decode
		file fileexists fileset filesha256 templatefile abspath basename dirname pathexpand cidrhost cidrsubnet
		seconds bytes rate duration human linspace logspace geomspace powers hostlist zipf seed hash
		quantile mean median stddev ci95 where group ratio best fidelity image_digest`)
	got := map[string]bool{}
	for _, name := range funcs.Names() {
		got[name] = true
	}
	for _, name := range want {
		if !got[name] {
			t.Errorf("there is no function %s", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d functions, want %d", len(got), len(want))
	}
}

func TestFunctions(t *testing.T) {
	root := folder(t)
	for text, want := range map[string]string{
		`linspace(5, 9, 1)`:        `[5]`,
		`linspace(0, 1, 4)[3]`:     `1`,
		`linspace(3, 0, 4)`:        `[3,2,1,0]`,
		`logspace(0, 1, 3)[1]`:     `3.1622776601683795`,
		`logspace(-2, 2, 5)`:       `[0.01,0.1,1,10,100]`,
		`geomspace(1000, 1, 4)`:    `[1000,100,10,1]`,
		`geomspace(-1, -8, 4)`:     `[-1,-2,-4,-8]`,
		`geomspace(0.1, 7, 1)`:     `[0.1]`,
		`powers(2, 0, 10)[10]`:     `1024`,
		`powers(10, -2, 1)`:        `[0.01,0.1,1,10]`,
		`powers(0, 0, 2)`:          `[1,0,0]`,
		`zipf(4, 0)`:               `[0.25,0.25,0.25,0.25]`,
		`range(3)`:                 `[0,1,2]`,
		`range(-3)`:                `[0,-1,-2]`,
		`range(2, 2)`:              `[]`,
		`range(0)`:                 `[]`,
		`range(1, 0, -0.5)`:        `[1,0.5]`,
		`length(range(100000))`:    `100000`,
		`hostlist("r[1-2]n[3-4]")`: `["r1n3","r1n4","r2n3","r2n4"]`,
		`hostlist("one")`:          `["one"]`,
		`hostlist("n[098-101]")`:   `["n098","n099","n100","n101"]`,
		`hostlist("n[1]b")`:        `["n1b"]`,

		`seed("a") == seed("a")`:              `true`,
		`seed("a") == seed("b")`:              `false`,
		`hash({ a = 1 }) == hash({ a = 1.0})`: `true`,
		`length(hash("x"))`:                   `64`,
		`image_digest("a@sha256:00")`:         `"sha256:00"`,
		`env("NOTHING")`:                      `""`,

		`human(0, "seconds")`:            `"0 s"`,
		`human(2.5e-7, "seconds")`:       `"250 ns"`,
		`human(0.0000123, "seconds")`:    `"12.3 µs"`,
		`human(0.02, "seconds")`:         `"20 ms"`,
		`human(0.99999, "seconds")`:      `"1 s"`,
		`human(-1.5, "seconds")`:         `"-1.5 s"`,
		`human(59.99, "seconds")`:        `"1m"`,
		`human(90, "seconds")`:           `"1m30s"`,
		`human(3600, "seconds")`:         `"1h"`,
		`human(3601, "seconds")`:         `"1h0m1s"`,
		`human(1200, "seconds")`:         `"20m"`,
		`human(1e12, "seconds")`:         `"11600000 d"`,
		`human(8.64e14, "seconds")`:      `"10000000000 d"`,
		`human(100, "bytes")`:            `"100 B"`,
		`human(1e30, "bytes")`:           `"909000000000000000 TiB"`,
		`human(1234.5, "rate")`:          `"1230/s"`,
		`human(0.5, "rate")`:             `"30/m"`,
		`human(0.001, "rate")`:           `"3.6/h"`,
		`human(0, "rate")`:               `"0/s"`,
		`median([1, 2])`:                 `1.5`,
		`quantile([7], 0.99)`:            `7`,
		`quantile([1, 2, 3], 1)`:         `3`,
		`stddev([5, 5])`:                 `0`,
		`ci95([4, 4, 4])`:                `{"half_width":0,"high":4,"low":4,"mean":4}`,
		`alltrue([])`:                    `true`,
		`anytrue([])`:                    `false`,
		`sum([])`:                        `0`,
		`sum([0.1, 0.2])`:                `0.3`,
		`pow(2, -2)`:                     `0.25`,
		`pow(10, -1) == 0.1`:             `true`,
		`pow(2, 0.5)`:                    `1.4142135623730951`,
		`pow(2, 64)`:                     `18446744073709551616`,
		`pow(0, 0)`:                      `1`,
		`log(1000, 10)`:                  `3`,
		`log(81, 3)`:                     `4`,
		`length("añb")`:                  `3`,
		`length({ a = 1 })`:              `1`,
		`length(range(3))`:               `3`,
		`index(tolist(["a", "b"]), "b")`: `1`,
		`distinct([])`:                   `[]`,
		`distinct([{ a = 1 }, { a = 1 }, { a = null }])`: `[{"a":1},{"a":null}]`,
		`base64decode(base64encode("añ"))`:               `"añ"`,
		`try(file("nothing"), "x")`:                      `"x"`,
		`try(null, 1)`:                                   `null`,
		`can(file("nothing"))`:                           `false`,
		`type({ a = 1 })`:                                `"object"`,

		`replace("a.b.c", ".", "-")`:                          `"a-b-c"`,
		`replace("a1b22", "/[0-9]+/", "($0)")`:                `"a(1)b(22)"`,
		`replace("aXbX", "/(?P<l>[a-z])X/", "$${l}-")`:        `"a-b-"`,
		`replace("a/b", "/", "-")`:                            `"a-b"`,
		`replace("ab", "", "-")`:                              `"-a-b-"`,
		`regex("(?P<n>[0-9]+)", "ab12").n`:                    `"12"`,
		`regexall("x", "abc")`:                                `[]`,
		`format("%s-%d %5.1f|%v", "a", 3, 2.25, { a = [1] })`: `"a-3   2.2|{\"a\":[1]}"`,
		`substr("hello", -2, -1)`:                             `"lo"`,
		`startswith("abc", "")`:                               `true`,
		`endswith("abc", "bc")`:                               `true`,

		`cidrhost("10.12.112.0/20", 16)`:                    `"10.12.112.16"`,
		`cidrhost("10.1.2.240/28", 1)`:                      `"10.1.2.241"`,
		`cidrhost("10.1.2.240/28", 14)`:                     `"10.1.2.254"`,
		`cidrhost("10.1.2.240/28", -1)`:                     `"10.1.2.255"`,
		`cidrhost("10.1.2.243/28", 0)`:                      `"10.1.2.240"`,
		`cidrhost("fd00:fd12:3456:7890:00a2::/72", 34)`:     `"fd00:fd12:3456:7890::22"`,
		`cidrsubnet("172.16.0.0/12", 4, 2)`:                 `"172.18.0.0/16"`,
		`cidrsubnet("10.1.2.0/24", 4, 15)`:                  `"10.1.2.240/28"`,
		`cidrsubnet("fd00:fd12:3456:7890::/56", 16, 162)`:   `"fd00:fd12:3456:7800:a200::/72"`,
		`cidrsubnet("fd00:fd12:3456:7890::/56", 16, 43707)`: `"fd00:fd12:3456:78aa:bb00::/72"`,
		`cidrsubnet("10.0.0.0/8", 0, 0)`:                    `"10.0.0.0/8"`,

		`fileexists("hello.txt")`:              `true`,
		`fileexists("traces")`:                 `false`,
		`fileset(".", "*.csv")`:                `["data.csv"]`,
		`fileset(".", "traces/*")`:             `["traces/day1.csv"]`,
		`fileset("traces", "**")`:              `["day1.csv","deep/er.txt"]`,
		`fileset(".", "**/deep/**/er.*")`:      `["traces/deep/er.txt"]`,
		`fileset(".", "*.none")`:               `[]`,
		`templatefile("x.tmpl", { x = 5 })`:    `"x = 5, 3"`,
		`templatefile("loop.tmpl", {})`:        `"0;1;2;"`,
		`basename(dirname("/a/b/c"))`:          `"b"`,
		`basename(abspath("hello.txt"))`:       `"hello.txt"`,
		`pathexpand("/x/~")`:                   `"/x/~"`,
		`pathexpand("~bob/x")`:                 `"~bob/x"`,
		`csvdecode("a,b\n1,2")[0].b`:           `"2"`,
		`max(range(5)...)`:                     `4`,
		`length(setproduct(["a", "b"], []))`:   `0`,
		`jsondecode("{\"a\":\"]]\\\"[[\"}").a`: `"]]\"[["`,
		`lookup({ a = 1 }, "a", 9)`:            `1`,
		`slice(["a"], 1, 1)`:                   `[]`,
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
	root := folder(t)
	for text, want := range map[string]string{
		`seconds("20")`:                           "needs a unit",
		`bytes("1 parsec")`:                       "unknown unit",
		`linspace(1, 2, 0)`:                       "whole number from 1",
		`linspace(1, 2, 1e9)`:                     "whole number from 1",
		`linspace(1, 2, 1.5)`:                     "whole number from 1",
		`geomspace(0, 2, 3)`:                      "no multiple of 0",
		`geomspace(1, -2, 3)`:                     "sign of the first",
		`geomspace(1e-300, 1e300, 3)`:             "too large",
		`logspace(0, 1e9, 2)`:                     "too large",
		`logspace(0, 400.5, 2)`:                   "too large",
		`powers(2, 3, 1)`:                         "from 3 to",
		`powers(0, -1, 1)`:                        "no negative power",
		`powers(10, 0, 10000)`:                    "over the limit",
		`pow(10, 5000)`:                           "over the limit",
		`pow(10, -5000)`:                          "1e-1232",
		`pow(-1, 0.5)`:                            "whole exponent",
		`pow(0, -0.5)`:                            "no negative power",
		`pow(1e300, 1.5)`:                         "too large",
		`log(0, 2)`:                               "above 0",
		`log(2, 1)`:                               "no logarithm",
		`zipf(0, 1)`:                              "whole number from 1",
		`zipf(3, -1)`:                             "not below 0",
		`range()`:                                 "one to three",
		`range(0, 3, -1)`:                         "does not lead",
		`range(0, 3, 0)`:                          "does not lead",
		`range(100001)`:                           "limit of 100000",
		`hostlist("n[3-1]")`:                      "not a range",
		`hostlist("n[1-")`:                        "does not close",
		`hostlist("n1]")`:                         "did not open",
		`hostlist("n[1-999999999]")`:              "limit of 100000",
		`hostlist("n[1-999][1-999]")`:             "limit of 100000",
		`hostlist("[1][1][1][1][1][1][1][1][1]")`: "limit of 8",
		`human(1, "furlongs")`:                    "want \"seconds\"",
		`median([])`:                              "empty",
		`mean([null])`:                            "null",
		`mean([1e400])`:                           "too large",
		`mean([1e308, 1e308])`:                    "too large",
		`stddev([1])`:                             "at least 2",
		`ci95([1])`:                               "at least 2",
		`sum([1, null])`:                          "null",
		`alltrue([true, null])`:                   "null",
		`quantile([1], 2)`:                        "from 0 to 1",
		`index(["a"], "b")`:                       "does not hold",
		`index("a", "b")`:                         "want a list",
		`length(3)`:                               "want a collection or a text",
		`transpose({ a = [null] })`:               "holds a null",
		`image_digest("example.org/x")`:           "ainur init",
		`base64decode("*")`:                       "illegal base64",
		`base64decode("/w==")`:                    "not UTF-8",
		`try(tonumber("x"), file("nothing"))`:     "no such file",
		`try()`:                                   "at least one",

		`cidrhost("10.0.0.0/33", 0)`:       "want a network",
		`cidrhost("10.0.0.0/30", 4)`:       "has 4 hosts",
		`cidrhost("10.0.0.0/30", -5)`:      "has 4 hosts",
		`cidrhost("10.0.0.0/30", 0.5)`:     "whole number",
		`cidrsubnet("10.0.0.0/30", 3, 0)`:  "from 0 to 2",
		`cidrsubnet("10.0.0.0/24", 2, 4)`:  "2 bits have 4 parts",
		`cidrsubnet("10.0.0.0/24", 2, -1)`: "2 bits have 4 parts",

		`file("nothing")`:                  "no such file",
		`file("traces")`:                   "is not a file",
		`file("/dev/zero")`:                "is not a file",
		`file("big.txt")`:                  "limit of 1 MiB",
		`file("binary")`:                   "not UTF-8",
		`filesha256("/dev/zero")`:          "is not a file",
		`fileset("nothing", "*")`:          "no such file",
		`fileset(".", "../*")`:             "no pattern",
		`fileset(".", "[")`:                "no pattern",
		`templatefile("nothing", {})`:      "no such file",
		`templatefile("x.tmpl", {})`:       "no variable named",
		`templatefile("x.tmpl", 1)`:        "want an object",
		`templatefile("bad.tmpl", {})`:     "bad.tmpl:1",
		`templatefile("endless.tmpl", {})`: "limit of 100000 elements",
		`templatefile("huge.tmpl", {})`:    "limit of 1 MiB",
		`templatefile("self.tmpl", {})`:    "templatefile",
		`templatefile("deep.tmpl", {})`:    "limit of 200 brackets",

		`format("%1000000000d", 1)`:                                        "over the limit",
		`format("%99999999999999999999d", 1)`:                              "over the limit",
		`format("%.2000000f", 1)`:                                          "over the limit",
		`indent(1e9, "a\nb")`:                                              "whole number from 0",
		`indent(-1, "a\nb")`:                                               "whole number from 0",
		`indent(1000000, "a\nb\nc")`:                                       "1 MiB",
		`join(join(",", range(1000)), range(1000))`:                        "1 MiB",
		`split("", join("", [for i in range(60000) : "abc"]))`:             "limit of 100000",
		`setproduct(range(1000), range(1000))`:                             "limit of 100000",
		`setproduct(range(400), range(200))`:                               "limit of 100000",
		`concat(range(60000), range(60000))`:                               "limit of 100000",
		`replace(join("", range(20000)), "1", join("", range(1000)))`:      "1 MiB",
		`replace(join("", range(1000)), "/[0-9]/", join("", range(1000)))`: "1 MiB",
		`replace("a", "/(/", "")`:                                          "no regular expression",
		`regex(join("", range(1000)), "a")`:                                "limit of 2000",
		`regexall("[a-z]", join("", range(60000)))`:                        "split it into lines",
		`regex("(x{1000}){1}y{1000}", join("", range(60000)))`:             "split it into lines",
		`replace(join("", range(60000)), "/[0-9]/", "")`:                   "\"text\" parameter: the text of",
		`replace("a", "/${join("", range(1000))}/", "")`:                   "\"old\" parameter: a pattern of",
		`regex("(", "a")`:                                                  "missing closing",
		`parseint(join("", range(2000)), 10)`:                              "limit of 2000",
		`tonumber("1e999999")`:                                             "over the limit",
		`jsondecode("[1e999999]")`:                                         "over the limit",
		`jsondecode(format("%0300d", 1))`:                                  "",
		`jsondecode(join("", [for i in range(300) : "["]))`:                "deeper than 200",
		`jsonencode([for i in range(300) : join(",", range(1000))])`:       "1 MiB",
		`csvdecode(join(",", range(100001)))`:                              "limit of 100000",
		`csvdecode(join("\n", [for i in range(100000) : ","]))`:            "limit of 100000",
		`merge(null, toset(["a"]))`:                                        "want a map or an object, got set",
		`setunion([null], ["a"])`:                                          "have no type",
		`coalesce(range(2000)...)`:                                         "limit of 1000",
		`tolist(["a", {}])`:                                                "no common type",
		`sum(["x"])`:                                                       "element 0: a number is required",
		`trim("a", join("", range(1000)))`:                                 "limit of 2000",
	} {
		if got, err := eval(t, root, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %.80s, %v, want an error with %q", text, got, err, want)
		}
	}
}

// What is not known yet gives an unknown result of the right type, so that a
// file can be checked before a run.
func TestUnknown(t *testing.T) {
	variables := map[string]cty.Value{
		"n": cty.UnknownVal(cty.Number), "s": cty.UnknownVal(cty.String), "any": cty.DynamicVal,
		"rows": cty.UnknownVal(cty.List(cty.EmptyObject)),
		"row": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{
			"server": cty.DynamicVal, "axes": cty.ObjectVal(map[string]cty.Value{"server": cty.DynamicVal}),
			"latency": cty.ObjectVal(map[string]cty.Value{"p99": cty.UnknownVal(cty.Number)}), "t": cty.NumberIntVal(1),
		})}),
		"bare": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"axes": cty.DynamicVal, "t": cty.NumberIntVal(1)})}),
	}
	ratio := "object"
	for text, want := range map[string]string{
		`mean([1, n])`: "number", `ci95([1, n])`: "object", `median(any)`: "number", `zipf(n, 1)`: "list of number",
		`linspace(1, n, 3)`: "list of number", `range(n)`: "list of number", `human(n, "bytes")`: "string", `hostlist(s)`: "list of string",
		`image_digest(s)`: "string", `seed(s)`: "number", `hash([any])`: "string", `cidrhost(s, 1)`: "string", `cidrsubnet("10.0.0.0/8", n, 1)`: "string",
		`file(s)`: "string", `templatefile("x.tmpl", { x = n })`: "string", `format("%d", n)`: "string", `indent(n, "a")`: "string",
		`join(",", [s])`: "string", `replace(s, "a", "b")`: "string", `startswith(s, "a")`: "bool", `length(any)`: "number",
		`sum([n])`: "number", `pow(n, 2)`: "number", `alltrue([n == 1])`: "bool", `distinct([n])`: "list of number", `transpose({ a = [s] })`: "map of list of string",
		`where(any, { a = 1 })`: "dynamic", `where(rows, { a = 1 })`: "dynamic", `where([any], { a = 1 })`: "dynamic",
		`where(row, { server = "unix" })`: "dynamic", `where(row, { t = n })`: "dynamic", `where(bare, { server = "unix" })`: "dynamic",
		`group(any, ["a"])`: "dynamic", `group(row, ["server"])`: "dynamic", `group(row, [s])`: "dynamic",
		`best(any, { metric = "t" })`: "dynamic", `best(row, { metric = "latency.p99" })`: "dynamic", `best(row, { metric = "t" })`: "dynamic",
		`best(row, { metric = s })`: "dynamic", `best(row, { metric = "t", at = { server = 1 } })`: "dynamic",
		`ratio(any, "t", { a = 1 }, { a = 2 })`: ratio, `ratio(row, "latency.p99", { server = "a" }, { server = "b" })`: ratio,
		`fidelity(any, row, "t")`: ratio, `fidelity({ results = any }, row, "t")`: ratio, `fidelity(row, row, "latency.p99")`: ratio,
		`try(n, 1)`: "dynamic", `can(n)`: "bool", `type(any)`: "string",
	} {
		v, err := value(t, t.TempDir(), text, variables)
		switch {
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case v.IsKnown() || v.Type().FriendlyName() != want:
			t.Errorf("%s is %#v, want unknown %s", text, v, want)
		}
	}
	for text, want := range map[string]string{
		`where(row, { srver = "unix" })`:                            "they have axes, latency, server, t",
		`where(row, { t = 2 })`:                                     "",
		`best(row, { metric = "latency.p98" })`:                     "latency has p99",
		`ratio(row, "latency", { server = "a" }, { server = "b" })`: `such as "latency.p99"`,
		`fidelity(row, any, "u")`:                                   `no row has "u"`,
		`best(any, { metric = "t", gaol = "min" })`:                 `there is no "gaol"`,
		`length([n, 1])`:                                            "",
	} {
		v, err := value(t, t.TempDir(), text, variables)
		if want == "" {
			if err != nil || !v.IsWhollyKnown() {
				t.Errorf("%s is %#v, %v, want something known", text, v, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %#v, %v, want an error with %q", text, v, err, want)
		}
	}
}

// What is sensitive stays so, and no error tells it.
func TestSensitive(t *testing.T) {
	secret := cty.StringVal("hunter2").Mark("sensitive")
	variables := map[string]cty.Value{
		"s": secret, "n": cty.NumberIntVal(5).Mark("sensitive"),
		"rows": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{"a": secret, "t": cty.NumberIntVal(1), "axes": cty.ObjectVal(map[string]cty.Value{"a": secret})})}),
	}
	root := folder(t)
	for _, text := range []string{
		`upper(s)`, `mean([n, 1])`, `hash([s])`, `where(rows, { t = 1 })`, `where(rows, { a = "x" })`, `best(rows, { metric = "t" })`,
		`group(rows, ["a"])`, `format("%s", s)`, `jsonencode({ a = s })`, `human(n, "bytes")`, `range(n)`, `zipf(n, 1)`, `ci95([n, 2])`,
		`replace(s, "h", "j")`, `templatefile("greeting.tmpl", { name = s })`, `seed(s)`, `length(s)`, `cidrhost("10.0.0.0/8", n)`,
		`distinct([s, "a"])`, `fidelity(rows, rows, "t")`, `try(s, "x")`,
	} {
		v, err := value(t, root, text, variables)
		if err != nil || !v.ContainsMarked() {
			t.Errorf("%s is %#v, %v, want it sensitive", text, v, err)
		}
	}
	for _, text := range []string{
		`seconds(s)`, `tonumber(s)`, `parseint(s, 10)`, `file(s)`, `image_digest(s)`, `where(rows, { b = s })`, `hostlist("${s}[")`,
		`jsondecode(s)`, `cidrhost(s, 0)`, `regex("(${s}", "x")`, `index(["a"], s)`, `templatefile(s, {})`, `best(rows, { metric = s })`, `group(rows, [s])`,
	} {
		if v, err := value(t, root, text, variables); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s is %#v, %v, want an error that does not tell", text, v, err)
		}
	}
}

func TestNull(t *testing.T) {
	for _, text := range []string{
		`seconds(null)`, `mean(null)`, `where(null, {})`, `where([null], {})`, `where([{ a = 1 }], null)`, `group([{ a = 1 }], [null])`,
		`best(null, { metric = "t" })`, `best([{ a = 1 }], { metric = null })`, `ratio(null, "t", {}, {})`, `fidelity({ results = null }, [], "t")`,
		`human(null, "bytes")`, `hash(null)`, `join(",", [null])`, `sort([null])`, `zipmap([null], [1])`, `zipmap([null, "a"], tolist([1, 2]))`, `cidrhost(null, 1)`, `file(null)`,
	} {
		if got, err := eval(t, t.TempDir(), text); err == nil || !strings.Contains(err.Error(), "null") || strings.Contains(err.Error(), "panic") {
			t.Errorf("%s is %s, %v, want an error that says null", text, got, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	for name, want := range map[string]string{"timestamp": "run.started_at", "uuid": "run.id", "random": "seed("} {
		if !strings.Contains(funcs.Absent[name], want) {
			t.Errorf("%s: %q does not offer %s", name, funcs.Absent[name], want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	want := "| `regex(pattern, text)` |"
	if got := funcs.Markdown(); !strings.Contains(got, want) || strings.Contains(got, "\n\n\n") {
		t.Errorf("no %q in\n%s", want, got)
	}
	if diff := cmp.Diff(funcs.Markdown(), funcs.Markdown()); diff != "" {
		t.Error(diff)
	}
}
