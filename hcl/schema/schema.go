// Package schema is the blocks of the language in one table. It drives the
// checks of structure, the decoding, the suggestions and docs/language.md.
package schema

// Block defines a kind of block.
type Block struct {
	Type     string
	Label    string // what its label is, for messages; "" when it takes none
	Doc      string // one sentence
	Attrs    []Attr
	Blocks   []*Block
	Variants []*Block // by label, instead of Attrs: the models of arrival
	Required bool     // its parent needs one
	Once     bool     // at most one in its parent
	ForEach  bool     // takes for_each
	Free     bool     // takes any arguments: locals
	Policy   string   // long form of the policy argument of this name: any arguments, one per kind of policy
}

// Attr defines an argument.
type Attr struct {
	Name     string
	Type     Type
	Default  string // as HCL; "" = none, or worked out as Doc says
	Required bool
	Unless   string // a block or argument that makes a Required one unnecessary
	Doc      string
}

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
	Later    Kind = "later"  // planned, and an error with Doc as the reason
)

// Type is a Kind with its limits. Numbers, durations, sizes and rates are never negative.
type Type struct {
	Kind     Kind
	Positive bool     // not 0 either
	Max      int64    // of Int; 0 = none
	Of       []string // the kinds of block a Ref may name
	Many     bool     // a Ref to several
	Values   []string // of Enum
	Later    []string // values of Enum that this version does not support
}

func enum(values ...string) Type { return Type{Kind: Enum, Values: values} }

func (t Type) later(values ...string) Type {
	t.Later = values
	return t
}

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
		if a.Type.Kind != Later {
			names = append(names, a.Name)
		}
	}
	return names
}
