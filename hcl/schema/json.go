package schema

import "slices"

// JSONSchema describes the JSON syntax of the language, *.ainur.json, for
// editors and other programs: JSON Schema, draft 2020-12.
func JSONSchema() map[string]any {
	s := bodySchema(Root)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "ainur experiment"
	s["$defs"] = map[string]any{
		"expression": map[string]any{"type": "string", "pattern": `\$\{`, "description": "a template with an expression: ${...}"},
	}
	return s
}

type object = map[string]any // in JSON

// bodySchema is the schema of the object that a block is.
func bodySchema(def *Block) object {
	properties := object{}
	s := object{"type": "object", "properties": properties, "patternProperties": object{"^//": object{}}}
	if def.Doc != "" {
		s["description"] = def.Doc
	}
	if !def.Free && def.Policy == "" {
		s["additionalProperties"] = false
	}
	var required []string
	for _, a := range def.Attrs {
		properties[a.Name] = attrSchema(a)
		if a.Required && a.Unless == "" {
			required = append(required, a.Name)
		}
	}
	for _, b := range def.Blocks {
		inner := blockSchema(b)
		if arg, both := properties[b.Type]; both {
			inner = object{"anyOf": []any{arg, inner}}
		}
		properties[b.Type] = inner
		if b.Required && b.Unless == "" && len(def.Blocks) > 0 {
			required = append(required, b.Type)
		}
	}
	if def.ForEach {
		properties["for_each"] = object{"description": "map, object or strings: a block for each element"}
	}
	if len(def.Blocks) > 0 && def != Root {
		properties["dynamic"] = object{"type": "object", "description": "blocks made by for_each, by their type"}
		required = slices.DeleteFunc(required, func(name string) bool { return def.Block(name) != nil }) // dynamic may make it
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// blockSchema is the schema of the property that holds the blocks of a type: by
// label where they have one, one or a list of them.
func blockSchema(def *Block) object {
	one := bodySchema(def)
	if def.Variants != nil {
		variants := object{}
		for _, v := range def.Variants {
			variants[v.Type] = oneOrMore(bodySchema(v))
		}
		return object{"type": "object", "description": def.Doc, "properties": variants, "additionalProperties": false}
	}
	if def.Label == "" {
		return oneOrMore(one)
	}
	return oneOrMore(object{
		"type": "object", "description": def.Doc, "propertyNames": object{"pattern": "^([A-Za-z_][A-Za-z0-9_-]*|//.*)$"},
		"additionalProperties": oneOrMore(one), "patternProperties": object{"^//": object{}},
	})
}

func oneOrMore(s object) object {
	return object{"anyOf": []any{s, object{"type": "array", "items": s}}}
}

// attrSchema is the schema of an argument: its own type, or an expression.
func attrSchema(a Attr) object {
	s := typeSchema(a.Type)
	if a.Type.Kind != Any && a.Type.Kind != Expr && a.Type.Kind != Dist {
		s = object{"anyOf": []any{s, object{"$ref": "#/$defs/expression"}, object{"type": "null"}}}
	}
	if a.Doc != "" {
		s["description"] = a.Doc
	}
	if a.Default != "" {
		s["$comment"] = "default: " + a.Default
	}
	return s
}

func typeSchema(t Type) object {
	text := func(pattern string) object { return object{"type": "string", "pattern": pattern} }
	switch t.Kind {
	case String:
		return object{"type": "string"}
	case Bool:
		return object{"type": "boolean"}
	case Number:
		return object{"type": "number", "minimum": 0}
	case Int:
		s := object{"type": "integer", "minimum": t.Min}
		if t.Max > 0 {
			s["maximum"] = t.Max
		}
		return s
	case Duration:
		return text(`^\s*[0-9.]+\s*(ns|us|µs|ms|s|m|h|d)`)
	case Bytes:
		return text(`^\s*[0-9.]+\s*([KMGT]i?)?B\s*$`)
	case Rate:
		return text(`^\s*[0-9.]+\s*/(s|m|h)\s*$`)
	case Bits:
		return text(`^\s*[0-9.]+\s*[kMGT]?bit/s\s*$`)
	case Enum:
		return object{"enum": t.Values}
	case Policy:
		return object{"type": "string", "examples": t.Values}
	case Strings:
		return object{"type": "array", "items": object{"type": "string"}}
	case Enums:
		if len(t.Values) == 0 {
			return object{"type": "array", "maxItems": 0}
		}
		return object{"type": "array", "items": object{"anyOf": []any{object{"enum": t.Values}, object{"$ref": "#/$defs/expression"}}}}
	case Map:
		return object{"type": "object"}
	case Ref, Secret:
		if t.Many {
			return object{"type": "array"}
		}
		return object{"$ref": "#/$defs/expression"}
	case Object:
		properties := object{}
		for _, f := range t.Fields {
			properties[f.Name] = attrSchema(f)
		}
		return object{"type": "object", "properties": properties, "additionalProperties": false}
	}
	return object{}
}
