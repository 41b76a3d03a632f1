package decode

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/ainur-faas/ainur/hcl/diag"
)

// ID is the address of the block that v stands for, such as worker.pool["w1"],
// or "". Every block's value has it as the attribute id.
func ID(v cty.Value) string {
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !v.Type().IsObjectType() || !v.Type().HasAttribute("id") {
		return ""
	}
	id := v.GetAttr("id")
	if id.Type() != cty.String || !id.IsKnown() || id.IsNull() {
		return ""
	}
	return id.AsString()
}

// KindOf is the kind of block an address names.
func KindOf(id string) string {
	for strings.HasPrefix(id, "module.") {
		_, id, _ = strings.Cut(strings.TrimPrefix(id, "module."), ".")
	}
	kind, rest, _ := strings.Cut(id, ".")
	if kind == "cluster" && strings.Contains(rest, ".host.") {
		return "host"
	}
	return kind
}

// refs returns the addresses in v, alone or in a list, map or object. An
// unknown element makes the result nil.
func (c *converter) refs(v cty.Value) ([]string, error) {
	t := c.def.Type
	if id := ID(v); id != "" {
		for _, kind := range t.Of {
			if KindOf(id) == kind {
				return []string{id}, nil
			}
		}
		return nil, c.wrongRef(id)
	}
	if !v.CanIterateElements() {
		return nil, c.wrongRef(v.Type().FriendlyName())
	}
	if v.LengthInt() == 0 {
		return nil, &Wrong{diag.Problem{ID: "AIN1210", Summary: fmt.Sprintf("%s names no %s: the list is empty", c.def.Name, diag.Or(t.Of))}}
	}
	var ids []string
	for _, element := range v.Elements() {
		if !element.IsKnown() {
			return nil, nil
		}
		if element.IsNull() {
			return nil, c.wrongRef("null")
		}
		inner, err := c.refs(element)
		if err != nil {
			return nil, err
		}
		ids = append(ids, inner...)
	}
	if !t.Many && len(ids) > 1 {
		return nil, &Wrong{diag.Problem{
			ID: "AIN1210", Summary: fmt.Sprintf("%s wants one %s, and this is %d", c.def.Name, diag.Or(t.Of), len(ids)),
			Label: strings.Join(ids, ", "), Notes: []diag.Note{diag.Help("name one, or make one block for each with for_each")},
		}}
	}
	return ids, nil
}

func (c *converter) wrongRef(got string) error {
	kinds := c.def.Type.Of
	example := kinds[0] + ".NAME"
	if kinds[0] == "host" {
		example = "cluster.NAME.host.NAME"
	}
	return &Wrong{diag.Problem{
		ID: "AIN1210", Summary: fmt.Sprintf("%s wants a %s, got %s", c.def.Name, diag.Or(kinds), got),
		Notes: []diag.Note{diag.Help("write %s = %s", c.def.Name, example)},
	}}
}
