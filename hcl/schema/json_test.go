package schema_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/ainur-faas/ainur/hcl/schema"
)

// compiled is the JSON Schema, which has to be one.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	src, err := json.Marshal(schema.JSONSchema())
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(src))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("ainur.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("ainur.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSONSchema(t *testing.T) {
	s := compiled(t)
	for src, wrong := range map[string]string{
		`{"//": "a comment", "worker": {"w": {"on": "${cluster.c.host.h}", "memory": "2GiB", "queue": {"eedf": {"weight": 2}}}}}`:     "",
		`{"load": {"l": [{"target": "${worker.w}", "phase": [{"a": {"duration": "1s", "arrival": {"poisson": {"rate": "5/s"}}}}]}]}}`: "",
		`{"cluster": {"c": {"dynamic": {"host": {"for_each": "${local.h}", "labels": ["x"], "content": {"address": "a"}}}}}}`:         "",
		`{"locals": {"anything": [1, {"a": null}]}}`:                                              "",
		`{"worker": {"w": {"on": "${x}", "memory": 64}}}`:                                         "memory",
		`{"worker": {"w": {"memory": "1GiB"}}}`:                                                   "on",
		`{"wroker": {}}`:                                                                          "wroker",
		`{"function": {"f": {"memory": "1MiB", "builtin": "helo"}}}`:                              "builtin",
		`{"load": {"l": {"target": "${worker.w}", "duration": "1s", "arrival": {"poison": {}}}}}`: "poison",
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(src))
		if err != nil {
			t.Fatal(err)
		}
		switch err := s.Validate(v); {
		case wrong == "" && err != nil:
			t.Errorf("%s: %v", src, err)
		case wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)):
			t.Errorf("%s: %v, want something about %s", src, err, wrong)
		}
	}
}
