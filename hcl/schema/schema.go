// Package schema is the blocks of the language in one table. It drives the
// checks of structure, the decoding, the suggestions and docs/language.md.
package schema

import "maps"

// Block defines a kind of block.
type Block struct {
	Type     string
	Label    string // what its label is, for messages; "" when it takes none
	Doc      string // one sentence
	Attrs    []Attr
	Blocks   []*Block
	Variants []*Block // by label, instead of Attrs: the models of arrival
	Required bool     // its parent needs one
	Unless   string   // an argument that makes a Required one unnecessary
	Once     bool     // at most one in its parent
	OneOf    []string // arguments of which exactly one is given
	SomeOf   []string // arguments of which at least one is given
	ForEach  bool     // takes for_each
	Free     bool     // takes any arguments beside Attrs: locals, the inputs of a module
	Policy   string   // long form of the policy argument of this name: any arguments, one per kind of policy
	Lacking  Engine   // engines that do not have it yet: it is valid, and they refuse it
}

// Attr defines an argument.
type Attr struct {
	Name     string
	Type     Type
	Default  string // as HCL; "" = none, or worked out as Doc says
	Required bool
	Unless   string // a block or argument that makes a Required one unnecessary
	Lacking  Engine // engines that do not have it yet: it is valid, and they refuse any value but the default
	Doc      string
}

// Engine is a set of what executes experiments.
type Engine uint8

// The engines.
const (
	Live      Engine = 1 << iota // on hosts
	Simulated                    // in virtual time
	Both      = Live | Simulated
)

// Kind is what an argument holds.
type Kind string

// The kinds, by the name they have in the documentation.
const (
	String   Kind = "string"
	Number   Kind = "number"
	Int      Kind = "int"
	Bool     Kind = "bool"
	Duration Kind = "dur"
	Bytes    Kind = "bytes"
	Rate     Kind = "rate"
	Dist     Kind = "dist" // a duration, or a distribution of durations
	Any      Kind = "any"
	Strings  Kind = "list(string)"
	Map      Kind = "map(string)"
	Ref      Kind = "ref"
	Enum     Kind = "enum"
	Policy   Kind = "policy" // of the kind that is the argument's name
	Expr     Kind = "expr"   // evaluated later than its block
	Enums    Kind = "enums"  // list of values of an enum
	Bits     Kind = "bits"   // bandwidth, in bits per second
	Secret   Kind = "secret" // a ref(secret), never evaluated
	Object   Kind = "object" // an object with known fields
)

// Type is a Kind with its limits. Numbers, durations, sizes and rates are never negative.
type Type struct {
	Kind     Kind
	Positive bool              // not 0 either
	Min, Max int64             // of Int and Bytes; 0 = none
	Of       []string          // the kinds of block a Ref may name
	Many     bool              // a Ref to several
	Values   []string          // of Enum and Enums; of Policy: those that no engine has yet
	Lacking  map[string]Engine // of Enum, Enums and Policy: values that an engine does not have yet
	Aliases  map[string]string // of Policy: names that others use
	Duration string            // of Policy: "ttl.idle", the option that a duration in place of a name sets
	Fields   []Attr            // of Object
	Want     Kind              // of Expr: what it evaluates to; "" = anything
	Sees     string            // of Expr: what it may name beside what every expression may
	Bare     bool              // of Expr: an expression that is not evaluated, written as text in JSON: a type, a name
}

func enum(values ...string) Type { return Type{Kind: Enum, Values: values} }

func enums(values ...string) Type { return Type{Kind: Enums, Values: values} }

// lacking says which values the engines do not have yet.
func (t Type) lacking(in Engine, values ...string) Type {
	lacking := maps.Clone(t.Lacking)
	if lacking == nil {
		lacking = map[string]Engine{}
	}
	for _, v := range values {
		lacking[v] |= in
	}
	t.Lacking = lacking
	return t
}

// Names that some expressions may use.
const (
	SeesNothing = ""        // it is evaluated elsewhere
	SeesFacts   = "facts"   // what the hosts are
	SeesSelf    = "self"    // the cluster around it, and facts
	SeesCall    = "call"    // the call that is made
	SeesResults = "results" // what a run measured
)

// late is an expression that is evaluated after its block.
func late(want Kind, sees string) Type { return Type{Kind: Expr, Want: want, Sees: sees} }

func fields(all ...Attr) Type { return Type{Kind: Object, Fields: all} }

func whole(least, most int64) Type { return Type{Kind: Int, Min: least, Max: most} }

func ref(kinds ...string) Type { return Type{Kind: Ref, Of: kinds} }

func (t Type) many() Type {
	t.Many = true
	return t
}

func positive(k Kind) Type { return Type{Kind: k, Positive: true} }

func plain(k Kind) Type { return Type{Kind: k} }

// Attr returns the definition of an argument, or nil.
func (b *Block) Attr(name string) *Attr {
	for i := range b.Attrs {
		if b.Attrs[i].Name == name {
			return &b.Attrs[i]
		}
	}
	return nil
}

// Block returns the definition of a block inside b, or nil.
func (b *Block) Block(kind string) *Block { return find(b.Blocks, kind) }

// Variant returns the definition for a label, or nil.
func (b *Block) Variant(label string) *Block { return find(b.Variants, label) }

func find(blocks []*Block, kind string) *Block {
	for _, b := range blocks {
		if b.Type == kind {
			return b
		}
	}
	return nil
}

func types(blocks []*Block) []string {
	var names []string
	for _, b := range blocks {
		names = append(names, b.Type)
	}
	return names
}

func (b *Block) attrNames() []string {
	var names []string
	for _, a := range b.Attrs {
		names = append(names, a.Name)
	}
	return names
}
