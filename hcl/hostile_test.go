package hcl_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl"
)

// hostile are files of about a megabyte that aim at the memory, the stack or
// the patience of whoever reads them.
var hostile = map[string]string{
	"brackets":        "locals {\n a = " + strings.Repeat("[", 1<<20),
	"parentheses":     "locals {\n a = " + strings.Repeat("(", 1<<20),
	"templates":       "locals {\n a = " + strings.Repeat(`"${`, 1<<18),
	"directives":      "locals {\n a = \"" + strings.Repeat("%{if true}", 1<<16) + "\"\n}",
	"blocks":          strings.Repeat("a {\n", 1<<18),
	"negations":       "locals {\n a = " + strings.Repeat("!", 1<<20) + "true\n}",
	"minuses":         "locals {\n a = " + strings.Repeat("-", 1<<20) + "1\n}",
	"sums":            "locals {\n a = 1" + strings.Repeat("+1", 1<<19) + "\n}",
	"conditions":      "locals {\n a = " + strings.Repeat("true ? 1 : ", 1<<16) + "1\n}",
	"traversals":      "locals {\n a = b" + strings.Repeat(".c", 1<<19) + "\n}",
	"indices":         "locals {\n a = b" + strings.Repeat("[0]", 1<<18) + "\n}",
	"splats":          "locals {\n b = [1]\n a = local.b" + strings.Repeat("[*]", 1<<18) + "\n}",
	"heredocs":        "locals {\n" + strings.Repeat("a = <<E\n", 1<<17),
	"numbers":         "locals {\n a = 1e999999999\n}",
	"long number":     "locals {\n a = " + strings.Repeat("9", 1<<20) + "\n}",
	"names":           "locals {\n" + many(40_000, func(i int) string { return fmt.Sprintf(" a%d = b%d\n", i, i) }) + "}",
	"chain of locals": "locals {\n a0 = 1\n" + many(30_000, func(i int) string { return fmt.Sprintf(" a%d = local.a%d\n", i+1, i) }) + "}",
	"wrong arguments": "worker \"w\" {\n" + many(40_000, func(i int) string { return fmt.Sprintf(" a%d = 1\n", i) }) + "}",
	"wrong blocks":    many(40_000, func(i int) string { return fmt.Sprintf("w%d \"a\" {\n}\n", i) }),
	"wrong calls":     "locals {\n" + many(40_000, func(i int) string { return fmt.Sprintf(" a%d = f%d()\n", i, i) }) + "}",
	"equal locals":    "locals {\n" + strings.Repeat(" a = 1\n", 1<<17) + "}",
	"many functions": many(9_000, func(i int) string {
		return fmt.Sprintf("function \"f%d\" {\n builtin = \"hello\"\n memory = \"1MiB\"\n}\n", i)
	}),
	"doubling lists":   "locals {\n a0 = [1]\n" + many(100, func(i int) string { return fmt.Sprintf(" a%d = [local.a%d, local.a%d]\n", i+1, i, i) }) + "}",
	"doubling text":    "locals {\n a0 = \"x\"\n" + many(100, func(i int) string { return fmt.Sprintf(" a%d = \"${local.a%d}${local.a%d}\"\n", i+1, i, i) }) + "}",
	"nested loops":     "locals {\n a = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : 1]]]\n}",
	"many loops":       "locals {\n" + many(20_000, func(i int) string { return fmt.Sprintf(" a%d = [for a in range(1000) : a]\n", i) }) + "}",
	"wide format":      "locals {\n a = format(\"%999999999d\", 1)\n}",
	"wide indent":      "locals {\n a = indent(999999999, \"a\\nb\")\n}",
	"power":            "locals {\n a = pow(10, 999999999)\n b = \"${10e399 * 10e399 * 10e399}\"\n}",
	"replace":          "locals {\n a = join(\",\", [for i in range(1000) : \"aaaaaaaaaa\"])\n b = replace(local.a, \"a\", local.a)\n}",
	"product":          "locals {\n a = range(1000)\n b = setproduct(local.a, local.a, local.a)\n}",
	"sweep":            "sweep \"s\" {\n" + many(64, func(i int) string { return fmt.Sprintf(" axis \"a%d\" {\n values = range(1000)\n }\n", i) }) + "}",
	"pairs":            "sweep \"s\" {\n mode = \"pairs\"\n" + many(60, func(i int) string { return fmt.Sprintf(" axis \"a%d\" {\n values = range(100)\n }\n", i) }) + "}",
	"many hosts":       "cluster \"c\" {\n dynamic \"host\" {\n for_each = toset(hostlist(\"n[00001-99999]\"))\n labels = [host.key]\n content {\n address = host.key\n }\n }\n}",
	"regular pattern":  "locals {\n a = regex(\"" + strings.Repeat("(a*)*", 1000) + "b\", join(\"\", [for i in range(1000) : \"a\"]))\n}",
	"long lines":       "locals { " + strings.Repeat("a", 1<<20),
	"nothing":          strings.Repeat("\x00", 1<<20),
	"carriage returns": strings.Repeat("\r", 1<<20),
}

func many(n int, f func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// No file takes forever, or all memory: each is validated and formatted within
// a limit far above what it takes, and in bounded memory.
func TestHostile(t *testing.T) {
	for name, src := range hostile {
		for _, file := range []string{"exp.ainur.hcl", "exp.ainur.json"} {
			if file == "exp.ainur.json" && name != "brackets" && name != "nothing" {
				continue
			}
			if underRace && len(src) > 1<<19 {
				continue // without it all of them run
			}
			t.Run(name+" "+file, func(t *testing.T) {
				began := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					o := withSource(src)
					o.Overlay = map[string][]byte{file: []byte(src)}
					m, diags := hcl.Load(file, o)
					render(t, m, all(m, diags))
					hcl.Format([]byte(src))
				}()
				select {
				case <-done:
				case <-time.After(3 * time.Minute):
					t.Fatal("it hangs")
				}
				var mem runtime.MemStats
				runtime.ReadMemStats(&mem)
				t.Logf("%v, %d MiB", time.Since(began).Round(time.Millisecond), mem.HeapSys>>20)
			})
		}
	}
}
