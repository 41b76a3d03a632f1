package funcs

import (
	"fmt"
	"math/big"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Limits of one call, far above what people compute.
const (
	maxText = 1 << 20 // bytes of text in a result
	maxList = 100_000 // elements of a result
	maxArgs = 8 << 20 // elements, and bytes of text, in the arguments
	maxBits = 4096    // binary exponent of a number: about 1e1233

	maxWork   = 64 << 20 // bytes that a text function may move to make a text
	maxSearch = 100e6    // steps of a regular expression that looks for one match
	maxScan   = 2e9      // the same for every match, each of which may look at all that is left
	maxDepth  = 200      // of JSON in JSON
	maxDigits = 2000     // of a number in text, and bytes of a pattern
	maxTypes  = 1000     // of the elements of a list, to find a common one
)

var (
	errText = fmt.Errorf("the result is over the limit of %d MiB of text", maxText>>20)
	errList = fmt.Errorf("the result is over the limit of %d elements", maxList)
	errArgs = fmt.Errorf("this is over the limit of %d elements and bytes of text for one call", maxArgs)
)

// admit converts the arguments to what the function takes, and reports those
// that are too large.
func (e entry) admit(args []cty.Value) ([]cty.Value, error) {
	left := maxArgs
	for i, v := range args {
		if e.picks {
			break
		}
		if err := measure(v, &left); err != nil {
			return nil, function.NewArgError(i, err)
		}
	}
	args, err := e.coerce(args)
	if err != nil || e.refuse == nil {
		return args, err
	}
	plain := make([]cty.Value, len(args))
	for i, v := range args {
		plain[i], _ = v.UnmarkDeep()
	}
	return args, e.refuse(plain)
}

// bounded reports a result that is too large.
func (e entry) bounded(v cty.Value) error {
	v, _ = v.Unmark()
	switch known := v.IsKnown() && !v.IsNull(); {
	case known && v.Type() == cty.String && len(v.AsString()) > maxText:
		return errText
	case known && v.CanIterateElements() && v.LengthInt() > maxList:
		return errList
	case e.picks:
		return nil
	}
	left := maxArgs
	return measure(v, &left)
}

// measure takes the elements and bytes of v off left, and reports when nothing
// is left and when a number would take too many digits to write.
func measure(v cty.Value, left *int) error {
	v, _ = v.Unmark()
	*left--
	switch {
	case *left < 0:
		return errArgs
	case !v.IsKnown() || v.IsNull():
	case v.Type() == cty.String:
		*left -= len(v.AsString())
	case v.Type() == cty.Number:
		if f := v.AsBigFloat(); f.IsInf() || abs(f.MantExp(nil)) > maxBits {
			return fmt.Errorf("a number beyond 1e%d is over the limit", decimalExponent(f))
		}
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			_, element := it.Element()
			if err := measure(element, left); err != nil {
				return err
			}
		}
	}
	if *left < 0 {
		return errArgs
	}
	return nil
}

func abs(n int) int { return max(n, -n) }

// decimalExponent is the limit that f is beyond, as a power of ten.
func decimalExponent(f *big.Float) int {
	const limit = maxBits * 301 / 1000 // log10(2)
	if f.MantExp(nil) < 0 {
		return -limit
	}
	return limit
}

// textOf is a known string, or "".
func textOf(v cty.Value) string {
	if v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
		return ""
	}
	return v.AsString()
}

// lengthOf is the length of a known collection, or 0.
func lengthOf(v cty.Value) int {
	if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
		return 0
	}
	return v.LengthInt()
}

// longNumber refuses text that takes long to read as a number.
func longNumber(args []cty.Value) error {
	if n := len(textOf(args[0])); n > maxDigits {
		return function.NewArgErrorf(0, "%d digits are over the limit of %d", n, maxDigits)
	}
	return nil
}

// verb is what a format puts in, with its width and precision.
var verb = regexp.MustCompile(`%[-+ 0#]*([0-9]*)(?:\.([0-9]*))?`)

// longFormat refuses a format that makes much of little.
func longFormat(args []cty.Value) error {
	widest := 0
	for _, v := range args[1:] {
		widest = max(widest, written(v))
	}
	work := 0
	for _, m := range verb.FindAllStringSubmatch(textOf(args[0]), -1) {
		for _, digits := range m[1:] {
			digits = strings.TrimLeft(digits, "0")
			if len(digits) > 7 {
				return function.NewArgErrorf(0, "a width of %.20s is over the limit of %d", digits, maxText)
			}
			n := 0
			for _, d := range digits {
				n = 10*n + int(d-'0')
			}
			if n > maxText {
				return function.NewArgErrorf(0, "a width of %d is over the limit of %d", n, maxText)
			}
			work += n
		}
		work += widest
		if work > maxWork {
			return errText
		}
	}
	return nil
}

// written is about how many bytes v has as JSON.
func written(v cty.Value) int {
	switch {
	case !v.IsKnown() || v.IsNull():
		return 4
	case v.Type() == cty.String:
		return 2 + len(v.AsString())
	case v.Type() == cty.Number:
		return len(v.AsBigFloat().Text('f', -1))
	case !v.CanIterateElements():
		return 5
	}
	n := 2
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		n += 4 + written(element) + len(textOf(key))
	}
	return n
}

func longIndent(args []cty.Value) error {
	if args[0].IsNull() || !args[0].IsKnown() {
		return nil
	}
	n, ok := whole(args[0], 0, maxText)
	if !ok {
		return function.NewArgErrorf(0, "want a whole number from 0 to %d", maxText)
	}
	if text := textOf(args[1]); n*strings.Count(text, "\n")+len(text) > maxText {
		return errText
	}
	return nil
}

func longJoin(args []cty.Value) error {
	elements, bytes := 0, 0
	for _, list := range args[1:] {
		if lengthOf(list) == 0 {
			continue
		}
		for it := list.ElementIterator(); it.Next(); {
			_, v := it.Element()
			elements++
			bytes += len(textOf(v))
		}
	}
	if bytes+(elements-1)*len(textOf(args[0])) > maxText {
		return errText
	}
	return nil
}

func longSplit(args []cty.Value) error {
	if strings.Count(textOf(args[1]), textOf(args[0])) >= maxList {
		return errList
	}
	return nil
}

// longTrim refuses a trim that compares each of many characters with each of many.
func longTrim(args []cty.Value) error {
	if n := len(textOf(args[1])); n > maxDigits {
		return function.NewArgErrorf(1, "%d characters are over the limit of %d", n, maxDigits)
	}
	return nil
}

// longSearch refuses a search that may take many steps. Go's regular
// expressions take one for each character and instruction of the pattern.
func longSearch(args []cty.Value) error {
	_, err := search(textOf(args[0]), textOf(args[1]), maxSearch, func(n float64) float64 { return n })
	return err
}

// longScan refuses a search for every match that may take many steps, or finds many.
func longScan(args []cty.Value) error {
	pattern, text := textOf(args[0]), textOf(args[1])
	re, err := scan(pattern, text)
	if err != nil || re == nil {
		return err
	}
	if len(re.FindAllStringIndex(text, maxList+1))*(1+re.NumSubexp()) > maxList {
		return errList
	}
	return nil
}

// scan compiles a pattern that is to be looked for all over a text. Every match
// may look at all the text that is left.
func scan(pattern, text string) (*regexp.Regexp, error) {
	return search(pattern, text, maxScan, func(n float64) float64 { return n * n })
}

// search compiles a pattern to be looked for in text, in a number of steps that
// grows with the text as growth says. It is nil for a pattern that is wrong:
// what is wrong with it is the function's to say.
func search(pattern, text string, limit float64, growth func(float64) float64) (*regexp.Regexp, error) {
	if len(pattern) > maxDigits {
		return nil, function.NewArgErrorf(0, "a pattern of %d bytes is over the limit of %d", len(pattern), maxDigits)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, nil
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, nil
	}
	if growth(float64(len(text)))*float64(len(program.Inst)) > limit {
		return nil, function.NewArgErrorf(1, "the text of %d bytes is too long for this pattern; split it into lines first", len(text))
	}
	return regexp.MustCompile(pattern), nil
}

// longProduct refuses a product of many elements.
func longProduct(args []cty.Value) error {
	n := len(args)
	for _, v := range args {
		if l := lengthOf(v); v.IsKnown() && l == 0 {
			return nil
		}
	}
	for _, v := range args {
		if n *= max(1, lengthOf(v)); n > maxList {
			return errList
		}
	}
	return nil
}

// longJSON refuses JSON of many elements, or deep.
func longJSON(args []cty.Value) error {
	depth, elements, quoted := 0, 0, false
	text := textOf(args[0])
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
			elements++
		case c == ']' || c == '}':
			depth--
		case c == ',':
			elements++
		}
		if depth > maxDepth {
			return function.NewArgErrorf(0, "JSON deeper than %d is over the limit", maxDepth)
		}
	}
	switch {
	case elements > maxList:
		return errList
	case len(text) > maxText:
		return errText
	}
	return nil
}

// longCSV refuses CSV of many fields.
func longCSV(args []cty.Value) error {
	text := textOf(args[0])
	if strings.Count(text, ",")+strings.Count(text, "\n") > maxList {
		return errList
	}
	return nil
}

// manyValues refuses many arguments that need a common type.
func manyValues(args []cty.Value) error {
	if len(args) > maxTypes {
		return fmt.Errorf("%d arguments are over the limit of %d", len(args), maxTypes)
	}
	return nil
}

// mapsOnly refuses what merge takes for a map after a null.
func mapsOnly(args []cty.Value) error {
	for i, v := range args {
		if t := v.Type(); !v.IsNull() && v != cty.DynamicVal && !t.IsObjectType() && !t.IsMapType() {
			return function.NewArgErrorf(i, "want a map or an object, got %s", kind(v))
		}
	}
	return nil
}

// typedSets refuses sets of nulls without a type.
func typedSets(args []cty.Value) error {
	for i, v := range args {
		if lengthOf(v) > 0 && v.Type().ElementType() == cty.DynamicPseudoType {
			return function.NewArgErrorf(i, "the elements have no type")
		}
	}
	return nil
}

// nullKeys refuses keys that are null.
func nullKeys(args []cty.Value) error {
	if lengthOf(args[0]) == 0 {
		return nil
	}
	for i, v := range args[0].Elements() {
		if v.IsNull() {
			return function.NewArgErrorf(0, "key %s is null", elementName(i))
		}
	}
	return nil
}
