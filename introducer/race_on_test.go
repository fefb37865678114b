//go:build race

package introducer

const raceEnabled = true
