package measure

import "time"

// Phase is one part of a call's latency.
type Phase struct {
	Name     string
	Duration time.Duration
}

// Phases splits a call from Intended to the last time it has. A phase is named
// for the time that ends it and begins at the last time before that is
// present, so they are never negative and sum exactly to the latency:
//
//	lag       the generator was late to send
//	request   on the way to the agent, balancer included
//	admit     until it joined the queue
//	queue     until the scheduler chose it
//	start     until its sandbox was ready: start-up, or the pick of a warm one
//	dispatch  until user code began
//	exec      user code
//	finish    until the agent sent the reply
//	reply     on the way back
func Phases(c Call) []Phase {
	phases := make([]Phase, 0, 9)
	last := c.Intended
	for _, end := range [...]struct {
		name string
		at   int64
	}{
		{"lag", c.Sent},
		{"request", c.Accepted},
		{"admit", c.Queued},
		{"queue", c.Dequeued},
		{"start", c.SandboxReady},
		{"dispatch", c.ExecStart},
		{"exec", c.ExecEnd},
		{"finish", c.Replied},
		{"reply", c.Received},
	} {
		if end.at == Missing {
			continue
		}
		phases = append(phases, Phase{end.name, time.Duration(end.at - last)})
		last = end.at
	}
	return phases
}

// minus is a - b, or Missing when either is.
func minus(a, b int64) int64 {
	if a == Missing || b == Missing {
		return Missing
	}
	return a - b
}

// Lag is how late the generator sent the call, or Missing when it did not.
func (c *Call) Lag() int64 { return minus(c.Sent, c.Intended) }

// Latency is from the intended time to the end, or Missing.
func (c *Call) Latency() int64 { return minus(c.Received, c.Intended) }

// Service is from sending to the end, or Missing: latency without lag.
func (c *Call) Service() int64 { return minus(c.Received, c.Sent) }

// Exec is the time in user code, or Missing.
func (c *Call) Exec() int64 { return minus(c.ExecEnd, c.ExecStart) }

// Overhead is the latency outside user code, or Missing.
func (c *Call) Overhead() int64 { return minus(c.Latency(), c.Exec()) }
