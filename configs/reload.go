package configs

import (
	"reflect"
	"strings"
)

// reloadable are the keys, or whole sections, that may change while a node runs.
var reloadable = []string{
	"turn.users", "turn.secrets",
	"limits.splice", "limits.peer", "limits.tenant", "limits.node",
	"limits.splices", "limits.allocations", "limits.bytes_per_day",
	"limits.pending_introductions",
	"tenants",
	"presence.name_arg",
	"introduce.anonymous",
	"hooks",
	"cores.keys",
	"admin.token", "admin.hosts",
	"log.level",
}

// Reloadable tells whether a key may change while a node runs; any other waits
// for a restart.
func Reloadable(key string) bool { return underAny(key, reloadable) }

func underAny(key string, list []string) bool {
	for _, k := range list {
		if key == k || strings.HasPrefix(key, k+".") {
			return true
		}
	}
	return false
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
