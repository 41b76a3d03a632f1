package hcl

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/spec"
)

// Answer is the value of an expression.
type Answer struct {
	Value  cty.Value
	later  []alternative
	lastly string // what is said of a value that is known in no alternative
}

// alternative is the value an expression has where more is known.
type alternative struct {
	note  string
	value cty.Value
}

// HCL writes the value as the language would, except where it is sensitive or
// not known. It is as wide as columns where it can be, and shows the first
// elements of a long list.
func (a Answer) HCL(columns int) string {
	return a.text().write(columns)
}

// Type writes the type of the value.
func (a Answer) Type(columns int) string {
	return typeText(a.Value.Type(), a.Value.IsMarked()).write(columns)
}

// Known reports whether all of the value is known.
func (a Answer) Known() bool { return a.Value.IsWhollyKnown() }

// JSON is the value as JSON: what is not known is null.
func (a Answer) JSON() json.RawMessage {
	b, err := json.Marshal(jsonable(a.Value))
	if err != nil {
		panic(err) // maps, slices, strings, bools and numbers
	}
	return b
}

func jsonable(v cty.Value) any {
	switch {
	case v.IsMarked():
		return spec.Redacted
	case !v.IsKnown(), v.IsNull():
		return nil
	case v.Type() == cty.String:
		return v.AsString()
	case v.Type() == cty.Bool:
		return v.True()
	case v.Type() == cty.Number && v.AsBigFloat().IsInf():
		return v.AsBigFloat().String()
	case v.Type() == cty.Number:
		return json.Number(numberText(v.AsBigFloat()))
	case v.Type().IsObjectType(), v.Type().IsMapType():
		object := map[string]any{}
		for key, element := range v.Elements() {
			object[key.AsString()] = jsonable(element)
		}
		return object
	case v.CanIterateElements():
		list := []any{}
		for _, element := range v.Elements() {
			list = append(list, jsonable(element))
		}
		return list
	}
	return v.Type().FriendlyName()
}

// mostShown is how many elements of a list or an object are shown.
const mostShown = 100

// text is a value or a type as it is written: a word, or items in brackets.
type text struct {
	word        string
	open, close string
	items       []item
	more        int    // items that are left out
	pending     string // when all of it will be known, "" when some is
}

// item is an element; the key is "" in a list.
type item struct {
	key string
	text
}

func (t *text) add(key string, of func() text) {
	if len(t.items) == mostShown {
		t.more, t.pending = t.more+1, ""
		return
	}
	inner := of()
	if inner.pending != "" { // in a word, whatever it holds
		inner = pendingText(inner.pending)
	}
	switch {
	case len(t.items) == 0:
		t.pending = inner.pending
	case t.pending != inner.pending:
		t.pending = ""
	}
	t.items = append(t.items, item{key, inner})
}

func pendingText(when string) text { return text{word: "(" + when + ")", pending: when} }

func (a Answer) text() text {
	v := a.Value
	switch {
	case v.IsMarked():
		return text{word: spec.Redacted}
	case !v.IsKnown():
		return pendingText(a.pending())
	case v.IsNull():
		return text{word: "null"}
	case v.Type() == cty.String:
		return text{word: string(hclwrite.TokensForValue(v).Bytes())}
	case v.Type() == cty.Bool:
		return text{word: strconv.FormatBool(v.True())}
	case v.Type() == cty.Number:
		return text{word: numberText(v.AsBigFloat())}
	case v.Type().IsObjectType(), v.Type().IsMapType():
		t := text{open: "{", close: "}"}
		for key, element := range v.Elements() {
			t.add(keyText(key.AsString()), func() text { return a.element(key, element).text() })
		}
		return t
	case v.CanIterateElements():
		t := text{open: "[", close: "]"}
		if v.Type().IsSetType() {
			t = text{open: "toset([", close: "])"}
		}
		for key, element := range v.Elements() {
			t.add("", func() text { return a.element(key, element).text() })
		}
		return t
	}
	return text{word: "(" + v.Type().FriendlyName() + ")"}
}

// pending says when a value will be known.
func (a Answer) pending() string {
	for _, l := range a.later {
		if l.value.IsKnown() {
			return l.note
		}
	}
	return a.lastly
}

// element is the answer for an element of a, with the alternatives that have it.
func (a Answer) element(key, v cty.Value) Answer {
	e := Answer{Value: v, lastly: a.lastly}
	for _, l := range a.later {
		other, t := l.value, l.value.Type()
		switch {
		case other.IsMarked() || !other.IsKnown() || other.IsNull() || t.IsSetType() || a.Value.Type().IsSetType():
		case t.IsObjectType() && key.Type() == cty.String && t.HasAttribute(key.AsString()):
			e.later = append(e.later, alternative{l.note, other.GetAttr(key.AsString())})
		case !t.IsObjectType() && other.CanIterateElements() && other.HasIndex(key).True():
			e.later = append(e.later, alternative{l.note, other.Index(key)})
		}
	}
	return e
}

// numberText is a number, a fraction as precise as 64 bits are.
func numberText(n *big.Float) string {
	if n.IsInf() {
		return n.String()
	}
	if n.IsInt() && n.MantExp(nil) < 80 {
		return n.Text('f', 0)
	}
	f, _ := n.Float64()
	size := math.Abs(f)
	switch {
	case size >= 1e-6 && size < 1e21:
		return strconv.FormatFloat(f, 'f', -1, 64)
	case size == 0 || math.IsInf(f, 0): // beyond 64 bits
		return n.Text('g', 17)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// keyText is a key of an object.
func keyText(name string) string {
	switch name {
	case "for", "if", "in", "true", "false", "null":
	default:
		if hclsyntax.ValidIdentifier(name) && !strings.Contains(name, "\ufeff") { // a byte order mark is no letter to the parser
			return name
		}
	}
	return string(hclwrite.TokensForValue(cty.StringVal(name)).Bytes())
}

func typeText(t cty.Type, sensitive bool) text {
	element := func(name string) text {
		inner := typeText(t.ElementType(), false)
		if inner.open == "" {
			return text{word: name + "(" + inner.word + ")"}
		}
		inner.open, inner.close = name+"("+inner.open, inner.close+")"
		return inner
	}
	switch {
	case sensitive:
		return text{word: spec.Redacted}
	case t == cty.DynamicPseudoType:
		return text{word: "any"}
	case t.IsListType():
		return element("list")
	case t.IsSetType():
		return element("set")
	case t.IsMapType():
		return element("map")
	case t.IsTupleType():
		all := text{open: "tuple([", close: "])"}
		for _, e := range t.TupleElementTypes() {
			all.add("", func() text { return typeText(e, false) })
		}
		return all
	case t.IsObjectType():
		all := text{open: "object({", close: "})"}
		names := attributes(cty.UnknownVal(t))
		for _, name := range names {
			all.add(keyText(name), func() text { return typeText(t.AttributeType(name), false) })
		}
		return all
	}
	return text{word: t.FriendlyName()}
}

// write is t on lines of at most this many columns where words allow it.
func (t text) write(columns int) string {
	var b strings.Builder
	t.lines(&b, 0, 0, columns)
	return b.String()
}

// line is t on one line, "" and false when that is longer than room.
func (t text) line(room int) (string, bool) {
	if t.open == "" {
		return t.word, utf8.RuneCountInString(t.word) <= room
	}
	if t.more > 0 {
		return "", false
	}
	inner := ""
	for i, it := range t.items {
		if i > 0 {
			inner += ", "
		}
		if it.key != "" {
			inner += it.key + " = "
		}
		word, ok := it.line(room - len(inner))
		if !ok {
			return "", false
		}
		inner += word
	}
	if strings.HasSuffix(t.open, "{") && inner != "" {
		inner = " " + inner + " "
	}
	whole := t.open + inner + t.close
	return whole, utf8.RuneCountInString(whole) <= room
}

// lines writes t, of which used columns of the first line are taken.
func (t text) lines(b *strings.Builder, indent, used, columns int) {
	if line, ok := t.line(columns - indent - used); ok || t.open == "" {
		b.WriteString(line)
		return
	}
	b.WriteString(t.open + "\n")
	if t.words() {
		t.fill(b, indent+2, columns)
	} else {
		t.each(b, indent+2, columns)
	}
	pad := strings.Repeat(" ", indent)
	if t.more > 0 {
		fmt.Fprintf(b, "%s  # and %d more\n", pad, t.more)
	}
	b.WriteString(pad + t.close)
}

// words reports whether t is a list of words.
func (t text) words() bool {
	for _, it := range t.items {
		if it.key != "" || it.open != "" {
			return false
		}
	}
	return true
}

// fill writes words, as many on a line as fit.
func (t text) fill(b *strings.Builder, indent, columns int) {
	at := 0
	for _, it := range t.items {
		size := utf8.RuneCountInString(it.word) + 1
		switch {
		case at > 0 && at+1+size > columns:
			b.WriteString("\n")
			at = 0
			fallthrough
		case at == 0:
			b.WriteString(strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(it.word + ",")
		at += size
	}
	b.WriteString("\n")
}

// each writes an item a line, or more. The values of items on one line each
// stand below one another.
func (t text) each(b *strings.Builder, indent, columns int) {
	pad := strings.Repeat(" ", indent)
	width := make([]int, len(t.items)) // of keys
	for i := 0; i < len(t.items); {
		end, widest := i, 0
		for end < len(t.items) {
			key := utf8.RuneCountInString(t.items[end].key)
			if _, ok := t.items[end].line(columns - indent - key - 3); !ok && t.items[end].open != "" {
				break
			}
			widest = max(widest, key)
			end++
		}
		for j := i; j < end; j++ {
			width[j] = widest
		}
		i = end + 1
	}
	for i, it := range t.items {
		b.WriteString(pad)
		used := 0
		if it.key != "" {
			key := it.key + strings.Repeat(" ", max(0, width[i]-utf8.RuneCountInString(it.key))) + " = "
			b.WriteString(key)
			used = utf8.RuneCountInString(key)
		}
		it.lines(b, indent, used, columns)
		if it.key == "" {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
}
