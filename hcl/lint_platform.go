package hcl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ainur-faas/ainur/hcl/decode"
	"github.com/ainur-faas/ainur/hcl/diag"
	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/hcl/units"
)

// images calls f for each function whose image a registry has under a tag.
func (l *linter) images(s *scene, f func(function *instance, image, tag string)) {
	for _, load := range s.loads {
		for _, function := range load.called {
			image := decode.Get[string](function.Block, "image")
			if !l.first(function.Block) || image == "" || strings.HasPrefix(image, "oci-dir:") || strings.HasPrefix(image, "oci-tar:") || strings.Contains(image, "@") {
				continue
			}
			tag := "latest"
			if _, after, ok := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); ok {
				tag = after
			}
			f(function, image, tag)
		}
	}
}

// unpinned warns of images that are pulled as they are at the time.
func (l *linter) unpinned(s *scene) {
	l.images(s, func(f *instance, image, _ string) {
		if pin, known := f.Attrs["pin"].Go.(bool); !known || pin {
			return
		}
		at := f.Attrs["image"].Range
		l.warn(s, diag.Problem{
			Summary: fmt.Sprintf("image %q has no digest, and pin is false", image), At: &at,
			Related: []diag.Related{{At: f.Attrs["pin"].Range, Label: "the digest is not looked up"}},
			Notes:   []diag.Note{diag.Help("write name@sha256:..., or leave pin out: the digest goes into the lock file")},
		}, f)
	})
}

// latest warns of images of the tag latest that are pinned; unpinned has the others.
func (l *linter) latest(s *scene) {
	l.images(s, func(f *instance, image, tag string) {
		if pin, known := f.Attrs["pin"].Go.(bool); tag != "latest" || !known || !pin {
			return
		}
		at := f.Attrs["image"].Range
		l.warn(s, diag.Problem{
			Summary: fmt.Sprintf("image %q is whatever is latest", image), At: &at,
			Notes: []diag.Note{diag.Help("write the tag of a version, or name@sha256:...")},
		}, f)
	})
}

// newClusters are those of the scene that the rule has not seen.
func (l *linter) newClusters(s *scene) []*instance {
	if len(s.made.Cluster.Hosts) == 0 || !l.first(&s.made.Cluster.Hosts[0]) {
		return nil
	}
	return s.clusters(s.workerBlocks())
}

// machine is what tells the machine of a host from others: its address, which
// does not matter where it is this one. It is "" where that is not known.
func machine(h spec.Host) string {
	if h.Connection == "local" {
		return "local"
	}
	return strings.ToLower(h.Address)
}

// sameMachine warns of hosts with one address.
func (l *linter) sameMachine(s *scene) {
	if s.study.simulated() {
		return
	}
	for _, c := range l.newClusters(s) {
		first := map[string]*decode.Block{}
		for _, h := range hostBlocks(c) {
			key := machine(hostOf(c, h))
			if key == "" {
				continue
			}
			same, dup := first[key]
			if !dup {
				first[key] = h
				continue
			}
			where := "have one address, " + key
			if key == "local" {
				where = "are both this machine"
			}
			l.warn(s, diag.Problem{
				Summary: fmt.Sprintf("hosts %q and %q of %s %s", same.Label, h.Label, c.Scope.Owner, where), At: &h.Range,
				Related: []diag.Related{{At: same.Range, Label: "the other is here"}},
				Notes:   []diag.Note{diag.Help("make them one host: several workers may be on it")},
			}, c)
		}
	}
}

// acceptNew warns of clusters and hosts that trust any host key they have not seen.
func (l *linter) acceptNew(s *scene) {
	for _, c := range l.newClusters(s) {
		for _, b := range append(hostBlocks(c), c.Block) {
			ssh := b.One("ssh")
			if ssh == nil || decode.Get[string](ssh, "host_key") != "accept_new" {
				continue
			}
			at := ssh.Attrs["host_key"].Range
			l.warn(s, diag.Problem{
				Summary: b.Scope.Owner + " accepts host keys that nobody has compared", At: &at,
				Notes: []diag.Note{diag.Help(`write "strict" and a known_hosts file, or "pinned" and host_keys`)},
			}, c)
		}
	}
}

// generator warns of load that is made on the machine of a worker, unless from
// says that this is meant.
func (l *linter) generator(s *scene) {
	if s.study.simulated() || len(s.made.Workers) == 0 || len(s.made.Cluster.Hosts) == 0 {
		return
	}
	for _, load := range s.loads {
		if load.Attrs["from"].Given || !l.first([3]any{load.Block, &s.made.Workers[0], &s.made.Cluster.Hosts[0]}) {
			continue
		}
		machines := map[string]string{} // that make load, with what they are called
		for _, h := range s.made.Cluster.Hosts {
			if slices.Contains(h.Roles, "load") {
				machines[machine(h)] = fmt.Sprintf("host %q, which has the role load", h.Name)
			}
		}
		if len(machines) == 0 {
			machines["local"] = "this machine"
		}
		delete(machines, "")
		hosts := byName(s.made.Cluster.Hosts)
		for i, w := range s.made.Workers {
			name, shared := machines[machine(hosts[w.Host])]
			if !shared {
				continue
			}
			worker := s.workerBlocks()[i]
			on := worker.Attrs["on"].Range
			l.warn(s, diag.Problem{
				Summary: fmt.Sprintf("%s is made on %s, and so is the work of %s", load.Scope.Owner, name, worker.Scope.Owner), At: &load.Range,
				Related: []diag.Related{{At: on, Label: "the worker is here"}},
				Notes:   []diag.Note{diag.Help("give the generator a host of its own, or write from = [%s] if it is meant", s.text(worker, "on"))},
			}, load.instance)
			break
		}
	}
}

// text is an argument of a block as it is written, on one line.
func (s *scene) text(in *instance, name string) string {
	return s.m.top.text(in.Exprs[name].Range())
}

// crowded warns of workers that cannot keep one sandbox of each function.
func (l *linter) crowded(s *scene) {
	if len(s.made.Workers) == 0 {
		return
	}
	var need spec.Bytes
	for i := range s.made.Functions {
		need += s.made.Functions[i].Memory
	}
	if !l.first([2]any{&s.made.Workers[0], need}) {
		return
	}
	for i, w := range s.made.Workers {
		if w.Memory == 0 || need <= w.Memory {
			continue
		}
		worker := s.workerBlocks()[i]
		about := []*instance{worker}
		for _, load := range s.loads {
			about = append(append(about, load.instance), load.called...)
		}
		at := worker.Range
		if worker.Attrs["memory"].Given {
			at = worker.Attrs["memory"].Range
		}
		l.warn(s, diag.Problem{
			Summary: fmt.Sprintf("a sandbox of each of %s needs %s, and %s has %s", counted(len(s.made.Functions), "function"), units.FormatBytes(need), worker.Scope.Owner, units.FormatBytes(w.Memory)), At: &at,
			Notes: []diag.Note{diag.Help("raise its memory, or `ainur lint --disable %s` where eviction is what is studied", l.rule.ID)},
		}, about...)
	}
}
