package funcs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/ainur-faas/ainur/internal/stream"
)

// nameFunctions are those of hosts, seeds and images, of which lock has digests.
func nameFunctions(lock map[string]string) []entry {
	return []entry{
		{Doc: Doc{
			Name: "hostlist", Summary: "The names of a Slurm host list.",
			Params:  []Param{{"text", "names with ranges in brackets; a number keeps its zeros"}},
			Example: `hostlist("node[01-03,7]")`, Result: `["node01", "node02", "node03", "node7"]`,
		}, fn: static(cty.List(cty.String), hostNames, cty.String)},
		{Doc: Doc{
			Name: "seed", Summary: "A number that is the same at every run, one for each name.",
			Params:  []Param{{"name", "any text"}},
			Example: `seed("sample")`, Result: `4246729155369255`,
		}, fn: static(cty.Number, func(args []cty.Value) (cty.Value, error) {
			return cty.NumberUIntVal(stream.Derive(0, args[0].AsString()) >> 11), nil // 53 bits: exact in JSON
		}, cty.String)},
		{Doc: Doc{
			Name: "hash", Summary: "The SHA-256, in hex, of a value as JSON.",
			Params:  []Param{{"value", "anything"}},
			Example: `substr(hash({ a = 1 }), 0, 8)`, Result: `"015abd7f"`,
		}, fn: static(cty.String, func(args []cty.Value) (cty.Value, error) {
			b, err := ctyjson.Marshal(args[0], args[0].Type())
			sum := sha256.Sum256(b)
			return cty.StringVal(hex.EncodeToString(sum[:])), err
		}, cty.DynamicPseudoType)},
		{Doc: Doc{
			Name: "image_digest", Summary: "The digest of an image, as the lock file has it.",
			Params:  []Param{{"reference", "of an image, as the lock file names it"}},
			Example: `image_digest("example.org/hello:1")`, Result: `"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`,
		}, fn: static(cty.String, func(args []cty.Value) (cty.Value, error) {
			ref := args[0].AsString()
			if _, digest, pinned := strings.Cut(ref, "@"); pinned {
				return cty.StringVal(digest), nil
			}
			digest, ok := lock[ref]
			if !ok {
				return cty.NilVal, function.NewArgErrorf(0, "the lock file has no image %q; \"ainur init\" pins the images of an experiment, or write %s@sha256:DIGEST", ref, ref)
			}
			return cty.StringVal(digest), nil
		}, cty.String)},
	}
}

func hostNames(args []cty.Value) (cty.Value, error) {
	names, err := hostlist(args[0].AsString())
	if err != nil {
		return cty.NilVal, function.NewArgError(0, err)
	}
	var list []cty.Value
	for _, n := range names {
		list = append(list, cty.StringVal(n))
	}
	return cty.ListVal(list), nil
}

// maxBrackets bounds a host list: a name is racks, then nodes, then cards.
const maxBrackets = 8

// hostlist expands every [..] of s, left to right. A number keeps its zeros.
func hostlist(s string) ([]string, error) {
	if n := strings.Count(s, "["); n > maxBrackets {
		return nil, fmt.Errorf("%d brackets are over the limit of %d", n, maxBrackets)
	}
	names := []string{""}
	for left := s; left != ""; {
		plain, rest, opens := strings.Cut(left, "[")
		if strings.Contains(plain, "]") {
			return nil, fmt.Errorf("%q closes a bracket it did not open", s)
		}
		names, left = appendEach(names, []string{plain}), rest
		if opens {
			inside, after, closes := strings.Cut(rest, "]")
			if !closes {
				return nil, fmt.Errorf("%q does not close its bracket", s)
			}
			numbers, err := hostNumbers(inside)
			if err != nil {
				return nil, err
			}
			names, left = appendEach(names, numbers), after
		}
		if names == nil {
			return nil, fmt.Errorf("the names are over the limit of %d, or of %d MiB", maxList, maxText>>20)
		}
	}
	return names, nil
}

// appendEach appends each of tails to each of names; nil when that is too much.
func appendEach(names, tails []string) []string {
	if len(names)*len(tails) > maxList {
		return nil
	}
	var longer []string
	bytes := 0
	for _, name := range names {
		for _, tail := range tails {
			if bytes += len(name) + len(tail); bytes > maxText {
				return nil
			}
			longer = append(longer, name+tail)
		}
	}
	return longer
}

// hostNumbers expands what is inside a bracket: 01-03,7.
func hostNumbers(list string) ([]string, error) {
	var numbers []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, err1 := strconv.ParseUint(from, 10, 31)
		high, err2 := strconv.ParseUint(to, 10, 31)
		if err1 != nil || err2 != nil || high < low || len(from) > 20 {
			return nil, fmt.Errorf("%.40q is not a range of host numbers such as 01-16", part)
		}
		if high-low >= uint64(maxList-len(numbers)) {
			return nil, errList
		}
		for n := low; n <= high; n++ {
			numbers = append(numbers, fmt.Sprintf("%0*d", len(from), n))
		}
	}
	return numbers, nil
}
