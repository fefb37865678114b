package main_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "pileus/"
)

// rooms says which packages of this module each package may import; "x/..." is x and all below it. A
// package that no line names must not exist.
var rooms = []struct {
	of  string
	may []string
}{
	{"rtmfp/wire", nil},
	{"rtmfp/amf", nil},
	{"rtmfp/udp", nil},
	{"rtmfp/flash", []string{"rtmfp/wire"}},
	{"rtmfp/flow", []string{"rtmfp/wire"}},
	{"rtmfp/share", []string{"rtmfp/flow", "rtmfp/udp"}},
	{"rtmfp", []string{"rtmfp/wire", "rtmfp/flash", "rtmfp/flow", "rtmfp/udp", "rtmfp/share"}},
	{"rtmfp/netconn", []string{"rtmfp", "rtmfp/wire", "rtmfp/flash", "rtmfp/flow", "rtmfp/amf"}},
	{"rtmfp/internal/...", []string{"rtmfp/..."}},
	{"configs", []string{"configs/plain"}},
	{"configs/plain", nil},
	{"natprobe", nil},
	{"natprobe/...", []string{"natprobe/...", "rtmfp/..."}},
	{"relay/...", []string{"relay/...", "rtmfp/wire", "rtmfp/flash", "rtmfp/udp"}},
	{"introducer/...", []string{"introducer/...", "natprobe", "rtmfp/..."}},
	{"cmd/...", []string{"..."}},
}

// testsToo is what the tests of a top-level room may import beside: the introducer is tested with the
// relay that cmd gives it, and behind the NATs of the lab.
var testsToo = map[string][]string{"introducer": {"relay/...", "natprobe/..."}}

// layout is everything that may stand at the top level beside dot-files.
var layout = []string{
	"cmd", "configs", "introducer", "natprobe", "relay", "rtmfp",
	"go.mod", "go.sum",
	"ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md",
}

func matches(pattern, pkg string) bool {
	below, tree := strings.CutSuffix(pattern, "...")
	if !tree {
		return pkg == pattern
	}
	return strings.HasPrefix(pkg+"/", below)
}

// mayImport reports whether a file of package from may import package to, and whether from is known.
// A test may also import the rest of its top-level room.
func mayImport(from, to string, test bool) (ok, known bool) {
	for _, room := range rooms {
		if !matches(room.of, from) {
			continue
		}
		top, _, _ := strings.Cut(from, "/")
		ok = slices.ContainsFunc(room.may, func(p string) bool { return matches(p, to) })
		if test && !ok {
			ok = matches(top+"/...", to) || slices.ContainsFunc(testsToo[top], func(p string) bool { return matches(p, to) })
		}
		return ok, true
	}
	return false, false
}

// The files are parsed here: a test that asks the go command instead is answered from the test cache
// when an import changes.
func TestImportsRunOneWay(t *testing.T) {
	files, imports := 0, 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != root && (d.Name()[0] == '.' || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(file) != ".go" {
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		from := path.Dir(relative)
		files++
		if _, known := mayImport(from, "", false); !known {
			t.Errorf("%s: package %s is none of DESIGN's rooms", relative, from)
		}
		ours, err := importsOfOurs(file)
		if err != nil {
			return err
		}
		for _, to := range ours {
			imports++
			if ok, _ := mayImport(from, to, strings.HasSuffix(file, "_test.go")); !ok {
				t.Errorf("%s: %s may not import %s", relative, from, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 50 || imports < 5 {
		t.Errorf("only %d files with %d imports of this module were found", files, imports)
	}
}

// importsOfOurs lists the packages of this module that file imports, whatever its build constraints.
func importsOfOurs(file string) ([]string, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var ours []string
	for _, spec := range parsed.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if pkg, ok := strings.CutPrefix(name, module); ok {
			ours = append(ours, pkg)
		}
	}
	return ours, nil
}

func TestMayImport(t *testing.T) {
	for _, test := range []struct {
		from, to  string
		test, may bool
	}{
		{"rtmfp", "rtmfp/wire", false, true},
		{"rtmfp/netconn", "rtmfp", false, true},
		{"introducer/strategy", "natprobe", false, true},
		{"relay/splice", "rtmfp/udp", false, true},
		{"cmd/pileus/admin", "introducer", false, true},
		{"rtmfp/flow", "rtmfp/internal/vectors", true, true},
		{"introducer", "relay/splice", true, true},
		{"introducer", "natprobe/lab", true, true},
		{"natprobe/report", "natprobe", false, true},

		{"rtmfp/flow", "rtmfp/internal/vectors", false, false},
		{"rtmfp/wire", "rtmfp/flash", false, false},
		{"rtmfp/flow", "rtmfp/flash", false, false},
		{"rtmfp/udp", "rtmfp/wire", false, false},
		{"rtmfp", "introducer", false, false},
		{"rtmfp", "introducer", true, false},
		{"rtmfp", "rtmfp/netconn", false, false},
		{"configs", "rtmfp", false, false},
		{"relay/splice", "rtmfp", false, false},
		{"relay/turn", "rtmfp/flow", false, false},
		{"introducer", "relay/splice", false, false},
		{"natprobe", "introducer", false, false},
		{"natprobe", "natprobe/report", false, false},
		{"introducer", "natprobe/report", false, false},
		{"introducer", "cmd/pileus/admin", false, false},
	} {
		may, known := mayImport(test.from, test.to, test.test)
		if may != test.may || !known {
			t.Errorf("%s imports %s: may %t, want %t (known %t)", test.from, test.to, may, test.may, known)
		}
	}
	if _, known := mayImport("rtmfp/utils", "", false); known {
		t.Error("a room that DESIGN does not have is known")
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := slices.Clone(layout)
	for line := range strings.Lines(string(ignored)) {
		if name, top := strings.CutPrefix(strings.TrimSpace(line), "/"); top {
			allowed = append(allowed, name)
		}
	}
	for _, e := range entries {
		if e.Name()[0] != '.' && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}
