package deploy

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/internal/mtls"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// Plan is what is to change on the hosts of a cluster.
type Plan struct {
	Cluster string     `json:"cluster"`
	Hosts   []HostPlan `json:"hosts"`
	// Requirements are what must hold of the hosts. They say nothing about what is to change.
	Requirements []spec.Requirement `json:"requirements,omitempty"`
}

// HostPlan is what is to change on one host.
type HostPlan struct {
	Host    string         `json:"host"`
	Roles   []string       `json:"roles,omitempty"`
	SHA256  string         `json:"sha256"` // of the program that it is to have
	Changes []setup.Change `json:"changes,omitempty"`
	Notes   []string       `json:"notes,omitempty"` // what should be known and stops nothing
	desired setup.Desired
	program []setup.Change // of Tuning: to be made first
}

// Changes are those of all hosts.
func (p *Plan) Changes() (all []setup.Change) {
	for _, h := range p.Hosts {
		all = append(all, h.Changes...)
	}
	return all
}

// Failing are the requirements that do not hold.
func (p *Plan) Failing() (all []spec.Requirement) {
	return slices.DeleteFunc(slices.Clone(p.Requirements), func(r spec.Requirement) bool { return r.Holds || r.Check })
}

// Changed is how many changes there are of a kind.
func (p *Plan) Changed(kind setup.Kind) (n int) {
	for _, c := range p.Changes() {
		if c.Kind == kind {
			n++
		}
	}
	return n
}

// Stale says how a plan that was made before differs from this one, "" where it does not.
func (p *Plan) Stale(before *Plan) string {
	if p.Cluster != before.Cluster || len(p.Hosts) != len(before.Hosts) {
		return "it is of other hosts"
	}
	for i, h := range p.Hosts {
		was := before.Hosts[i]
		switch {
		case h.Host != was.Host:
			return "it is of other hosts"
		case h.SHA256 != was.SHA256:
			return "it is of another ainur"
		case !slices.Equal(h.Changes, was.Changes):
			return fmt.Sprintf("host %s has changed since", h.Host)
		}
	}
	return ""
}

// Plan compares the hosts with what is desired of them. It changes nothing.
func (s *Site) Plan(exp *spec.Experiment, now time.Time) (*Plan, error) {
	a, err := authority(filepath.Join(s.Data, s.Cluster.Name), now)
	if err != nil {
		return nil, err
	}
	var certificate []byte
	if a != nil {
		certificate = a.Certificate
	}
	p := &Plan{Cluster: s.Cluster.Name}
	for _, h := range s.Hosts {
		if h.Err != nil {
			continue
		}
		hp, err := s.plan(h, certificate, exp, now)
		if err != nil {
			h.Err = s.trouble(h, "plan", err)
			continue
		}
		p.Hosts = append(p.Hosts, hp)
	}
	return p, nil
}

// behindMost is how far a host's clock may be behind this machine's: certificates are valid
// from a little longer ago.
const behindMost = mtls.Early - 5*time.Minute

func (s *Site) plan(h *Host, authority []byte, exp *spec.Experiment, now time.Time) (HostPlan, error) {
	if h.Facts.UID != 0 {
		return HostPlan{}, fmt.Errorf("user %d is not root there: say with become how to be", h.Facts.UID)
	}
	if behind := -h.Facts.Offset; behind > behindMost {
		return HostPlan{}, fmt.Errorf("its clock is %v behind this machine's: set the one that is wrong; certificates would not be valid there yet", behind.Round(time.Second))
	}
	all := settings(exp, h.Host, h.Facts)
	var notes []string
	if s.Cluster.Tune != nil && !s.NoTune {
		var wanted []setup.Setting
		wanted, notes = tuning(*s.Cluster.Tune, h.Facts)
		all = append(all, wanted...)
	}
	d, err := s.desired(h, authority, all)
	if err != nil {
		return HostPlan{}, err
	}
	p := HostPlan{Host: h.Name, Roles: roles(exp, h.Host), SHA256: d.SHA256, Notes: notes, desired: d}
	p.Changes, err = setup.Diff(d, h.Facts, now)
	return p, err
}
