package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ainur-faas/ainur/orchestrator/remote"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// Removal is the plan of Destroy.
func (s *Site) Removal() *Plan {
	p := &Plan{Cluster: s.Cluster.Name}
	for _, h := range s.Hosts {
		if h.Err != nil {
			continue
		}
		hp := HostPlan{Host: h.Name, Roles: h.Roles, desired: setup.Desired{Layout: s.layout()}}
		m, err := setup.ManifestOf(s.layout(), h.Facts)
		switch {
		case err != nil:
			h.Err = s.trouble(h, "plan", err)
			continue
		case m != nil:
			hp.Changes = setup.Removal(m, h.Facts)
		}
		for _, path := range s.layout().CutOff(h.Facts) {
			hp.Changes = append(hp.Changes, setup.Change{Step: setup.Program, Kind: setup.Remove, What: path, Why: "was cut off"})
		}
		p.Hosts = append(p.Hosts, hp)
	}
	return p
}

// Destroy removes from the hosts what is ours, by what their manifests say.
func (s *Site) Destroy(ctx context.Context, keepResults, keepGoing bool) []Outcome {
	return s.work(keepGoing, func(h *Host) (setup.Report, error) {
		l := s.layout()
		m, err := setup.ManifestOf(l, h.Facts)
		if err != nil {
			return setup.Report{}, s.trouble(h, "destroy", err)
		}
		var report setup.Report
		if m != nil {
			if report, err = s.destroy(ctx, h, l, keepResults); err != nil {
				return report, err
			}
		}
		for _, path := range l.CutOff(h.Facts) {
			if err := h.conn.Run(ctx, remote.Command{Args: []string{"rm", "-rf", "--", path}, Root: true}); err != nil {
				return report, s.trouble(h, "destroy", err)
			}
			report.Changes = append(report.Changes, setup.Change{Step: setup.Program, Kind: setup.Remove, What: path, Why: "was cut off"})
		}
		if len(report.Left) > 0 {
			return report, s.trouble(h, "destroy", fmt.Errorf("%w: %s", ErrLeft, strings.Join(report.Left, "; ")))
		}
		return report, nil
	})
}

// ErrLeft reports that something of ours is still on a host.
var ErrLeft = errors.New("this is left")

// destroy has the program on a host remove all, itself too. A host that was not set
// up to the end, or not removed to the end, may have none.
func (s *Site) destroy(ctx context.Context, h *Host, l setup.Layout, keepResults bool) (setup.Report, error) {
	if h.Facts.Stat == "" {
		if err := s.send(ctx, h, setup.Desired{Layout: l}); err != nil {
			return setup.Report{}, s.trouble(h, "push", err)
		}
	}
	return s.ask(ctx, h, setup.Request{Do: "destroy", Desired: setup.Desired{Layout: l}, By: s.Owner, KeepResults: keepResults})
}
