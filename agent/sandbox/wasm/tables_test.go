package wasm_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ainur-faas/ainur/agent/sandbox"
	"github.com/ainur-faas/ainur/agent/sandbox/sandboxtest"
)

// withTables is a module of assemble with tables as well, each a kind and its limits.
func withTables(module []byte, tables ...[]byte) []byte {
	at := 8
	for module[at] != 5 { // the section of memories, which comes next
		size, n := binary.Uvarint(module[at+1:])
		at += 1 + n + int(size)
	}
	return bytes.Join([][]byte{module[:at], section(4, tables), module[at:]}, nil)
}

// Tables, which are the agent's memory, begin and grow within bounds.
func TestTables(t *testing.T) {
	// Answers 1 and, when the table has not grown by so many, 2 after it.
	growing := func(by uint64) []byte {
		grow := join([]byte{0xd0, 0x70, 0x41}, uleb(by), []byte{0xfc, 0x0f, 0})
		code := join(grow, []byte{0x41, 0x7f, 0x46, 0xad}, i64const(16, 1), []byte{0x7c})
		return library("12", routine{"ainur_invoke", []byte{i32, i32}, []byte{i64}, code})
	}
	few, most := join([]byte{0x70, 0}, uleb(10)), join([]byte{0x70, 0}, uleb(1<<20))
	for name, tt := range map[string]struct {
		module []byte
		want   string // "" is no sandbox
		says   string
	}{
		"grows a little":            {withTables(growing(1000), few), "1", ""},
		"grows up to its maximum":   {withTables(growing(20), join([]byte{0x70, 1}, uleb(10), uleb(20))), "12", ""},
		"grows without end":         {withTables(growing(100_000_000), few), "12", ""},
		"one of several grows":      {withTables(growing(1<<19+1), few, few), "12", ""},
		"begins with many":          {withTables(growing(1), most), "1", ""},
		"begins with more":          {withTables(growing(1), most, few), "", "over 1048576 entries"},
		"begins with very many":     {withTables(growing(1), join([]byte{0x6f, 0}, uleb(1<<32-1))), "", "over 1048576 entries"},
		"a kind that is not known":  {withTables(growing(1), join([]byte{0x40, 0, 0x70, 0}, uleb(1))), "", "kind 0x40"},
		"limits that are not known": {withTables(growing(1), join([]byte{0x70, 4}, uleb(1))), "", "flags 0x4"},
		"is cut":                    {growing(1)[:50], "", "cut short"},
	} {
		t.Run(name, func(t *testing.T) {
			i := open(t)
			b, err := i.Create(t.Context(), config(file(t, tt.module)))
			if tt.want == "" {
				sandboxtest.Fails(t, err, sandbox.StartFailed, tt.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer b.Remove()
			if r, err := b.Invoke(t.Context(), []byte("{}")); err != nil || string(r.Result) != tt.want {
				t.Errorf("%s, %v, want %s", r.Result, err, tt.want)
			}
		})
	}
}
