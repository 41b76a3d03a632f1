package prewarm_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/agent/prewarm"
	"github.com/ainur-faas/ainur/hcl/catalog"
)

func build(t testing.TB, name, options string) prewarm.Planner {
	t.Helper()
	p, err := prewarm.Builtin().Build(name, func(into any) error { return json.Unmarshal([]byte(options), into) })
	if err != nil {
		t.Fatal(err)
	}
	return p.New()
}

// The number is the least whole one that is not under the law's.
func TestLittle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval, service := rapid.Int64Range(1, 1e9).Draw(t, "interval"), rapid.Int64Range(1, 2e9).Draw(t, "service")
		p, _ := prewarm.Builtin().Build("little", func(into any) error { return json.Unmarshal([]byte(`{"most": 50}`), into) })
		got := p.New().Arrived(prewarm.Call{Interval: time.Duration(interval), Service: time.Duration(service)})
		if want := min((service+interval-1)/interval, 50); int64(got) != want {
			t.Fatalf("every %d for %d: %d, want %d", interval, service, got, want)
		}
	})
	for name, tt := range map[string]struct {
		options string
		call    prewarm.Call
		want    int
	}{
		"half as many again": {`{"headroom": 1.5}`, prewarm.Call{Interval: 10, Service: 40}, 6},
		"rate not known":     {`{}`, prewarm.Call{Service: 40}, 0},
		"never executed":     {`{}`, prewarm.Call{Interval: 10}, 0},
	} {
		if got := build(t, "little", tt.options).Arrived(tt.call); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	for name, tt := range map[string]struct {
		options string
		idle    []time.Duration // over and over
		want    time.Duration   // 0 is never
	}{
		"every half hour":         {`{}`, []time.Duration{30*time.Minute + time.Second}, 27 * time.Minute},
		"without margin":          {`{"margin": 0}`, []time.Duration{30*time.Minute + time.Second}, 30 * time.Minute},
		"by the median":           {`{"head": 0.5, "margin": 0}`, []time.Duration{10 * time.Minute, 20 * time.Minute, 30 * time.Minute}, 20 * time.Minute},
		"within a minute":         {`{}`, []time.Duration{30 * time.Second}, 0},
		"mostly after four hours": {`{}`, []time.Duration{5 * time.Hour, 6 * time.Hour, 2 * time.Hour}, 0},
		"too seldom to tell":      {`{"least": 1000}`, []time.Duration{30 * time.Minute}, 0},
	} {
		p := build(t, "histogram", tt.options)
		p.Arrived(prewarm.Call{Function: 2, Idle: -1})
		for range 20 {
			for _, d := range tt.idle {
				p.Arrived(prewarm.Call{Function: 2, Idle: d})
			}
		}
		if got, ok := p.Next(2); ok != (tt.want > 0) || ok && got != tt.want {
			t.Errorf("%s: after %v, %v, want %v", name, got, ok, tt.want)
		}
		if _, ok := p.Next(1); ok {
			t.Errorf("%s: a function that was never called is expected", name)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, tt := range []struct{ name, options, want string }{
		{"little", `{"headroom": 0}`, "headroom is 0"},
		{"little", `{"most": 0}`, "most is 0"},
		{"histogram", `{"head": 0}`, "head is 0"},
		{"histogram", `{"margin": 2}`, "margin is 2"},
		{"histogram", `{"bins": 0}`, "bins 0"},
		{"histogram", `{"least": 0}`, "least is 0"},
		{"histogram", `{"outside": 2}`, "outside is 2"},
	} {
		_, err := prewarm.Builtin().Build(tt.name, func(into any) error { return json.Unmarshal([]byte(tt.options), into) })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s: %v, want %q", tt.name, tt.options, err, tt.want)
		}
	}
}

func TestEveryPolicyDescribesItself(t *testing.T) {
	for _, e := range catalog.Of(prewarm.Builtin()) {
		if e.Doc == "" || e.Source == "" && e.Name != "none" {
			t.Errorf("%s says nothing of itself", e.Name)
		}
		for _, o := range e.Options {
			if o.Doc == "" || o.Default == "" {
				t.Errorf("%s: option %+v", e.Name, o)
			}
		}
	}
}
