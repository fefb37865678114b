package api

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// document is what of openapi.json the tests read.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Description string
		Responses   map[string]struct {
			Content map[string]struct{ Schema schema }
		}
		RequestBody struct {
			Content map[string]struct{ Schema schema }
		} `json:"requestBody"`
	}
	Components struct{ Schemas map[string]schema }
}

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]schema
	Required   []string
	Items      *schema
	Enum       []string
	AnyOf      []schema `json:"anyOf"`
	Pattern    string
	Format     string
	MinItems   *int `json:"minItems"`
	MaxItems   *int `json:"maxItems"`
	Minimum    *float64
	Maximum    *float64
	Default    any

	Description          string
	AdditionalProperties *bool `json:"additionalProperties"`
}

func readDocument(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(description, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// check says where v is not what s says.
func (d document) check(s schema, v any, at string) []string {
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		target, ok := d.Components.Schemas[name]
		if !ok {
			return []string{at + ": no schema " + name}
		}
		return d.check(target, v, at)
	}
	if len(s.AnyOf) > 0 {
		var all []string
		for _, option := range s.AnyOf {
			wrong := d.check(option, v, at)
			if len(wrong) == 0 {
				return nil
			}
			all = append(all, wrong...)
		}
		return all
	}
	if s.Type != nil && !hasType(s.Type, v) {
		return []string{fmt.Sprintf("%s: %v is not %v", at, v, s.Type)}
	}
	var wrong []string
	switch v := v.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				wrong = append(wrong, at+"."+name+": missing")
			}
		}
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok {
				if s.AdditionalProperties != nil && !*s.AdditionalProperties {
					wrong = append(wrong, at+"."+name+": not in the document")
				}
				continue
			}
			wrong = append(wrong, d.check(p, value, at+"."+name)...)
		}
	case []any:
		if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
			wrong = append(wrong, fmt.Sprintf("%s: %d items", at, len(v)))
		}
		for i, value := range v {
			if s.Items != nil {
				wrong = append(wrong, d.check(*s.Items, value, fmt.Sprintf("%s[%d]", at, i))...)
			}
		}
	case string:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			wrong = append(wrong, fmt.Sprintf("%s: %q is not one of %q", at, v, s.Enum))
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			wrong = append(wrong, fmt.Sprintf("%s: %q does not match %s", at, v, s.Pattern))
		}
		if _, err := time.Parse(time.RFC3339, v); s.Format == "date-time" && err != nil {
			wrong = append(wrong, at+": "+err.Error())
		}
	}
	return wrong
}

func hasType(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return hasType(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	}
	return false
}

// The validator must be able to fail.
func TestSchemaCheck(t *testing.T) {
	d := readDocument(t)
	good := `{"strategy":"punch","sure":true,"relay":"none","reason":""}`
	for text, want := range map[string]int{
		good: 0,
		strings.Replace(good, "punch", "luck", 1):    1,
		strings.Replace(good, "true", `"yes"`, 1):    1,
		strings.Replace(good, `"sure":true,`, "", 1): 1,
		strings.Replace(good, "{", `{"more":1,`, 1):  1,
		`{}`: 4,
		`[]`: 1,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if wrong := d.check(schema{Ref: "#/components/schemas/Plan"}, v, "plan"); len(wrong) != want {
			t.Errorf("%s: %q, want %d", text, wrong, want)
		}
	}
}

// The document and the handlers know the same paths.
func TestDocumentIsComplete(t *testing.T) {
	d := readDocument(t)
	documented := map[string]bool{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			documented[strings.ToUpper(method)+" "+path] = true
			if op.OperationID == "" || len(op.Responses) == 0 {
				t.Errorf("%s %s says too little", method, path)
			}
		}
	}
	served := map[string]bool{"GET /events": true, "GET /names/events": true, "GET /openapi.json": true}
	for _, r := range routes {
		served[r.method+" "+r.path] = true
		op := d.Paths[r.path][strings.ToLower(r.method)]
		if strings.Contains(op.Description, "operator's token alone") != r.operator {
			t.Errorf("%s %s: the operator's alone %v, documented otherwise", r.method, r.path, r.operator)
		}
	}
	for name := range documented {
		if !served[name] {
			t.Errorf("%s is documented and not there", name)
		}
	}
	for name := range served {
		if !documented[name] {
			t.Errorf("%s is there and not documented", name)
		}
	}
}
