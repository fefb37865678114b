package configs

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"pileus/configs/plain"
)

// maxFile is the largest configuration file read, in bytes. The manual is a
// tenth of it; what is larger is some other file, named by mistake.
const maxFile = 1 << 20

// Error is one thing wrong with a configuration: where it was written, which
// key, and what to do about it.
type Error struct {
	Origin  Origin
	Key     string // path, such as "relay.ports"; empty: the file as a whole
	Problem string
}

func (e *Error) Error() string {
	s := e.Problem
	if e.Key != "" && e.Key != e.Origin.Flag {
		s = e.Key + ": " + s
	}
	if at := e.Origin.String(); at != "" {
		s = at + ": " + s
	}
	return s
}

func (o Origin) String() string {
	switch {
	case o.Flag != "":
		return "--" + o.Flag
	case o.Line > 0:
		return o.File + ":" + strconv.Itoa(o.Line)
	}
	return o.File
}

// Load reads the file and lays it over the defaults. It checks each value by
// itself; Validate checks how they go together. The error joins an *Error for
// every mistake found. If there is a Config beside it, the mistakes are in single
// values: these are left out, so that Validate can tell what else is wrong.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*maxFile+1))
	if err != nil {
		return nil, err
	}
	c, err := Parse(file, text)
	if c != nil {
		c.exposed = readableByAll(info)
	}
	return c, err
}

// Parse is Load for a text that was read already; name stands for its file.
func Parse(name string, text []byte) (*Config, error) {
	whole := Origin{File: filepath.Clean(name)}
	if len(text) > 2*maxFile { // as UTF-16
		return nil, &Error{Origin: whole, Problem: fmt.Sprintf("larger than %v: not a pileus configuration", Size(maxFile))}
	}
	text, err := plain.Text(text)
	if err != nil {
		return nil, &Error{Origin: whole, Problem: err.Error()}
	}
	// That a key is there twice is told with all the other mistakes.
	file, err := parser.Parse(mendFlow(lexer.Tokenize(string(text))), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(whole, err)
	}
	d := &decoder{file: whole.File, config: Default()}
	d.config.file = whole.File
	if n := len(file.Docs); n > 1 {
		d.errs = append(d.errs, &Error{Origin: whole, Problem: fmt.Sprintf("holds %d YAML documents, one is wanted", n)})
	}
	if len(file.Docs) > 0 && file.Docs[0].Body != nil {
		d.value(file.Docs[0].Body, "", reflect.ValueOf(d.config).Elem())
	}
	return d.config, errors.Join(d.errs...)
}

// syntaxError tells in one line what is no YAML.
func syntaxError(at Origin, err error) error {
	problem := err.Error()
	var se yaml.Error
	if errors.As(err, &se) {
		if t := se.GetToken(); t != nil && t.Position != nil {
			at.Line = t.Position.Line
		}
		problem = se.GetMessage()
	}
	problem, _, _ = strings.Cut(problem, "\n")
	if len(problem) > maxProblem {
		problem = strings.ToValidUTF8(problem[:maxProblem], "") + "…"
	}
	switch {
	case strings.Contains(problem, "tab character"), strings.Contains(problem, `'\t'`), strings.Contains(problem, "'\t'"):
		problem = "YAML is not indented with tabs; use spaces"
	case strings.Contains(problem, "']' must be specified"):
		problem += "; an address in brackets goes in quotes, as in [\"[::1]:1935\"]"
	}
	return &Error{Origin: at, Problem: problem}
}

// maxProblem is the longest text of the library's that is passed on, in bytes: it may
// quote the file.
const maxProblem = 200

// decoder lays the nodes of a YAML file over a Config. It walks the tree by
// itself because the library's own decoder neither says where a key stood nor
// stops at a value of the wrong type (it reads 1 as true and 12 as "12").
type decoder struct {
	file   string
	config *Config
	errs   []error
}

func (d *decoder) fail(n ast.Node, key, format string, args ...any) {
	d.config.SetBroken(key)
	d.tell(n, key, format, args...)
}

// tell is fail where the key has a value all the same.
func (d *decoder) tell(n ast.Node, key, format string, args ...any) {
	d.errs = append(d.errs, &Error{Origin: d.origin(n), Key: key, Problem: fmt.Sprintf(format, args...)})
}

func (d *decoder) origin(n ast.Node) Origin {
	o := Origin{File: d.file}
	if t := n.GetToken(); t != nil && t.Position != nil {
		o.Line = t.Position.Line
	}
	return o
}

// value decodes n into v, which is settable and holds the default.
func (d *decoder) value(n ast.Node, key string, v reflect.Value) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fail(n, key, "YAML anchors, aliases and tags are not used here; write the value out")
		return
	}
	if text, ok := textTarget(v); ok {
		d.text(n, key, text)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.section(n, key, v)
	case reflect.Map:
		d.mapping(n, key, v)
	case reflect.Slice:
		d.list(n, key, v)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.mistyped(n, key, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int:
		i, err := strconv.Atoi(n.GetToken().Value)
		if _, ok := n.(*ast.IntegerNode); !ok || err != nil {
			d.mistyped(n, key, "a whole number")
			return
		}
		v.SetInt(int64(i))
	case reflect.String:
		s, ok := stringValue(n)
		if !ok {
			d.mistyped(n, key, "a text; put it in quotes")
			return
		}
		v.SetString(s)
	default:
		panic("configs: a key of type " + v.Type().String())
	}
}

// textTarget gives the function that parses a scalar into v, for the types
// that are written as text with a form of its own.
func textTarget(v reflect.Value) (func(string) error, bool) {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		return func(s string) (err error) { *p, err = parseDuration(s); return err }, true
	case *netip.Addr:
		return func(s string) (err error) { *p, err = ParseIP(s); return err }, true
	case *netip.Prefix:
		return func(s string) (err error) { *p, err = ParsePrefix(s); return err }, true
	case encoding.TextUnmarshaler:
		return func(s string) error { return p.UnmarshalText([]byte(s)) }, true
	}
	return nil, false
}

func (d *decoder) text(n ast.Node, key string, parse func(string) error) {
	var s string
	switch n := n.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		s = n.GetToken().Value
	default:
		var ok bool
		if s, ok = stringValue(n); !ok {
			d.mistyped(n, key, "one value")
			return
		}
	}
	if err := parse(s); err != nil {
		d.fail(n, key, "%v", err)
	}
}

func (d *decoder) section(n ast.Node, key string, v reflect.Value) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			fields[name] = v.Field(i)
			names = append(names, name)
		}
	}
	d.pairs(n, key, func(pair *ast.MappingValueNode, name string) {
		path := join(key, name)
		field, ok := fields[name]
		if !ok {
			d.fail(pair.Key, path, "there is no such key; %s", keyHint(key, name, names))
			return
		}
		d.config.SetOrigin(path, d.origin(pair.Key))
		d.value(pair.Value, path, field)
	})
}

func (d *decoder) mapping(n ast.Node, key string, v reflect.Value) {
	m := reflect.MakeMap(v.Type())
	d.pairs(n, key, func(pair *ast.MappingValueNode, name string) {
		mk, mv := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if e, ok := mv.Addr().Interface().(*Tenant); ok {
			*e = DefaultTenant()
		}
		if parse, ok := textTarget(mk); !ok {
			mk.SetString(name)
		} else if err := parse(name); err != nil {
			d.fail(pair.Key, key, "%v", err)
			return
		}
		before := len(d.errs)
		d.value(pair.Value, join(key, name), mv)
		switch {
		case len(d.errs) > before: // left out
		case m.MapIndex(mk).IsValid():
			d.tell(pair.Key, key, "%s is there twice", name)
		default:
			m.SetMapIndex(mk, mv)
		}
	})
	v.Set(m)
	delete(d.config.broken, key) // the rest of it can be judged
}

func (d *decoder) list(n ast.Node, key string, v reflect.Value) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.mistyped(n, key, "a list; write it in brackets, even with one entry: [a, b]")
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(seq.Values))
	for _, entry := range seq.Values {
		before, one := len(d.errs), reflect.New(v.Type().Elem()).Elem()
		if d.value(entry, key, one); len(d.errs) == before {
			list = reflect.Append(list, one)
		}
	}
	if list.Len() > 0 || len(seq.Values) == 0 {
		v.Set(list)
		delete(d.config.broken, key) // the rest of it can be judged
	}
}

// pairs calls f for each key and value of n, which may also be empty: a
// section of which every line is commented out.
func (d *decoder) pairs(n ast.Node, key string, f func(pair *ast.MappingValueNode, name string)) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.NullNode, *ast.CommentGroupNode:
	default:
		d.mistyped(n, key, "a section of keys and values")
		return
	}
	seen := make(map[string]bool)
	for _, pair := range values {
		k, ok := pair.Key.(ast.Node).(ast.ScalarNode)
		if !ok || pair.Key.IsMergeKey() {
			d.fail(pair.Key, key, "%s is not a plain key", pair.Key)
			continue
		}
		name := k.GetToken().Value
		if seen[name] {
			d.tell(pair.Key, join(key, name), "is there twice")
			continue
		}
		seen[name] = true
		f(pair, name)
	}
}

func (d *decoder) mistyped(n ast.Node, key, want string) {
	switch n.(type) {
	case *ast.NullNode:
		d.fail(n, key, "has no value; it wants %s", want)
	case *ast.MappingNode, *ast.MappingValueNode:
		d.fail(n, key, "a section of keys is not %s", want)
	case *ast.SequenceNode:
		d.fail(n, key, "a list is not %s", want)
	default:
		d.fail(n, key, "%q is not %s", n.GetToken().Value, want)
	}
}

func stringValue(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	return "", false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// keyHint helps somebody who wrote name where only names exist.
func keyHint(section, name string, names []string) string {
	if near := closest(name, names); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	for _, path := range Keys() {
		if path == name || strings.HasSuffix(path, "."+name) {
			return fmt.Sprintf("did you mean %s?", path)
		}
	}
	return fmt.Sprintf("%s has %s", cmp.Or(section, "the file"), strings.Join(names, ", "))
}

// Keys lists the path of every key of the schema, sections not included, in
// the order of the file.
func Keys() []string { return keys(reflect.TypeFor[Config](), "") }

func keys(t reflect.Type, path string) []string {
	var list []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		switch {
		case name == "":
		case f.Type.Kind() == reflect.Struct && !reflect.PointerTo(f.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
			list = append(list, keys(f.Type, join(path, name))...)
		default:
			list = append(list, join(path, name))
		}
	}
	return list
}
