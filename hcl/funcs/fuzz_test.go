package funcs_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/ainur-faas/ainur/hcl/funcs"
)

// texts are such as functions look for.
var texts = []string{
	"", "a", "10.0.0.0/8", "fd00::/48", "node[01-03]", "[", "([a-z]+)", "/a*/", "a,b\n1,2", `{"a":[1]}`, "[[", "1e999999", "%s", "%9999999d", "%5.2f%[1]v",
	"latency.p99", "t", "min", "bytes", "1.5GiB", "20ms", "aGk=", "**", "~/x", "ñ\u0301", "\n\n", "-7", "true",
}

// values makes values of bytes.
type values struct{ bytes []byte }

func (f *values) next(n int) int {
	if len(f.bytes) == 0 {
		return 0
	}
	b := int(f.bytes[0])
	f.bytes = f.bytes[1:]
	return b % n
}

func (f *values) value(depth int) cty.Value {
	switch kind := f.next(20); {
	case kind == 0:
		return cty.NullVal(cty.DynamicPseudoType)
	case kind == 1:
		return cty.NullVal(cty.String)
	case kind == 2:
		return cty.DynamicVal
	case kind == 3:
		return cty.UnknownVal([]cty.Type{cty.Number, cty.String, cty.List(cty.String), cty.EmptyObject, cty.Map(cty.Number), cty.EmptyTuple}[f.next(6)])
	case kind == 4 && depth > 0:
		return f.value(depth - 1).Mark("sensitive")
	case kind == 5:
		return cty.BoolVal(f.next(2) == 0)
	case kind <= 7:
		return cty.NumberIntVal(int64(f.next(256) - 100))
	case kind == 8:
		return []cty.Value{
			funcs.Number(0.5), cty.NumberIntVal(1 << 40), cty.PositiveInfinity, cty.NumberVal(new(big.Float).SetMantExp(big.NewFloat(1), 1<<16)),
			cty.NumberVal(new(big.Float).SetMantExp(big.NewFloat(-1), -1<<16)), cty.MustParseNumberVal("1e1200"), cty.MustParseNumberVal("-1e400"), funcs.Number(1e300),
		}[f.next(8)]
	case kind <= 11:
		return cty.StringVal(texts[f.next(len(texts))])
	case kind == 12:
		times, n := 1+f.next(256), f.next(40)
		n = min(n, len(f.bytes))
		text := strings.ToValidUTF8(string(f.bytes[:n]), "?")
		f.bytes = f.bytes[n:]
		return cty.StringVal(strings.Repeat(text, times))
	case depth == 0:
		return cty.EmptyTupleVal
	case kind == 13:
		e := f.value(depth - 1)
		if e.Type() == cty.DynamicPseudoType {
			return cty.ListValEmpty(cty.String)
		}
		return cty.ListVal([]cty.Value{e, e})
	case kind == 14:
		return cty.SetVal([]cty.Value{f.value(0)})
	case kind == 15:
		named := map[string]cty.Value{}
		for range f.next(6) {
			named[[]string{"a", "b", "axes", "t", "results", "latency.p99", "metric", "keep", "at", "goal"}[f.next(10)]] = f.value(depth - 1)
		}
		return cty.ObjectVal(named)
	case kind == 18:
		var rows []cty.Value
		for range f.next(5) {
			axis := f.value(0)
			rows = append(rows, cty.ObjectVal(map[string]cty.Value{"a": axis, "axes": cty.ObjectVal(map[string]cty.Value{"a": axis}), "t": cty.NumberIntVal(int64(f.next(9)))}))
		}
		return cty.TupleVal(rows)
	case kind == 19:
		return cty.ObjectVal(map[string]cty.Value{"metric": cty.StringVal("t"), "keep": f.value(0), "at": cty.EmptyObjectVal})
	case kind == 16:
		return cty.MapVal(map[string]cty.Value{"a": f.value(0)})
	}
	var elements []cty.Value
	for range f.next(6) {
		elements = append(elements, f.value(depth-1))
	}
	return cty.TupleVal(elements)
}

// No call panics, no result is over the limits, and what is sensitive stays so.
func FuzzCall(f *testing.F) {
	names := funcs.Names()
	for i := range names {
		f.Add(uint8(i), []byte{9, 8, 9, 2, 17, 3, 6, 1, 6, 2, 15, 2, 0, 6, 1, 2, 15, 1, 0, 6, 9, 9})
		f.Add(uint8(i), []byte{18, 3, 6, 1, 5, 6, 2, 7, 18, 2, 6, 1, 3, 6, 2, 4, 9, 16})
		f.Add(uint8(i), []byte{18, 3, 6, 1, 5, 6, 2, 7, 19, 6, 102})
		f.Add(uint8(i), []byte{17, 2, 4, 9, 1, 6, 110, 17, 2, 3, 0, 9, 4, 6, 103})
	}
	root := f.TempDir()
	functions := funcs.All(root)
	f.Fuzz(func(t *testing.T, which uint8, bytes []byte) {
		name := names[int(which)%len(names)]
		if name == "try" || name == "can" || name == "fileset" { // of expressions; of what is on this machine
			return
		}
		fn := functions[name]
		from := &values{bytes}
		var args []cty.Value
		count := len(fn.Params())
		if fn.VarParam() != nil {
			count += from.next(4)
		}
		for range count {
			args = append(args, from.value(3))
		}
		v, err := fn.Call(args)
		if err != nil {
			if p := (function.PanicError{}); errors.As(err, &p) || strings.Contains(err.Error(), "panic") {
				t.Fatalf("%s(%#v): %v", name, args, err)
			}
			return
		}
		marked := name == "coalesce" || name == "merge" || v.ContainsMarked() // those two leave arguments out
		for _, arg := range args {
			if arg.IsMarked() && !marked {
				t.Fatalf("%s(%#v) forgets that it is sensitive", name, args)
			}
		}
		v, _ = v.Unmark()
		if !v.IsKnown() || v.IsNull() {
			return
		}
		if v.Type() == cty.String && len(v.AsString()) > funcs.MaxText || v.CanIterateElements() && v.LengthInt() > funcs.MaxList {
			t.Fatalf("%s(%#v) is over the limits", name, args)
		}
	})
}
