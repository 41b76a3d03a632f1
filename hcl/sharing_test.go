package hcl_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/ainur-faas/ainur/hcl"
	"github.com/ainur-faas/ainur/hcl/spec"
)

// A point is the same whether others are evaluated beside it, with which it
// shares blocks, or it is the only one.
func TestPointsShareNothingTheyShouldNot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		axis := func(label string) string {
			return rapid.SampledFrom([]string{"1", "sweep.s.point.a", "sweep.s.point.b", "sweep.s.point.a + sweep.s.point.c", "local.l", "local.m"}).Draw(t, label)
		}
		l, m := rapid.SampledFrom([]string{"2", "sweep.s.point.b", "sweep.s.point.c * 2"}).Draw(t, "l"), rapid.SampledFrom([]string{"3", "local.l + sweep.s.point.a"}).Draw(t, "m")
		whole := fmt.Sprintf(`
locals {
  l = %s
  m = %s
}
cluster "c" {
  dynamic "host" {
    for_each = toset(hostlist("h[1-2]"))
    labels   = [host.key]
    content {
      address    = host.key
      connection = "local"
    }
  }
}
worker "w" {
  for_each = { for i in range(1, 1 + (%s)) : "w${i}" => cluster.c.host.h1 }
  on       = each.value
  cores    = %s
}
function "f" {
  builtin = "hello"
  memory  = "${64 * (%s)}MiB"
  cpus    = 0.5
}
function "g" {
  builtin = "hello"
  memory  = "64MiB"
  prewarm = %s
}
balancer "lb" {
  on      = cluster.c.host.h2
  workers = worker.w
}
load "l" {
  target   = balancer.lb
  mix      = { f = %s, g = 1 }
  duration = "1s"
  arrival "poisson" {
    rate = "${%s}/s"
  }
}
sweep "s" {
%s
}
experiment "e" {
  title   = "E"
  cluster = cluster.c
  workers = worker.w
  load    = load.l
  sweep   = sweep.s
  seed    = 1
}
`, l, m, axis("workers"), axis("cores"), axis("memory"), axis("prewarm"), axis("weight"), axis("rate"), `axis "a" {
  values = [1, 2]
}
axis "b" {
  values = [1, 3]
}
axis "c" {
  values = [2, 1]
}`)
		together := evaluated(t, whole)
		for _, p := range together.Points {
			var fields []string
			for _, a := range p.Axes {
				fields = append(fields, a.Name+" = "+string(a.Value))
			}
			before, _, _ := strings.Cut(whole, "sweep \"s\" {")
			j := strings.Index(whole, "experiment \"e\"")
			alone := evaluated(t, before+"sweep \"s\" {\n mode = \"list\"\n points = [{ "+strings.Join(fields, ", ")+" }]\n}\n"+whole[j:])
			if diff := cmp.Diff(text(t, alone.Points[0]), text(t, p)); diff != "" {
				t.Fatalf("%s (-alone +together):\n%s", fields, diff)
			}
		}
	})
}

func evaluated(t *rapid.T, src string) *spec.Experiment {
	m, diags := hcl.Load("exp.ainur.hcl", withSource(src))
	if diags = all(m, diags); diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, src)
	}
	exp, diags := m.Experiment("", 0)
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, src)
	}
	return exp
}

func text(t *rapid.T, v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
