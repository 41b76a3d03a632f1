// Package plan turns an experiment into the steps of a run: which repeat of
// which point, in which order, with which seed.
package plan

import (
	"slices"
	"strconv"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/stream"
)

// Step is one repeat of one point.
type Step struct {
	Point  int    // index into Experiment.Points
	Repeat int    // from 1
	Seed   uint64 // of the load
}

// Order lists the steps of exp in the order they run: interleaved is repeat 1
// of all points, then repeat 2, so that a machine that drifts slows all points
// alike; nested is all repeats of a point, then the next point; random is a
// permutation that the seed of exp draws.
//
// The seed of a step depends on the seed of exp and the repeat, and not on the
// point: repeat n of every point gets the same arrivals. With these common
// random numbers points are compared pair by pair under equal load, and the
// variance of their difference is smaller (Law, Simulation Modeling and
// Analysis, 5th ed., section 11.2).
func Order(exp *spec.Experiment) []Step {
	steps := make([]Step, 0, len(exp.Points)*exp.Repeat)
	for repeat := 1; repeat <= exp.Repeat; repeat++ {
		seed := stream.Derive(exp.Seed, "repeat", strconv.Itoa(repeat))
		for point := range exp.Points {
			steps = append(steps, Step{point, repeat, seed})
		}
	}
	switch exp.Order {
	case "nested":
		slices.SortStableFunc(steps, func(a, b Step) int { return a.Point - b.Point })
	case "random":
		stream.New(exp.Seed, "order").Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	}
	return steps
}
