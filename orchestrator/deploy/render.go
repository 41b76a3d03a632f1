package deploy

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/spec"
	"github.com/ainur-faas/ainur/orchestrator/plan"
	"github.com/ainur-faas/ainur/orchestrator/setup"
)

// glyphs stand before changes, and for what is none.
var glyphs = map[setup.Kind]string{setup.Add: "+", setup.Update: "~", setup.Remove: "-"}

// Render writes what is to change on each host, and why.
func (s *Site) Render(w io.Writer, p *Plan, took time.Duration) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "cluster.%s   %s%s", s.Cluster.Name, plan.Count(len(s.Hosts), "host"), s.via())
	if took > 0 {
		fmt.Fprintf(&b, "   facts %.1f s", took.Seconds())
	}
	if skew := s.Skew(); skew > 0 {
		fmt.Fprintf(&b, "   clock skew max %.2f ms", float64(skew)/float64(time.Millisecond))
	}
	b.WriteString("\n\n")
	rows := [][]string{{"host", "role", "change", "why"}}
	for _, h := range s.Hosts {
		i := slices.IndexFunc(p.Hosts, func(hp HostPlan) bool { return hp.Host == h.Name })
		if i < 0 {
			rows = append(rows, []string{h.Name, strings.Join(h.Roles, ","), "! of no use", firstLine(h.Err)})
			continue
		}
		rows = append(rows, p.Hosts[i].rows()...)
	}
	plan.Columns(&b, rows)
	for _, r := range p.Requirements {
		if !r.Holds {
			b.WriteString("  " + Failure(r) + "\n")
		}
	}
	fmt.Fprintf(&b, "\nPlan: %d to add, %d to change, %d to remove", p.Changed(setup.Add), p.Changed(setup.Update), p.Changed(setup.Remove))
	if n := len(p.Failing()); n > 0 {
		fmt.Fprintf(&b, ", %s failing", plan.Count(n, "requirement"))
	}
	b.WriteString(".\n")
	_, err := b.WriteTo(w)
	return err
}

// Failure is a requirement that does not hold, in words.
func Failure(r spec.Requirement) string {
	kind := "require"
	if r.Check {
		kind = "check"
	}
	text := fmt.Sprintf("! %s.%s fails: %s", kind, r.Name, r.Message)
	if r.Fix != "" {
		text += "   fix: " + r.Fix
	}
	return text
}

// rows are a host's, its name in the first alone.
func (p HostPlan) rows() (rows [][]string) {
	for _, c := range p.Changes {
		rows = append(rows, []string{"", "", glyphs[c.Kind] + " " + c.What, c.Why})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{"", "", "= nothing", "in desired state"})
	}
	for _, note := range p.Notes {
		rows = append(rows, []string{"", "", "! " + note, ""})
	}
	rows[0][0], rows[0][1] = p.Host, strings.Join(p.Roles, ",")
	return rows
}

func firstLine(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// via names the bastion that all hosts are behind.
func (s *Site) via() string {
	jump := ""
	for i, h := range s.Hosts {
		over := strings.Join(h.SSH.ProxyJump, ", ")
		if i > 0 && over != jump {
			return ""
		}
		jump = over
	}
	if jump == "" {
		return ""
	}
	return " via " + jump
}

// Skew is the most that a host's clock may be away from this one's.
func (s *Site) Skew() (most time.Duration) {
	for _, h := range s.Hosts {
		if h.Err == nil {
			most = max(most, h.Facts.Offset.Abs())
		}
	}
	return most
}

// Recap writes what has become of each host, those of which the same is to be said together.
func Recap(w io.Writer, all []Outcome) error {
	var b bytes.Buffer
	hosts := map[string][]string{}
	var order []string
	for _, o := range all {
		text := o.text()
		if hosts[text] == nil {
			order = append(order, text)
		}
		hosts[text] = append(hosts[text], o.Host)
	}
	rows := [][]string{{"host", "result"}}
	for _, text := range order {
		rows = append(rows, []string{folded(hosts[text]), text})
	}
	plan.Columns(&b, rows)
	_, err := b.WriteTo(w)
	return err
}

// folded is names with those that are numbered in a row as one: n1-n3 n7.
func folded(names []string) string {
	var all []string
	for i := 0; i < len(names); {
		prefix, first := numbered(names[i])
		last := i
		for last+1 < len(names) && first >= 0 {
			next, n := numbered(names[last+1])
			if next != prefix || n != first+last+1-i {
				break
			}
			last++
		}
		if last > i+1 {
			all = append(all, names[i]+"-"+names[last])
			i = last + 1
			continue
		}
		all = append(all, names[i])
		i++
	}
	return strings.Join(all, " ")
}

// numbered is a name without the number that it ends in, and the number, -1 without one.
func numbered(name string) (prefix string, n int) {
	prefix = strings.TrimRight(name, "0123456789")
	digits := name[len(prefix):]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return name, -1
	}
	return prefix, n
}

func (o Outcome) text() string {
	switch {
	case o.Err != nil:
		return "failed: " + firstLine(o.Err)
	case o.Skipped:
		return "not begun: another host failed"
	case len(o.Changes) == 0:
		return "ok, nothing to change"
	default:
		return "ok, " + plan.Count(len(o.Changes), "change")
	}
}
