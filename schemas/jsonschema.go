package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Bounds on a schema, so that neither compiling nor validating can explode (THREATS F16).
const (
	maxSchemaDepth = 16
	maxSchemaRefs  = 32
	draft          = "https://json-schema.org/draft/2020-12/schema"
)

var errSchema = errors.New("not a schema that we accept")

// offline refuses to load anything: a schema stands alone.
type offline struct{}

func (offline) Load(string) (any, error) {
	return nil, fmt.Errorf("%w: it refers to another document", errSchema)
}

// compileSchema accepts draft 2020-12 without remote, dynamic or nested references; patterns are RE2.
func compileSchema(data []byte) (*jsonschema.Schema, error) {
	if len(data) > maxDocument {
		return nil, fmt.Errorf("%w: too large", errSchema)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: not JSON", errSchema)
	}
	root, ok := doc.(map[string]any)
	if !ok || root["$schema"] != draft {
		return nil, fmt.Errorf("%w: not draft 2020-12", errSchema)
	}
	refs := 0
	if err := checkSchema(root, schemaPlace{refs: &refs}); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(offline{})
	c.AssertFormat()
	const location = "urn:dojang:schema"
	delete(root, "$id") // the name under which it is served; as a base it would only move references
	if err := c.AddResource(location, root); err != nil {
		return nil, fmt.Errorf("%w: add", errSchema)
	}
	compiled, err := c.Compile(location)
	if err != nil {
		return nil, fmt.Errorf("%w: compile", errSchema)
	}
	return compiled, nil
}

// schemaPlace is where checkSchema stands.
type schemaPlace struct {
	depth  int
	inDefs bool
	refs   *int
}

// checkSchema walks the document: references are local, few, point into $defs, and a definition refers to nothing,
// so there is neither recursion nor a chain that doubles at every step.
func checkSchema(v any, at schemaPlace) error {
	if at.depth++; at.depth > maxSchemaDepth {
		return fmt.Errorf("%w: too deep", errSchema)
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch key {
			case "$ref":
				ref, isText := value.(string)
				*at.refs++
				if !isText || at.inDefs || *at.refs > maxSchemaRefs || !strings.HasPrefix(ref, "#/$defs/") {
					return fmt.Errorf("%w: reference", errSchema)
				}
			case "$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "$vocabulary":
				return fmt.Errorf("%w: dynamic reference", errSchema)
			case "$id", "$schema":
				if at.depth > 1 {
					return fmt.Errorf("%w: nested document", errSchema)
				}
			}
			next := at
			next.inDefs = at.inDefs || key == "$defs" || key == "definitions"
			if err := checkSchema(value, next); err != nil {
				return err
			}
		}
	case []any:
		for _, value := range v {
			if err := checkSchema(value, at); err != nil {
				return err
			}
		}
	}
	return nil
}
