// Package functionbench checks the functions in this folder.
package functionbench

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ainur-faas/ainur/agent/testenv"
)

// python runs a program in the folder of a function.
func python(t *testing.T, folder, program string) string {
	t.Helper()
	testenv.Require(t, testenv.Python)
	cmd := exec.Command("python3", "-c", program)
	cmd.Dir = folder
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		last := stderr.String()[strings.LastIndexByte(strings.TrimSpace(stderr.String()), '\n')+1:]
		if strings.HasPrefix(last, "ModuleNotFoundError") || strings.HasSuffix(strings.TrimSpace(last), "'ffmpeg'") {
			t.Skip("needs what is not here: ", last)
		}
		t.Fatalf("%v\n%s", err, &stderr)
	}
	return out.String()
}

// Every function gives the body that a load generator of Ilúvatar reads, and is cold once.
func TestFunctions(t *testing.T) {
	mains, err := filepath.Glob("*/main.py")
	if err != nil || len(mains) < 10 {
		t.Fatal(mains, err)
	}
	for _, path := range mains {
		folder := filepath.Dir(path)
		t.Run(folder, func(t *testing.T) {
			out := python(t, folder, "import json, main\nfor _ in range(2): print(json.dumps(main.main({'count': 10, 'file_size': 0.1, 'num_of_iterations': 2})))")
			for n, line := range strings.Split(strings.TrimSpace(out), "\n") {
				var result struct {
					Body struct {
						Cold                bool
						Start, End, Latency float64
					}
				}
				if err := json.Unmarshal([]byte(line), &result); err != nil {
					t.Fatal(err)
				}
				b := result.Body
				if b.Cold != (n == 0) || b.Latency < 0 || b.End < b.Start || b.Start == 0 {
					t.Errorf("call %d: %+v", n+1, b)
				}
			}
		})
	}
}

// The example of FIPS 197, appendix C.1.
func TestAES(t *testing.T) {
	out := python(t, "pyaes", "import main\nprint(main.block(main.expand(bytes(range(16))), bytes.fromhex('00112233445566778899aabbccddeeff')).hex())")
	if want := "69c4e0d86a7b0430d8cdb78070b4c55a"; strings.TrimSpace(out) != want {
		t.Errorf("%s, want %s", out, want)
	}
}
