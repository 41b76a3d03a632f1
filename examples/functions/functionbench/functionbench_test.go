// Package functionbench checks the functions in this folder.
package functionbench

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/testenv"
)

// functions are those in this folder.
var functions = map[string]struct {
	needs string // what need not be installed: a package, or ffmpeg
	small string // arguments that make little work
	field string // of the body, for the small arguments
	want  string // its value
}{
	"hello":            {small: `{"name":"Ulmo"}`, field: "greeting", want: `"Hello, Ulmo"`},
	"float_operation":  {small: `{"n":"1"}`, field: "total", want: "1.0"},
	"pyaes":            {small: `{"length_of_message":17,"num_of_iterations":1}`},
	"dd":               {small: `{"bs":4,"count":"2"}`, field: "bytes", want: "8192"},
	"gzip_compression": {small: `{"file_size":0.01}`},
	"json_dumps_loads": {small: `{"document":3}`, field: "document", want: "3"},
	"lin_pack":         {needs: "numpy", small: `{"n":2}`},
	"chameleon":        {needs: "chameleon", small: `{"num_of_rows":1,"num_of_cols":1}`},
	"image_processing": {needs: "pillow", small: `{"width":64}`, field: "pictures", want: "10"},
	"model_training":   {needs: "scikit-learn", small: `{"reviews":100}`},
	"video_processing": {needs: "ffmpeg", small: `{"frames":2}`, field: "frames", want: "2"},
}

// python runs a program in a folder and returns what it prints. It leaves no bytecode.
func python(t *testing.T, folder, program, input string) (stdout, stderr string, err error) {
	t.Helper()
	testenv.Require(t, testenv.Python)
	cmd := exec.Command("python3", "-B", "-c", program)
	cmd.Dir = folder
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), strings.TrimSpace(errs.String()), err
}

// Each function answers small and default arguments with the body that a load
// generator of Ilúvatar reads, and is cold once.
func TestFunctions(t *testing.T) {
	const program = "import json, main, sys\nfor line in sys.stdin: print(json.dumps(main.main(json.loads(line)), allow_nan=False))"
	for name, tt := range functions {
		t.Run(name, func(t *testing.T) {
			calls := []string{tt.small, "{}", tt.small}
			out, stderr, err := python(t, name, program, strings.Join(calls, "\n"))
			last := stderr[strings.LastIndexByte(stderr, '\n')+1:]
			if tt.needs != "" && (strings.HasPrefix(last, "ModuleNotFoundError") || strings.HasPrefix(last, "ImportError")) {
				t.Skipf("needs %s: %s", tt.needs, last)
			}
			results := strings.Split(strings.TrimSpace(out), "\n")
			if err != nil || len(results) != len(calls) {
				t.Fatalf("%v, %d results\n%s", err, len(results), stderr)
			}
			for i, result := range results {
				check(t, result, i == 0)
				var r struct{ Body map[string]json.RawMessage }
				if err := json.Unmarshal([]byte(result), &r); err != nil {
					t.Fatal(err)
				}
				if got := string(r.Body[tt.field]); calls[i] == tt.small && got != tt.want {
					t.Errorf("%s: %s is %s, want %s", calls[i], tt.field, got, tt.want)
				}
			}
		})
	}
}

// check looks at the part of a result that all functions have.
func check(t *testing.T, result string, cold bool) {
	t.Helper()
	var r struct {
		Body struct {
			Cold                *bool
			Start, End, Latency float64
		}
	}
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		t.Fatal(err)
	}
	b := r.Body
	if b.Cold == nil || *b.Cold != cold {
		t.Errorf("%s, want cold = %s", result, strconv.FormatBool(cold))
	}
	if b.Start < 1e9 || b.Latency < 0 || b.Latency != b.End-b.Start {
		t.Errorf("%s, want latency = end - start in seconds since 1970", result)
	}
}

// Every function is tested and on its page, and one that needs a package says so to pip.
func TestListed(t *testing.T) {
	mains, err := filepath.Glob("*/main.py")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../docs/functionbench.md")
	if err != nil {
		t.Fatal(err)
	}
	var there, listed, tested []string
	for _, path := range mains {
		there = append(there, filepath.Dir(path))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		listed = append(listed, string(row[1]))
	}
	for name, tt := range functions {
		tested = append(tested, name)
		want := ""
		switch {
		case name == "pyaes": // which has its own where there is none
			want = "pyaes\n"
		case tt.needs != "" && tt.needs != "ffmpeg":
			want = tt.needs + "\n"
		}
		got, err := os.ReadFile(filepath.Join(name, "requirements.txt"))
		if string(got) != want || err == nil != (want != "") {
			t.Errorf("requirements.txt of %s is %q, want %q", name, got, want)
		}
	}
	slices.Sort(listed)
	slices.Sort(tested)
	if diff := cmp.Diff(there, listed); diff != "" {
		t.Errorf("docs/functionbench.md (-there +listed):\n%s", diff)
	}
	if diff := cmp.Diff(there, tested); diff != "" {
		t.Errorf("this test (-there +tested):\n%s", diff)
	}
}

// The AES beside pyaes gives what FIPS 197, appendix C, and NIST SP 800-38A,
// sections F.5.1 and F.5.5, say, and decrypts what it has encrypted.
func TestAES(t *testing.T) {
	const program = `
import aes
x = bytes.fromhex
for size, want in (
    (16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
    (24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
    (32, "8ea2b7ca516745bfeafc49904b496089"),
):
    got = aes.encrypt(aes.expand(bytes(range(size))), x("00112233445566778899aabbccddeeff"))
    assert got == x(want), (size, got.hex())

plain = x("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
counter = int("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 16)
for key, want in (
    ("2b7e151628aed2a6abf7158809cf4f3c", "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
    ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"),
):
    got = aes.ctr(x(key), plain, counter)
    assert got == x(want), got.hex()

for size in range(40):
    data = bytes(range(size))
    got = aes.ctr(bytes(16), data, (1 << 128) - 1)
    assert len(got) == size and aes.ctr(bytes(16), got, (1 << 128) - 1) == data
`
	if _, stderr, err := python(t, "pyaes", program, ""); err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}
