// A function in Go as a WebAssembly library:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o function.wasm .
package main

import (
	"encoding/json"
	"unsafe"
)

func greet(args struct{ Name string }) (any, error) {
	return map[string]string{"greeting": "Hello, " + args.Name}, nil
}

var (
	input, output []byte // held here, so that they stay while the agent reads and writes them
	failed        int32
)

//go:wasmexport ainur_alloc
func alloc(size int32) unsafe.Pointer {
	input = make([]byte, max(size, 1))
	return unsafe.Pointer(&input[0])
}

//go:wasmexport ainur_invoke
func invoke(_ unsafe.Pointer, size int32) int64 {
	failed = 0
	var args struct{ Name string }
	err := json.Unmarshal(input[:size], &args)
	var result any
	if err == nil {
		result, err = greet(args)
	}
	if err == nil {
		output, err = json.Marshal(result)
	}
	if err != nil {
		output, failed = []byte(err.Error()), 1
	}
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))<<32 | int64(len(output))
}

//go:wasmexport ainur_error
func userError() int32 { return failed }

func main() {}
