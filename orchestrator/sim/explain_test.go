package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/orchestrator/sim"
)

// What is explained of a call is what the decision log says of it, whatever the policies; each choice is one of the candidates; and who
// looks on changes nothing.
func TestExplain(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		p, m := scenario(t)
		seed := rapid.Uint64().Draw(t, "seed")
		calls, log := run(t, p, m, seed)
		if len(calls) == 0 {
			return
		}
		c := calls[rapid.IntRange(0, len(calls)-1).Draw(t, "call")]
		c.Repeat = 3
		all, err := sim.Explain(t.Context(), sim.Config{Point: p, Model: m, Seed: seed}, &c)
		if err != nil {
			t.Fatal(err)
		}
		var choices []string
		for _, d := range all {
			seen[d.What]++
			chosen := slices.IndexFunc(d.Candidates, func(s sim.Scored) bool { return s.Chosen })
			switch d.What {
			case "route":
				choices = append(choices, fmt.Sprint("b route ", c.Seq+1, " ", d.Choice))
			case "start":
				choices = append(choices, strings.NewReplacer("sandbox ", "", ",", "").Replace(d.Choice))
			case "queue":
				if !strings.HasPrefix(d.Choice, "place ") {
					chosen = 0
				}
			}
			if len(d.Candidates) > 0 && chosen < 0 && d.What != "sandbox" {
				t.Fatalf("nothing is chosen: %+v", d)
			}
		}
		var logged []string
		for line := range strings.Lines(log) {
			f := strings.Fields(line)
			switch {
			case f[2] == "route" && f[3] == fmt.Sprint(c.Seq+1):
				logged = append(logged, strings.Join(f[1:], " "))
			case f[2] == "start" && f[4] == fmt.Sprint(c.Seq+1):
				logged = append(logged, f[5]+" "+f[6])
			}
		}
		if !slices.Equal(choices, logged) {
			t.Fatalf("explained %q, logged %q", choices, logged)
		}
	})
	for _, what := range []string{"route", "queue", "dequeue", "sandbox", "evict", "start"} {
		if seen[what] == 0 {
			t.Errorf("no decision of %q: %v", what, seen)
		}
	}
}

// A call of another simulation is not explained by this one.
func TestExplainAnother(t *testing.T) {
	p, m := busyPoint(1)
	calls, _ := run(t, p, m, 1)
	c := calls[len(calls)/2]
	c.Received++
	if _, err := sim.Explain(t.Context(), sim.Config{Point: p, Model: m, Seed: 1}, &c); err == nil || !strings.Contains(err.Error(), "another outcome") {
		t.Errorf("an outcome that it has not: %v", err)
	}
	c.Seq = 1 << 40
	if _, err := sim.Explain(t.Context(), sim.Config{Point: p, Model: m, Seed: 1}, &c); err == nil || !strings.Contains(err.Error(), "not made") {
		t.Errorf("a call that there is not: %v", err)
	}
}
