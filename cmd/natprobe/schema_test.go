package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"pileus/cmd/natprobe/pair"
	"pileus/natprobe/relayed"
)

// Every field of Go is in its schema: a new one is not forgotten because no test
// sets it.
func TestSchemasAreComplete(t *testing.T) {
	for file, of := range map[string]reflect.Type{
		pairSchema: reflect.TypeFor[pair.Report](), relaySchema: reflect.TypeFor[relayed.Result](),
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fields := 0
		var walk func(reflect.Type)
		walk = func(typ reflect.Type) {
			if typ.Kind() != reflect.Struct || !strings.Contains(typ.PkgPath(), "natprobe") {
				return
			}
			for i := range typ.NumField() {
				f := typ.Field(i)
				fields++
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); !strings.Contains(string(b), `"`+name+`": {`) {
					t.Errorf("%v: %q is not in %s", typ, name, file)
				}
				walk(f.Type)
			}
		}
		walk(of)
		if fields < 10 {
			t.Errorf("only %d fields of %v were found", fields, of)
		}
	}
}
