package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the dashboard and the alerts ask for exists: a metric that was renamed
// would leave them empty and silent.
func TestDashboardsNameMetricsThatExist(t *testing.T) {
	names := map[string]bool{}
	for _, f := range slices.Concat(collectedFamilies, relayFamilies, tenantFamilies) {
		names[f.Name()] = true
	}
	if missing := unknownMetrics("rate(pileus_nothing_total[5m])", names); len(missing) != 1 {
		t.Fatalf("the test finds nothing: %q", missing)
	}
	for _, file := range []string{"../../configs/grafana/pileus.json", "../../configs/prometheus/pileus.rules.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is not JSON", file)
		}
		for _, name := range unknownMetrics(string(text), names) {
			t.Errorf("%s: there is no metric %s", file, name)
		}
	}
}

func unknownMetrics(text string, names map[string]bool) (unknown []string) {
	for _, name := range regexp.MustCompile(`\bpileus_[a-z_]+`).FindAllString(text, -1) {
		if !names[name] {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// The tools of those who will run these files have the last word on them.
func TestUnitAndRules(t *testing.T) {
	for _, check := range [][]string{
		{"promtool", "check", "rules", "../../configs/prometheus/pileus.rules.yaml"},
		{"systemd-analyze", "verify", "--man=no", "../../configs/systemd/pileus.service"},
	} {
		t.Run(check[0], func(t *testing.T) {
			if _, err := exec.LookPath(check[0]); err != nil {
				t.Skipf("%s is not installed: NOT CHECKED", check[0])
			}
			out, err := exec.Command(check[0], check[1:]...).CombinedOutput()
			// The unit names programs that a package installs.
			text := regexp.MustCompile(`(?m)^.*Command /usr/bin/pileus is not executable.*\n`).ReplaceAllString(string(out), "")
			if err != nil && (check[0] == "promtool" || strings.TrimSpace(text) != "") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
