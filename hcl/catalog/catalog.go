// Package catalog tells what policies there are: their options, defaults and sources.
package catalog

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ainur-faas/ainur/hcl/registry"
)

// Entry describes a policy.
type Entry struct {
	Kind    string   `json:"kind"` // "queue policy"
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
	Doc     string   `json:"doc"`
	Source  string   `json:"source"`
	Options []Option `json:"options"`
}

// Option is an argument of a policy.
type Option struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Doc     string `json:"doc"`
}

// Of describes every policy of a registry, in the order of their names.
func Of[P any](r *registry.Registry[P]) []Entry {
	var all []Entry
	for _, name := range r.Names() {
		about := r.About(name)
		e := Entry{Kind: r.Kind(), Name: name, Aliases: append([]string{}, r.Aliases(name)...), Doc: about.Doc, Source: about.Source, Options: []Option{}}
		if err := r.Check(name, func(into any) error {
			e.Options = options(reflect.ValueOf(into).Elem())
			return nil
		}); err != nil {
			panic(fmt.Sprintf("catalog: the defaults of %s %q are wrong: %v", r.Kind(), name, err))
		}
		all = append(all, e)
	}
	return all
}

// options are the fields of a struct, which has the defaults.
func options(of reflect.Value) []Option {
	out := []Option{}
	for _, f := range reflect.VisibleFields(of.Type()) { // those of embedded structs too
		name, _, _ := strings.Cut(f.Tag.Get("hcl"), ",")
		if name == "" {
			continue
		}
		value := of.FieldByIndex(f.Index).Interface()
		o := Option{Name: name, Doc: f.Tag.Get("doc"), Default: fmt.Sprint(value)}
		switch value.(type) {
		case time.Duration:
			o.Type = "duration"
		case bool:
			o.Type = "bool"
		case string:
			o.Type = "string"
		case map[string]float64:
			o.Type, o.Default = "map(number)", "{}"
		default:
			o.Type = "number"
		}
		out = append(out, o)
	}
	return out
}
