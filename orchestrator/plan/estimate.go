package plan

import (
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/loadgen/arrival"
)

// Cost is what a run is expected to take. Set-up and the drain after the last
// call are not in it.
type Cost struct {
	Duration time.Duration // of load and cool-downs
	Calls    float64       // of open loads; warm-up included
	Peak     float64       // calls per second, the highest of any phase of a point
	Closed   bool          // a closed load is among them: its calls depend on replies, and are not in Calls
	InFlight int           // the highest cap of a load
}

// Estimate adds up the load of every repeat of every point.
func Estimate(exp *spec.Experiment) Cost {
	var c Cost
	for i := range exp.Points {
		p := cost(&exp.Points[i])
		c.Duration += p.Duration * time.Duration(exp.Repeat)
		c.Calls += p.Calls * float64(exp.Repeat)
		c.Peak = max(c.Peak, p.Peak)
		c.Closed = c.Closed || p.Closed
		c.InFlight = max(c.InFlight, p.InFlight)
	}
	c.Duration += exp.Cooldown * time.Duration(max(0, exp.Repeat*len(exp.Points)-1))
	return c
}

// Length is how long the load of one repeat of a point takes.
func Length(p *spec.Point) time.Duration { return cost(p).Duration }

// cost is the Cost of one repeat of a point. Its loads run at the same time, so
// the peak is at most the sum of theirs.
func cost(p *spec.Point) Cost {
	var c Cost
	for _, l := range p.Loads {
		var length time.Duration
		peak := 0.0
		for _, phase := range l.Phases {
			length += phase.Duration
			mean, highest := arrival.Rates(phase.Arrival)
			c.Calls += mean * phase.Duration.Seconds()
			c.Closed = c.Closed || !phase.Arrival.Open()
			peak = max(peak, highest)
		}
		c.Duration = max(c.Duration, length)
		c.Peak += peak
		c.InFlight = max(c.InFlight, l.MaxInFlight)
	}
	return c
}
