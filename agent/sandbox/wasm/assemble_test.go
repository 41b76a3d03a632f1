package wasm_test

import "encoding/binary"

// What a module written by hand consists of.
const (
	i32, i64 = 0x7f, 0x7e
	function = 0 // kinds of exports
	memory   = 2
)

// routine is a function of a module: its type, what it is exported as, and its
// instructions without the last end. It has no local variables.
type routine struct {
	name            string
	params, results []byte
	code            []byte
}

// assemble makes a module of these functions, with a memory of pages, exported, that
// begins with data at address 16. An imported function, if there is one, is number 0.
func assemble(pages uint64, data string, imported string, routines ...routine) []byte {
	var types, imports, functions, exports, codes [][]byte
	if imported != "" {
		types = append(types, []byte{0x60, 0, 0})
		imports = append(imports, join(text("env"), text(imported), []byte{function, 0}))
	}
	exports = append(exports, join(text("memory"), []byte{memory, 0}))
	for i, r := range routines {
		types = append(types, join([]byte{0x60}, text(string(r.params)), text(string(r.results))))
		index := uleb(uint64(len(imports) + i))
		functions = append(functions, index)
		exports = append(exports, join(text(r.name), []byte{function}, index))
		codes = append(codes, text(string(join([]byte{0}, r.code, []byte{0x0b}))))
	}
	return join([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types), section(2, imports), section(3, functions), section(5, [][]byte{join([]byte{0}, uleb(pages))}),
		section(7, exports), section(10, codes), section(11, [][]byte{join([]byte{0, 0x41, 16, 0x0b}, text(data))}))
}

func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	return join([]byte{id}, text(string(join(uleb(uint64(len(items))), join(items...)))))
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// text is bytes after their number.
func text(s string) []byte { return join(uleb(uint64(len(s))), []byte(s)) }

func uleb(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// i64const is the instruction that yields at<<32 | size.
func i64const(at, size int64) []byte {
	b := []byte{0x42}
	for n := at<<32 | size; ; n >>= 7 {
		if low := byte(n & 0x7f); n>>7 == 0 && low&0x40 == 0 {
			return append(b, low)
		}
		b = append(b, byte(n&0x7f)|0x80)
	}
}

// library is a reactor that answers with its data, whose routines can be replaced.
func library(data string, changed ...routine) []byte {
	all := []routine{
		{"ainur_alloc", []byte{i32}, []byte{i32}, []byte{0x41, 0x80, 0x08}}, // i32.const 1024
		{"ainur_invoke", []byte{i32, i32}, []byte{i64}, i64const(16, int64(len(data)))},
	}
	for _, c := range changed {
		replaced := false
		for i := range all {
			if all[i].name == c.name {
				all[i], replaced = c, true
			}
		}
		if !replaced {
			all = append(all, c)
		}
	}
	return assemble(1, data, "", all...)
}
