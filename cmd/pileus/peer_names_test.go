package main

import (
	"path/filepath"
	"testing"
	"time"
)

// Who is called by name is waited for, found and played.
func TestPeersByName(t *testing.T) {
	_, uri := silentNode(t)
	early := startPeer(t, "--server", uri, "--play", "alice/text", "--output", filepath.Join(t.TempDir(), "early.flv"))
	early.find(`waiting +for "alice" to come`)
	alice := startPeer(t, "--server", uri, "--name", "alice", "--send", "hello")
	id := alice.find(peerID)
	alice.find(`known as +"alice"\n`)
	alice.find(`--play alice/text`)
	early.find(`found +peer "alice" \(` + id[:16])
	early.find(`onText +hello`)
	early.wait(exitOK)
	alice.wait(exitOK)
}

func TestTakenName(t *testing.T) {
	_, uri := silentNode(t)
	alice := startPeer(t, "--server", uri, "--name", "alice")
	alice.find("known as")
	second := startPeer(t, "--server", uri, "--name", "alice")
	second.wait(exitFailure)
	second.find(`refuses the name "alice": Pileus\.Presence\.Taken: .*another peer`)
	long := startPeer(t, "--server", uri, "--name", "al\x1bice")
	long.wait(exitFailure)
	long.find(`Pileus\.Presence\.BadName: .*control characters`)
}

// A name in --accept lets in who has it at the time.
func TestAcceptByName(t *testing.T) {
	_, uri := silentNode(t)
	publisher := startPeer(t, "--server", uri, "--name", "alice", "--publish", "cam", "--pattern", "--accept", "bob")
	publisher.find("known as")
	stranger := startPeer(t, "--server", uri, "--name", "bobby", "--play", "alice/cam")
	stranger.wait(exitFailure)
	stranger.find("refuses the stream")
	bob := startPeer(t, "--server", uri, "--name", "bob", "--play", "alice/cam", "--duration", "1s")
	bob.find("playing")
	bob.wait(exitOK)
}

// Ctrl-C while waiting for somebody is no success.
func TestNobodyCame(t *testing.T) {
	_, uri := silentNode(t)
	p := startPeer(t, "--server", uri, "--play", "nobody/cam", "--duration", "300ms")
	began := time.Now()
	p.wait(exitFailure)
	p.find(`300 ms are over before "cam" of peer "nobody" played`)
	if d := time.Since(began); d > patience/2 {
		t.Errorf("took %v", d)
	}
}
