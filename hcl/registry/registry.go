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
// carry `hcl:"name,optional" json:"name"` tags, and `doc:"..."`.
type Decoder func(into any) error

// Factory builds a P. It sets defaults, calls decode exactly once, then validates.
type Factory[P any] func(decode Decoder) (P, error)

// About is what is told of a name.
type About struct {
	Doc    string // what it does, in a line
	Source string // of the equation or rule: a paper, with its DOI; "" where there is nothing to cite
}

// Registry holds the factories of one kind of thing.
type Registry[P any] struct {
	kind    string // "queue policy", for messages
	entries map[string]entry[P]
	aliases map[string]string // another name for a name
}

type entry[P any] struct {
	About
	factory Factory[P]
}

// New returns an empty registry.
func New[P any](kind string) *Registry[P] {
	return &Registry[P]{kind: kind, entries: map[string]entry[P]{}, aliases: map[string]string{}}
}

// Add registers f. A name used twice is a bug in ainur, so Add panics.
func (r *Registry[P]) Add(name string, about About, f Factory[P]) {
	r.free(name)
	r.entries[name] = entry[P]{about, f}
}

// Alias makes other another name, such as that of another system, for what name means.
func (r *Registry[P]) Alias(other, name string) {
	r.free(other)
	r.aliases[other] = name
}

func (r *Registry[P]) free(name string) {
	if _, taken := r.entries[name]; taken || r.aliases[name] != "" {
		panic(fmt.Sprintf("registry: %s %q added twice", r.kind, name))
	}
}

// Names lists the registered names, sorted, without aliases.
func (r *Registry[P]) Names() []string { return slices.Sorted(maps.Keys(r.entries)) }

// Build runs the factory called name.
func (r *Registry[P]) Build(name string, decode Decoder) (P, error) {
	if other, ok := r.aliases[name]; ok {
		name = other
	}
	e, ok := r.entries[name]
	if !ok {
		var zero P
		return zero, &UnknownError{r.kind, name, r.Names()}
	}
	return e.factory(decode)
}

// Check is Build without the result: it tells whether name and options are valid.
func (r *Registry[P]) Check(name string, decode Decoder) error {
	_, err := r.Build(name, decode)
	return err
}

// Kind is what the registry is of, such as "queue policy".
func (r *Registry[P]) Kind() string { return r.kind }

// About is what was said of a registered name.
func (r *Registry[P]) About(name string) About { return r.entries[name].About }

// Aliases are the other names of a registered name, sorted.
func (r *Registry[P]) Aliases(name string) (others []string) {
	for _, other := range slices.Sorted(maps.Keys(r.aliases)) {
		if r.aliases[other] == name {
			others = append(others, other)
		}
	}
	return others
}

// UnknownError reports a name that no factory carries.
type UnknownError struct {
	Kind, Name string
	Known      []string // sorted
}

func (e *UnknownError) Error() string { return fmt.Sprintf("unknown %s %q", e.Kind, e.Name) }
