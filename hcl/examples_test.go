package hcl_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ainur-faas/ainur/hcl"
)

const traces = "/work/shared/data/traces/iluvatar"

// Every example validates, plans, and is in canonical style.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*.ainur.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			o := options()
			o.Vars = []string{}
			if filepath.Base(file) == "azure-trace.ainur.hcl" {
				if _, err := os.Stat(traces); err != nil {
					t.Skip("the trace is not on this machine:", err)
				}
				o.Vars = []string{"trace_dir=" + traces, "memory=4GiB"}
			}
			start := time.Now()
			m, diags := hcl.Load(file, o)
			if diags = append(diags, all(m, nil)...); len(diags) > 0 {
				t.Fatal(render(t, m, diags))
			}
			t.Log("validate took", time.Since(start))
			if _, diags := m.Experiment("", 0); len(diags) > 0 {
				t.Fatal(render(t, m, diags))
			}
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(hcl.Format(src)); got != string(src) {
				t.Errorf("not in style; ainur fmt makes it\n%s", got)
			}
		})
	}
}
