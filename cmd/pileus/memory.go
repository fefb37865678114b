package main

import (
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// unknownMemory is what a machine is taken to have that does not say.
const unknownMemory = 1 << 30

// availableMemory is what this process may take, in bytes: the least of what the machine
// has, what its cgroups grant, and GOMEMLIMIT.
func availableMemory() int64 {
	least := uint64(math.MaxInt64)
	for _, source := range []memlimit.Provider{memlimit.FromSystem, memlimit.FromCgroup} {
		if n, err := source(); err == nil && n > 0 { // where there are no cgroups, none limits
			least = min(least, n)
		}
	}
	if least == math.MaxInt64 {
		least = unknownMemory
	}
	return min(int64(least), debug.SetMemoryLimit(-1))
}

// keepHeapInCgroup has the garbage collector work harder before a cgroup's limit would end
// the process, unless GOMEMLIMIT says what else to do.
func keepHeapInCgroup() {
	_, _ = memlimit.Set() // without cgroups there is nothing to keep to
}
