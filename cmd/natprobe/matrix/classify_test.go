package matrix

import (
	"bytes"
	"strings"
	"testing"

	"pileus/natprobe"
	"pileus/natprobe/lab"
)

func TestRightClass(t *testing.T) {
	for name, want := range map[string]natprobe.Class{
		"N0": natprobe.Public, "N1": natprobe.Firewall, "N2": natprobe.FullCone, "N3": natprobe.AddressRestricted,
		"N4": natprobe.PortRestricted, "N4i": natprobe.PortRestricted, "N5": natprobe.SymmetricRandom,
		"N6": natprobe.SymmetricStepping, "N7": natprobe.SymmetricOpenFilter, "N8": natprobe.PortRestricted,
		"N11": natprobe.Blocked, "N11s": natprobe.Blocked, "N12": natprobe.SymmetricRandom,
	} {
		k, ok := lab.KindNamed(name)
		if got := rightClass(k, false); !ok || got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if got := rightClass(k, true); got != natprobe.Silent {
			t.Errorf("%s, deaf: %v", name, got)
		}
	}
}

func TestClassReport(t *testing.T) {
	r := ClassReport{Sites: []Classes{{
		Site: "N4", Right: natprobe.PortRestricted, Tries: 5,
		Counts:  map[string]int{"port-restricted": 2, "unknown": 1, "": 1, "full-cone": 1},
		Details: map[string]int{"EIM, APDF, preserved": 2},
	}}}
	if r.Wrong() != 1 {
		t.Errorf("%d wrong", r.Wrong())
	}
	var b bytes.Buffer
	r.WriteTable(&b)
	for _, want := range []string{"WRONG: 1 x full-cone\n", "2 x EIM, APDF, preserved\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
