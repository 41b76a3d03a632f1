package scaffold

import (
	"errors"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v4"
)

// Bounds of a YAML inventory: anchors make small files large.
const (
	maxGroupDepth = 32
	maxNodes      = 200_000
)

// yamlReader reads an inventory in YAML.
type yamlReader struct {
	*ansible
	nodes int // that were looked at
}

// parseYAML reads an inventory in YAML or JSON: groups with hosts, vars and
// children.
func parseYAML(src []byte) (*ansible, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, err
	}
	r := yamlReader{ansible: newAnsible()}
	if len(doc.Content) == 0 {
		return r.ansible, nil
	}
	return r.ansible, r.each(doc.Content[0], "groups", func(name string, n *yaml.Node) error {
		return r.readGroup(name, n, 1)
	})
}

// each calls f for every pair of a mapping, those of merged mappings included.
// Nothing in place of the mapping is an empty one.
func (r *yamlReader) each(n *yaml.Node, what string, f func(key string, value *yaml.Node) error) error {
	n = follow(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s want a mapping", n.Line, what)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := follow(n.Content[i]), n.Content[i+1]
		if r.nodes++; r.nodes > maxNodes {
			return errors.New("it is too large with its anchors expanded")
		}
		var err error
		switch {
		case key.ShortTag() == "!!merge":
			err = r.merge(value, what, f)
		case key.Kind != yaml.ScalarNode:
			err = fmt.Errorf("line %d: %s have names", key.Line, what)
		default:
			err = f(key.Value, follow(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// merge calls f for what << brings: a mapping, or several.
func (r *yamlReader) merge(n *yaml.Node, what string, f func(string, *yaml.Node) error) error {
	n = follow(n)
	if n.Kind != yaml.SequenceNode {
		return r.each(n, what, f)
	}
	for _, one := range n.Content {
		if err := r.each(one, what, f); err != nil {
			return err
		}
	}
	return nil
}

// follow is what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func (r *yamlReader) readGroup(name string, n *yaml.Node, depth int) error {
	if depth > maxGroupDepth {
		return fmt.Errorf("line %d: more than %d groups in one another", n.Line, maxGroupDepth)
	}
	g := r.group(name)
	return r.each(n, "a group", func(key string, value *yaml.Node) error {
		switch key {
		case "hosts":
			return r.each(value, "hosts", func(pattern string, vars *yaml.Node) error {
				values, err := r.values(vars, "the variables of a host")
				if err != nil {
					return err
				}
				if err := r.pattern(g, pattern, values); err != nil {
					return fmt.Errorf("line %d: %w", vars.Line, err)
				}
				return nil
			})
		case "vars":
			values, err := r.values(value, "variables")
			maps.Copy(g.vars, values)
			return err
		case "children":
			return r.each(value, "children", func(child string, n *yaml.Node) error {
				r.nest(g, child)
				return r.readGroup(child, n, depth+1)
			})
		}
		return fmt.Errorf("line %d: a group has hosts, vars and children, got %q", value.Line, key)
	})
}

// values reads variables; one that is a list or a mapping is noted.
func (r *yamlReader) values(n *yaml.Node, what string) (map[string]string, error) {
	values := map[string]string{}
	return values, r.each(n, what, func(key string, value *yaml.Node) error {
		switch {
		case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		case value.Kind == yaml.ScalarNode && value.Tag == "!vault":
			r.notes.add("%s is in a vault: it is not copied.", key)
		case value.Kind == yaml.ScalarNode:
			values[key] = value.Value
		default:
			r.notes.add("%s is no single value: it is not copied.", key)
		}
		return nil
	})
}
