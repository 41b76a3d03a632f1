package testenv_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/agent/testenv"
)

// recorder is a test that says how it ended.
type recorder struct {
	testing.TB
	end string
}

func (*recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any)  { r.stop("skipped: ", format, args) }
func (r *recorder) Fatalf(format string, args ...any) { r.stop("failed: ", format, args) }

func (r *recorder) stop(how, format string, args []any) {
	r.end = how + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestRequire(t *testing.T) {
	const missing = `exec: "go": executable file not found in $PATH`
	for name, tt := range map[string]struct {
		needs    []testenv.Need
		required string // AINUR_REQUIRE
		want     string
	}{
		"nothing":  {nil, "go", ""},
		"missing":  {[]testenv.Need{testenv.Go}, "", "skipped: needs go: " + missing},
		"other":    {[]testenv.Need{testenv.Go}, "golang,root", "skipped: needs go: " + missing},
		"required": {[]testenv.Need{testenv.Go}, "root,go", "failed: AINUR_REQUIRE lists go: " + missing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", "")
			t.Setenv("AINUR_REQUIRE", tt.required)
			r := &recorder{TB: t}
			var test sync.WaitGroup
			test.Go(func() { testenv.Require(r, tt.needs...) })
			test.Wait()
			if diff := cmp.Diff(tt.want, r.end); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
