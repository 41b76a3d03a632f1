package orchestrator

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/node"
)

// A machine that a cluster has under two names is told of the workers of both.
func TestAnnounce(t *testing.T) {
	here, err := node.Open(node.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	exp := &spec.Experiment{Points: []spec.Point{{
		Cluster: spec.Cluster{Hosts: []spec.Host{{Name: "a"}, {Name: "b"}}},
		Workers: []spec.Worker{{Name: "v", Host: "a", Isolation: "process"}, {Name: "w", Host: "b", Isolation: "containerd"}},
	}}}
	site, err := Local(exp, here, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &live{Site: site, run: "R"}
	if err := l.announce(t.Context(), exp); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := here.Get(t.Context(), "R", WorkersFile, 0, &text); err != nil {
		t.Fatal(err)
	}
	var workers []spec.Worker
	if err := json.Unmarshal(text.Bytes(), &workers); err != nil || len(workers) != 2 {
		t.Errorf("it knows %+v, %v", workers, err)
	}
}
