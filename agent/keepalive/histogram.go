package keepalive

import (
	"fmt"
	"time"

	"github.com/ainur-faas/ainur/agent/estimate"
)

// Histogram keeps a sandbox for as long as the function's next invocation is likely to take
// to come: from the end of its last to the quantile Tail of the times for which nothing of it was under way, and a
// margin. A function whose times tell nothing has the standard time Idle; the paper forecasts those that are
// mostly out of bounds by a time series, which is left out. Where a sandbox will be made ahead (prewarm
// histogram), none is kept until then.
type Histogram struct {
	Tail   float64       `hcl:"tail,optional" json:"tail" doc:"quantile that sandboxes are kept to, over 0, to 1"`
	Margin float64       `hcl:"margin,optional" json:"margin" doc:"what is added to it, as a share, 0 to 100"`
	Idle   time.Duration `hcl:"idle,optional" json:"idle" doc:"where the times tell nothing"`
	estimate.Times
}

func (p Histogram) check() error {
	switch {
	case !(p.Tail > 0 && p.Tail <= 1):
		return fmt.Errorf("tail is %g, want more than 0, to 1", p.Tail)
	case !(p.Margin >= 0 && p.Margin <= 100):
		return fmt.Errorf("margin is %g, want 0 to 100", p.Margin)
	case p.Idle < 0:
		return fmt.Errorf("idle is %v, want 0s or more", p.Idle)
	}
	return p.Times.Check()
}

// New returns a Keeper that knows no function.
func (p Histogram) New() Keeper { return &histogram{Histogram: p, by: p.Times.New()} }

type histogram struct {
	lru
	Histogram
	by *estimate.ByFunction
}

func (k *histogram) Arrived(function int, idle time.Duration) {
	if idle >= 0 {
		k.by.Add(function, idle)
	}
}

func (k *histogram) Expires(s Idle) (time.Duration, bool) {
	if s.Again > s.LastUsed {
		return s.LastUsed, true
	}
	times, ok := k.by.Of(s.Function)
	if !ok {
		return s.LastUsed + k.Idle, true
	}
	_, to := times.Quantile(k.Tail)
	window := time.Duration(float64(to) * (1 + k.Margin))
	if made := s.Ended + window; s.Uses == 0 && s.Ended >= 0 && made > s.LastUsed {
		return made, true // it was made ahead, for the invocation that is expected
	}
	return s.LastUsed + window, true
}
