package prober_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain has all sites of a network measured at once: that waits for packets, not for
// processors, whose number is the usual limit.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "64"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
