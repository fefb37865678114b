package main

import (
	"testing"
	"time"

	"pileus/configs"
	"pileus/rtmfp/flash"
)

// A node in front of cores is what they ask for: it has their hostname, and their
// passwords travel in sessions that nobody can forge. It is found by no URI, or
// clients would stay.
func TestInFrontOfCores(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		policy flash.Requirement
	}{
		"in front": {"hostname: lb.example\ncores: {keys: {one: " + testSecret + "}}\n", flash.Require},
		"alone":    {"hostname: lb.example\n", flash.Offer},
	} {
		cfg, err := configs.Load(config(t, "relay: {ports: ''}\nadmin: {listen: ''}\n"+test.text))
		if err != nil {
			t.Fatal(err)
		}
		n, err := build(cfg, discardLogger(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if p := n.engine.Policy; p.HMAC != test.policy || p.SSEQ != test.policy {
			t.Errorf("%s: sessions are %+v", name, p)
		}
		certificate := n.engine.Identity.Certificate()
		if host, _ := certificate.Hostname(); string(host) != "lb.example" || certificate.AcceptsAncillary() == (test.policy == flash.Require) {
			t.Errorf("%s: the certificate is for %q, any URI %v", name, host, certificate.AcceptsAncillary())
		}
	}
	bad := "cores: {keys: {one: " + testSecret + "}}\n" // without a hostname
	if cfg, err := configs.Load(config(t, bad)); err == nil && cfg.Validate() == nil {
		t.Error("cores without a hostname to ask for")
	}
}
