package scaffold

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/funcs"
)

// Hosts is an inventory of the hosts that a list names: "ctl,node[01-04]".
func Hosts(list string) (*Inventory, error) {
	inv := &Inventory{}
	all, err := expand(list)
	if err != nil {
		return nil, fmt.Errorf("hosts %q: %w", list, err)
	}
	for _, name := range all {
		if slices.ContainsFunc(inv.Hosts, func(h Host) bool { return h.Name == name }) {
			return nil, fmt.Errorf("hosts %q names %s twice", list, name)
		}
		inv.Hosts = append(inv.Hosts, Host{Name: name, Address: name})
	}
	return inv, nil
}

// expand lists the names of host lists with commas between them.
func expand(list string) (all []string, err error) {
	if err := checkText([]byte(list)); err != nil {
		return nil, err
	}
	depth := 0
	for part := range strings.FieldsFuncSeq(list, func(r rune) bool {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		return r == ',' && depth == 0
	}) {
		v, err := funcs.All("")["hostlist"].Call([]cty.Value{cty.StringVal(strings.TrimSpace(part))})
		if err != nil {
			return nil, err
		}
		for _, name := range v.AsValueSlice() {
			if name.AsString() == "" {
				return nil, errors.New("a host has a name: write it as ctl,node[01-04]")
			}
			all = append(all, name.AsString())
		}
		if len(all) > maxHosts {
			return nil, fmt.Errorf("more than %d hosts", maxHosts)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("name at least one, such as node[01-04]")
	}
	return all, nil
}

// hostList is hostlist("node[01-04]") where one list stands for all names, and
// the list of names elsewhere.
func hostList(all []string) hclwrite.Tokens {
	if s := compress(all); s != "" {
		return hclwrite.TokensForFunctionCall("hostlist", hclwrite.TokensForValue(cty.StringVal(s)))
	}
	return hclwrite.TokensForValue(texts(all))
}

// compress is the host list that expands to all, "" if there is none with one
// pair of brackets.
func compress(all []string) string {
	for _, at := range digits.FindAllStringIndex(all[0], -1) {
		prefix, suffix := all[0][:at[0]], all[0][at[1]:]
		ranges, ok := numberRanges(all, prefix, suffix)
		list := prefix + "[" + ranges + "]" + suffix
		if !ok {
			continue
		}
		if back, err := expand(list); err == nil && slices.Equal(back, all) {
			return list
		}
	}
	return ""
}

// digits are numbers in a name.
var digits = regexp.MustCompile(`[0-9]+`)

// numberRanges is the numbers of all between prefix and suffix: 01-03,7.
func numberRanges(all []string, prefix, suffix string) (string, bool) {
	var ranges []string
	var from, to string
	flush := func() {
		switch {
		case from == "":
		case from == to:
			ranges = append(ranges, from)
		default:
			ranges = append(ranges, from+"-"+to)
		}
	}
	last := -2
	for _, name := range all {
		middle, begins := strings.CutPrefix(name, prefix)
		middle, ends := strings.CutSuffix(middle, suffix)
		n, err := strconv.Atoi(middle)
		if !begins || !ends || err != nil || n < 0 {
			return "", false
		}
		if n == last+1 {
			to, last = middle, n
			continue
		}
		flush()
		from, to, last = middle, middle, n
	}
	flush()
	return strings.Join(ranges, ","), true
}
