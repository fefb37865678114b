package main

import (
	"runtime/debug"
	"testing"

	"pileus/configs"
)

// What GOMEMLIMIT leaves is shared out, if the machine has no less.
func TestAvailableMemory(t *testing.T) {
	was := debug.SetMemoryLimit(64 << 20)
	defer debug.SetMemoryLimit(was)
	if n := availableMemory(); n != 64<<20 {
		t.Errorf("%d bytes are available", n)
	}
	c := configs.Default()
	if l := sharedLimits(c); l.Memory < 16<<20-100 || l.Memory > 16<<20 || l.Share != 10 || l.WideShare != 50 || l.Sessions != 0 {
		t.Errorf("%+v", l)
	}
	c.Limits.Memory = configs.Memory{Bytes: 5 << 30}
	if l := sharedLimits(c); l.Memory != 5<<30 {
		t.Errorf("%+v", l)
	}
	c.Limits.Memory = configs.Memory{}
	if l := sharedLimits(c); l.Memory != 0 {
		t.Errorf("%+v", l)
	}
	debug.SetMemoryLimit(was)
	if n := availableMemory(); n < 64<<20 {
		t.Errorf("this machine has %d bytes", n)
	}
}
