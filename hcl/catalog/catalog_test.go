package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ainur-faas/ainur/hcl/catalog"
	"github.com/ainur-faas/ainur/hcl/registry"
)

type options struct {
	For     time.Duration      `hcl:"for,optional" doc:"how long"`
	Share   float64            `hcl:"share,optional" doc:"of all"`
	Weights map[string]float64 `hcl:"weights,optional" doc:"of each"`
	Strict  bool               `hcl:"strict,optional" doc:"or not"`
	state   int
}

func TestOf(t *testing.T) {
	r := registry.New[int]("test policy")
	r.Add("b", registry.About{Doc: "does it", Source: "a paper"}, func(decode registry.Decoder) (int, error) {
		o := options{For: time.Second, Share: 0.5, state: 1}
		return o.state, decode(&o)
	})
	r.Add("a", registry.About{}, func(decode registry.Decoder) (int, error) { return 0, decode(&struct{}{}) })
	r.Alias("z", "b")
	r.Alias("y", "b")
	want := []catalog.Entry{
		{Kind: "test policy", Name: "a", Aliases: []string{}, Options: []catalog.Option{}},
		{Kind: "test policy", Name: "b", Aliases: []string{"y", "z"}, Doc: "does it", Source: "a paper", Options: []catalog.Option{
			{Name: "for", Type: "duration", Default: "1s", Doc: "how long"},
			{Name: "share", Type: "number", Default: "0.5", Doc: "of all"},
			{Name: "weights", Type: "map(number)", Default: "{}", Doc: "of each"},
			{Name: "strict", Type: "bool", Default: "false", Doc: "or not"},
		}},
	}
	if diff := cmp.Diff(want, catalog.Of(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := r.Build("z", func(any) error { return nil }); got != 1 || err != nil {
		t.Errorf("by its other name: %d, %v", got, err)
	}
	var unknown *registry.UnknownError
	if err := r.Check("c", nil); !errors.As(err, &unknown) {
		t.Errorf("%v", err)
	}
}
