package configs

import (
	"reflect"
	"slices"
	"strings"
)

// reloadable are the keys, or whole sections, that may change while a node runs.
var reloadable = []string{
	"turn.users", "turn.secrets", "turn.alternates",
	"probe.rate",
	"limits.splice", "limits.peer", "limits.tenant", "limits.node",
	"limits.splices", "limits.allocations", "limits.bytes_per_day",
	"limits.memory", "limits.sessions", "limits.share",
	"limits.handshakes_per_prefix", "limits.answers_per_prefix", "limits.pending_introductions",
	"limits.introductions", "limits.introductions_per_target", "limits.strangers",
	"limits.names", "limits.watches", "limits.follows", "limits.memberships", "limits.questions", "limits.broadcasts",
	"limits.message", "limits.messages",
	"tenants",
	"presence.name_arg",
	"introduce.anonymous",
	"hooks",
	"cores.keys",
	"admin.token", "admin.hosts",
	"log",
}

// Reloadable tells whether a key may change while a node runs; any other waits
// for a restart.
func Reloadable(key string) bool {
	return slices.ContainsFunc(reloadable, func(k string) bool { return key == k || strings.HasPrefix(key, k+".") })
}

// Differences lists the keys whose values differ in other.
func (c *Config) Differences(other *Config) []string {
	a, b := reflect.ValueOf(c).Elem(), reflect.ValueOf(other).Elem()
	var list []string
	for _, key := range Keys() {
		if !reflect.DeepEqual(field(a, key).Interface(), field(b, key).Interface()) {
			list = append(list, key)
		}
	}
	return list
}

// With is c with the reloadable keys of other.
func (c *Config) With(other *Config) *Config {
	mixed := *c
	a, b := reflect.ValueOf(&mixed).Elem(), reflect.ValueOf(other).Elem()
	for _, key := range Keys() {
		if Reloadable(key) {
			field(a, key).Set(field(b, key))
		}
	}
	return &mixed
}

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
