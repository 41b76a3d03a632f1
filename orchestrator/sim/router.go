package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/balancer/policy"
	"github.com/ainur-faas/ainur/balancer/route"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// router is the balancer in virtual time. Its members never leave.
type router struct {
	run   *run
	name  string
	core  *route.Core
	nodes map[uint64]*node // by member
}

func newRouter(r *run, b spec.Balancer) (*router, error) {
	chosen, err := policy.Builtin().Build(b.Policy.Name, b.Policy.Decode)
	if err != nil {
		return nil, err
	}
	out := &router{run: r, name: b.Name, core: route.New(chosen, time.Duration(math.MaxInt64), r.seed), nodes: map[uint64]*node{}}
	for _, worker := range b.Workers {
		i := slices.IndexFunc(r.nodes, func(n *node) bool { return n.name == worker })
		if i < 0 {
			return nil, fmt.Errorf("the point has no worker %q", worker)
		}
		m, _ := out.core.Join(0, worker, "", "", r.nodes[i].core.Status().MilliCPU)
		out.nodes[m.ID] = r.nodes[i]
	}
	return out, nil
}

// pick chooses the node of a call, which is in flight there until done.
func (r *router) pick(c *call) *node {
	chosen := r.run.watch.routes(r, c)
	m, ok := r.core.Pick(r.run.now, c.function.Name)
	if !ok {
		return nil
	}
	chosen(m.Worker)
	c.member = m.ID
	r.run.log.route(r.run.now, r.name, c.id, m.Worker)
	return r.nodes[m.ID]
}

func (r *router) done(c *call) { r.core.Done(c.member) }
