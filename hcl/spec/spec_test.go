package spec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// What was never seen is null, not 0, and both survive.
func TestQuantilesJSON(t *testing.T) {
	for want, q := range map[string]spec.Quantiles{
		"null": {},
		`{"count":1,"mean":5,"p50":5,"p90":5,"p95":5,"p99":5,"p999":5,"max":5}`: {Count: 1, Mean: 5, P50: 5, P90: 5, P95: 5, P99: 5, P999: 5, Max: 5},
	} {
		got, err := json.Marshal(q)
		if err != nil || string(got) != want {
			t.Errorf("%+v is %s, %v, want %s", q, got, err, want)
		}
		var back spec.Quantiles
		if err := json.Unmarshal(got, &back); err != nil || back != q {
			t.Errorf("%s is read as %+v, %v", got, back, err)
		}
	}
}

// The wire and the manifest keep every field.
func TestPointRoundTrip(t *testing.T) {
	p := spec.Point{
		ID: "p", Axes: []spec.AxisValue{{Name: "queue", Value: json.RawMessage(`"sjf"`)}},
		Workers:   []spec.Worker{{Name: "w", MilliCPU: 1500, Memory: spec.GiB, Queue: spec.Named{Name: "sjf", Options: json.RawMessage(`{}`)}}},
		Balancer:  &spec.Balancer{Name: "b", Workers: []string{"w"}},
		Functions: []spec.Function{{Name: "f", Builtin: "busy", Args: json.RawMessage(`{"ms":1}`), Profile: &spec.Profile{Warm: spec.Dist{Kind: "uniform", Max: 7}}}},
		Loads:     []spec.Load{{Name: "l", Phases: []spec.Phase{{Name: "main", Record: true, Arrival: spec.Arrival{Model: "closed", Clients: 3, Think: spec.Dist{Mean: 1}}}}}},
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back spec.Point
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNamedDecode(t *testing.T) {
	type options struct {
		Idle int `json:"idle"`
	}
	o := options{Idle: 7}
	if err := (spec.Named{Name: "ttl"}).Decode(&o); err != nil || o.Idle != 7 {
		t.Errorf("no options: %+v, %v", o, err)
	}
	if err := (spec.Named{Name: "ttl", Options: []byte(`{"idle":3}`)}).Decode(&o); err != nil || o.Idle != 3 {
		t.Errorf("options: %+v, %v", o, err)
	}
	if err := (spec.Named{Name: "ttl", Options: []byte(`{"idel":3}`)}).Decode(&o); err == nil || !strings.Contains(err.Error(), "idel") {
		t.Errorf("an unknown option: %v", err)
	}
}
