package main

import (
	"fmt"
	"log/slog"

	"pileus/configs"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/udp"
)

// node is everything serve runs, built from a configuration before the first
// socket is opened.
type node struct {
	config   *configs.Config
	log      *slog.Logger
	identity *flash.Identity
	policy   flash.Policy
	names    udp.Names
}

// build makes a node. All that can be wrong with a configuration shows here,
// so check stops after it.
func build(cfg *configs.Config, log *slog.Logger) (*node, error) {
	n := &node{config: cfg, log: log}
	var err error
	n.identity, err = flash.NewIdentity(flash.IdentityOptions{AcceptAncillary: true, Hostname: cfg.Hostname})
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	n.policy = policy(cfg.HMAC)
	if err := n.policy.Validate(); err != nil {
		return nil, err
	}
	pairs := make(map[string]string, len(cfg.Public))
	for bind, name := range cfg.Public {
		pairs[bind.String()] = name.String()
	}
	if n.names, err = udp.NewNames(pairs); err != nil {
		return nil, fmt.Errorf("public: %w", err)
	}
	return n, nil
}

// policy is how sessions protect their packets. HMAC and sequence numbers go
// together: either alone leaves replay or forgery open.
func policy(h configs.HMAC) flash.Policy {
	if h == configs.HMACRequire {
		return flash.Policy{HMAC: flash.Require, SSEQ: flash.Require}
	}
	return flash.Policy{HMAC: flash.Offer, SSEQ: flash.Offer}
}
