// Command behave does what its arguments say: as a program, and as a library
// when it is built with -buildmode=c-shared.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"
)

type arguments struct {
	Do string
	N  int
}

var (
	calls int
	held  [][]byte
)

func do(a arguments) (any, error) {
	calls++
	switch a.Do {
	case "count":
		return calls, nil
	case "error":
		return nil, errors.New("by design")
	case "panic":
		panic("last words")
	case "exit":
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(a.N)
	case "spin":
		for x := 0; ; x++ {
			held = append(held[:0], nil)
		}
	case "sleep":
		time.Sleep(time.Duration(a.N) * time.Millisecond)
		return a.N, nil
	case "eat":
		for range a.N {
			held = append(held, make([]byte, 1<<20))
		}
		return len(held), nil
	case "large":
		return strings.Repeat("x", a.N), nil
	case "print":
		line := strings.Repeat("x", 99_999) + "\n"
		for range a.N {
			fmt.Fprint(os.Stderr, line)
		}
		return a.N, nil
	case "environment":
		_, err := os.ReadDir("/")
		return []any{os.Environ(), len(os.Args), err != nil, time.Now().Year() > 2020}, nil
	}
	return nil, fmt.Errorf("do what? %q", a.Do)
}

// named does what a function of the conformance suite does, which DO names.
func named(name string, b []byte) (any, error) {
	var args struct{ N, MS, MB int }
	var all map[string]any
	if err := errors.Join(json.Unmarshal(b, &args), json.Unmarshal(b, &all)); err != nil {
		return nil, err
	}
	switch name {
	case "hello":
		return map[string]string{"hello": "world"}, nil
	case "sleep":
		time.Sleep(time.Duration(args.MS) * time.Millisecond)
		return nil, nil
	case "memory":
		return do(arguments{"eat", args.MB})
	case "adds one to n":
		return map[string]int{"n": args.N + 1}, nil
	case "returns n":
		return args.N, nil
	case "raises when it has args":
		if len(all) > 0 {
			return nil, errors.New("by design")
		}
		return 1, nil
	case "ends with 9":
		return do(arguments{"exit", 9})
	case "prints 100 MB":
		_, err := do(arguments{"print", 1000})
		return 1, err
	case "returns n letters":
		return do(arguments{"large", args.N})
	case "shows its environment":
		var mine, secret any
		if v, ok := os.LookupEnv("MINE"); ok {
			mine = v
		}
		if v, ok := os.LookupEnv("AINUR_SECRET_OF_THE_AGENT"); ok {
			secret = v
		}
		return []any{mine, secret, true}, nil
	}
	return nil, fmt.Errorf("do what? %q", name)
}

func call(b []byte) ([]byte, error) {
	if name, ok := os.LookupEnv("DO"); ok {
		result, err := named(name, b)
		if err != nil {
			return nil, err
		}
		return json.Marshal(result)
	}
	var a arguments
	if err := json.Unmarshal(b, &a); err != nil {
		return nil, err
	}
	if a.Do == "not JSON" {
		return []byte("no"), nil
	}
	result, err := do(a)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func main() {
	b, err := io.ReadAll(os.Stdin)
	if err == nil {
		b, err = call(b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(b))
}

var (
	input, output []byte
	failed        int32
)

//go:wasmexport ainur_alloc
func alloc(size int32) unsafe.Pointer {
	input = make([]byte, max(size, 1))
	return unsafe.Pointer(&input[0])
}

//go:wasmexport ainur_invoke
func invoke(_ unsafe.Pointer, size int32) int64 {
	var err error
	failed = 0
	if output, err = call(input[:size]); err != nil {
		output, failed = []byte(err.Error()), 1
	}
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(output))))<<32 | int64(len(output))
}

//go:wasmexport ainur_error
func userError() int32 { return failed }
