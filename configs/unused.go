package configs

import (
	"reflect"
	"strings"
)

// notYet are the keys, or whole sections, whose feature this version lacks.
// They parse and are checked, so that a file written for a later version is
// right today; Unused tells the operator that they do nothing.
var notYet = []string{}

// Unused gives a line for each key that was changed from its default and that
// this version does not use.
func (c *Config) Unused() []string {
	mine, defaults := reflect.ValueOf(c).Elem(), reflect.ValueOf(Default()).Elem()
	var lines []string
	for _, key := range Keys() {
		if !isNotYet(key) || reflect.DeepEqual(field(mine, key).Interface(), field(defaults, key).Interface()) {
			continue
		}
		o, _ := c.Origin(key)
		lines = append(lines, (&Error{Origin: o, Key: key, Problem: "this version does not use it yet"}).Error())
	}
	return lines
}

func isNotYet(key string) bool { return underAny(key, notYet) }

// field follows a key's path to its value.
func field(v reflect.Value, key string) reflect.Value {
	name, rest, deeper := strings.Cut(key, ".")
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == name {
			if deeper {
				return field(v.Field(i), rest)
			}
			return v.Field(i)
		}
	}
	panic("configs: no key " + key)
}
