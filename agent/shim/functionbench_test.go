package shim_test

import (
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

	"github.com/ainur-faas/ainur/agent/shim/wire"
	"github.com/ainur-faas/ainur/agent/testenv"
	"github.com/ainur-faas/ainur/hcl/spec"
)

const functionbench = "../../examples/functions/functionbench"

// bench is what is known of each function: what it must have installed, which
// is tested where it is, and arguments that make its work small.
var bench = map[string]struct {
	needs string
	small string
	want  string // field of the result, and its value for the small arguments
}{
	"hello":            {"", `{"name":"Ulmo"}`, `greeting "Hello, Ulmo"`},
	"float_operation":  {"", `{"n":"1"}`, "total 1"},
	"pyaes":            {"", `{"length_of_message":17,"num_of_iterations":1}`, ""},
	"dd":               {"", `{"bs":4,"count":"2"}`, "bytes 8192"},
	"gzip_compression": {"", `{"file_size":0.01}`, ""},
	"json_dumps_loads": {"", `{"document":3}`, "document 3"},
	"lin_pack":         {"numpy", `{"n":2}`, ""},
	"chameleon":        {"chameleon", `{"num_of_rows":1,"num_of_cols":1}`, ""},
	"image_processing": {"PIL", `{"width":64}`, "pictures 10"},
	"model_training":   {"sklearn", `{"reviews":100}`, ""},
	"video_processing": {"ffmpeg", `{"frames":2}`, "frames 2"},
}

// staged is a copy of a folder of code: Python leaves bytecode where code is.
func staged(t *testing.T, folder string) string {
	t.Helper()
	code := t.TempDir()
	if err := os.CopyFS(code, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return code
}

func installed(needs string) bool {
	if needs == "ffmpeg" {
		return exec.Command("ffmpeg", "-version").Run() == nil
	}
	return needs == "" || exec.Command("python3", "-c", "import "+needs).Run() == nil
}

// Each function answers its default and small arguments, and only its first call is cold.
func TestFunctionBench(t *testing.T) {
	for name, tt := range bench {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Require(t, testenv.Python)
			if !installed(tt.needs) {
				t.Skip(tt.needs, "is not installed")
			}
			p := start(t, spec.Function{Name: "f", Runtime: "python3"}, staged(t, filepath.Join(functionbench, name))).ready()
			field, value, _ := strings.Cut(tt.want, " ")
			for i, args := range []string{tt.small, "{}", tt.small} {
				body := p.body(args)
				var begin, end, latency float64
				for key, into := range map[string]*float64{"start": &begin, "end": &end, "latency": &latency} {
					if err := json.Unmarshal(body[key], into); err != nil {
						t.Errorf("%s is %s: %v", key, body[key], err)
					}
				}
				if latency < 0 || begin < 1e9 || end-begin != latency {
					t.Errorf("%s: latency %v from %v to %v", args, latency, begin, end)
				}
				if got, want := string(body["cold"]), strconv.FormatBool(i == 0); got != want {
					t.Errorf("call %d: cold is %s, want %s", i, got, want)
				}
				if got := string(body[field]); args == tt.small && field != "" && strings.TrimSuffix(got, ".0") != value {
					t.Errorf("%s: %s is %s, want %s", args, field, got, value)
				}
			}
		})
	}
}

// body calls the function and returns the body of its result.
func (p *process) body(args string) map[string]json.RawMessage {
	p.Helper()
	p.send(args)
	frame := p.next()
	_, _, data, err := wire.SplitTimes(frame.Payload)
	if err != nil || frame.Type != wire.Result {
		p.Fatalf("%s: frame %d, %s, %v", args, frame.Type, data, err)
	}
	var result struct{ Body map[string]json.RawMessage }
	if err := json.Unmarshal(data, &result); err != nil {
		p.Fatalf("%s: %s: %v", args, data, err)
	}
	return result.Body
}

// The page lists every function that is there, every function is tested, and
// one that needs a package says so to pip.
func TestFunctionBenchIsListed(t *testing.T) {
	folders, err := filepath.Glob(functionbench + "/*/main.py")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/functionbench.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, there, tested []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(page, -1) {
		listed = append(listed, string(row[1]))
	}
	for _, folder := range folders {
		there = append(there, filepath.Base(filepath.Dir(folder)))
	}
	for name, tt := range bench {
		tested = append(tested, name)
		_, err := os.Stat(filepath.Join(functionbench, name, "requirements.txt"))
		if want := tt.needs != "" && tt.needs != "ffmpeg" || name == "pyaes"; want != (err == nil) {
			t.Errorf("%s needs %q, and its requirements.txt: %v", name, tt.needs, err)
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
func TestFunctionBenchAES(t *testing.T) {
	testenv.Require(t, testenv.Python)
	const check = `
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
	cmd := exec.Command("python3", "-B", "-c", check)
	cmd.Dir = filepath.Join(functionbench, "pyaes")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
