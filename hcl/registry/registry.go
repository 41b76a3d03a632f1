// Package registry maps the names users write to the code that runs.
// A registry is a value: it is built in one visible list, and nothing registers itself on import.
package registry

import (
	"fmt"
	"maps"
	"slices"
)

// Decoder fills the options struct at into, which holds the defaults: from HCL
// where the user types, from the manifest's JSON on a worker. Options structs
// carry `hcl:"name,optional" json:"name"` tags.
type Decoder func(into any) error

// Factory builds a P. It sets defaults, calls decode exactly once, then validates.
type Factory[P any] func(decode Decoder) (P, error)

// Registry holds the factories of one kind of thing.
type Registry[P any] struct {
	kind      string // "queue policy", for messages
	factories map[string]Factory[P]
}

// New returns an empty registry.
func New[P any](kind string) *Registry[P] {
	return &Registry[P]{kind: kind, factories: map[string]Factory[P]{}}
}

// Add registers f. A name used twice is a bug in ainur, so Add panics.
func (r *Registry[P]) Add(name string, f Factory[P]) {
	if _, dup := r.factories[name]; dup {
		panic(fmt.Sprintf("registry: %s %q added twice", r.kind, name))
	}
	r.factories[name] = f
}

// Names lists the registered names, sorted.
func (r *Registry[P]) Names() []string { return slices.Sorted(maps.Keys(r.factories)) }

// Build runs the factory called name.
func (r *Registry[P]) Build(name string, decode Decoder) (P, error) {
	f, ok := r.factories[name]
	if !ok {
		var zero P
		return zero, &UnknownError{r.kind, name, r.Names()}
	}
	return f(decode)
}

// Check is Build without the result: it tells whether name and options are valid.
func (r *Registry[P]) Check(name string, decode Decoder) error {
	_, err := r.Build(name, decode)
	return err
}

// UnknownError reports a name that no factory carries.
type UnknownError struct {
	Kind, Name string
	Known      []string // sorted
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.Kind, e.Name) }
