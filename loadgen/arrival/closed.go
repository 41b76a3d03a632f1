package arrival

import (
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
)

// Client is one client of a closed loop: it thinks, calls, waits for the
// reply, and thinks again.
type Client struct {
	think, choice *rand.Rand
	dist          spec.Dist
	mix           []spec.Weight
	total         float64 // of the weights
}

// NewClient returns client number n, from 0, of a closed phase of load. Its
// draws come from streams of its own: more clients change nothing for it.
func NewClient(load spec.Load, phase spec.Phase, seed uint64, n int) *Client {
	c := &Client{
		think:  stream.New(seed, load.Name, phase.Name, "think", strconv.Itoa(n)),
		choice: stream.New(seed, load.Name, phase.Name, "choice", strconv.Itoa(n)),
		dist:   phase.Arrival.Think,
		mix:    mixOf(load, phase),
	}
	for _, w := range c.mix {
		c.total += w.Weight
	}
	return c
}

// Next draws how long the client thinks and which function it calls then. The
// mix must not be empty.
func (c *Client) Next() (think time.Duration, function string) {
	u := c.choice.Float64() * c.total
	function = c.mix[len(c.mix)-1].Function // where rounding leaves u at the total
	for _, w := range c.mix {
		if u < w.Weight {
			function = w.Function
			break
		}
		u -= w.Weight
	}
	return Draw(c.dist, c.think), function
}
