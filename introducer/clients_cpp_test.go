package introducer

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The C++ of the page for client developers compiles: against rtmfp-cpp where
// PILEUS_REFERENCE_INCLUDE names its folder of headers, else against testdata/cpp,
// which declares what the page uses of it.
func TestClientsPageInCPP(t *testing.T) {
	compiler, err := exec.LookPath("g++")
	if err != nil {
		t.Skip("there is no g++: the C++ of CLIENTS.md was NOT COMPILED")
	}
	headers := os.Getenv("PILEUS_REFERENCE_INCLUDE")
	if headers == "" {
		headers = "testdata/cpp"
		t.Log("PILEUS_REFERENCE_INCLUDE is not set: compiled against declarations of our own")
	} else if _, err := os.Stat(headers); err != nil {
		t.Fatal(err)
	}
	compile := func(code string) (string, error) {
		// -isystem: what rtmfp-cpp would be warned of is not the page's fault.
		cmd := exec.Command(compiler, "-std=c++17", "-fsyntax-only", "-Wall", "-Werror", "-isystem", headers, "-x", "c++", "-")
		cmd.Stdin = strings.NewReader(code)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	code := blocks(t, "cpp")
	if out, err := compile(code); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	const call = "nc->transact(found, "
	if !strings.Contains(code, call) {
		t.Fatalf("the page does not say %q", call)
	}
	if out, err := compile(strings.Replace(code, call, "nc->transact(", 1)); err == nil {
		t.Errorf("a call without its handler compiles\n%s", out)
	}
}
