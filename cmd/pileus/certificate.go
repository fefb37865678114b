package main

import (
	"fmt"
	"log/slog"
	"time"

	"pileus/configs"
	"pileus/relay/turn"
)

// certificates are those of the node's listeners, by the section that names them. They
// are read again when their files change, and on a reload.
type certificates map[string]*turn.Certificate

// readCertificates reads those that a configuration names.
func readCertificates(cfg *configs.Config) (certificates, error) {
	all := certificates{}
	var errs []error
	for _, s := range []struct{ key, cert, private string }{
		{"turn.tls", cfg.TURN.TLS.Cert, cfg.TURN.TLS.Key},
		{"admin.tls", cfg.Admin.TLS.Cert, cfg.Admin.TLS.Key},
	} {
		if s.cert == "" || s.private == "" {
			continue // there is none, or that was told
		}
		c, err := turn.NewCertificate(s.cert, s.private)
		if err != nil {
			o, _ := cfg.Origin(s.key + ".cert")
			errs = append(errs, &configs.Error{Origin: o, Key: s.key, Problem: err.Error()})
			continue
		}
		all[s.key] = c
	}
	return all, configs.Join(errs...)
}

// logTo has it said in a log why a newer one is not used.
func (c certificates) logTo(log *slog.Logger) {
	for key, one := range c {
		one.Report(func(err error) {
			log.Error("a certificate cannot be read again; the one before stays in use", "key", key, "error", err)
		})
	}
}

// expiring tells which are not valid any more, or soon.
func (c certificates) expiring(now time.Time) (lines []string) {
	for _, key := range []string{"turn.tls", "admin.tls"} {
		one := c[key]
		if one == nil || one.Expires().IsZero() {
			continue
		}
		switch left := one.Expires().Sub(now); {
		case left <= 0:
			lines = append(lines, fmt.Sprintf("%s: the certificate has expired at %v, by this machine's clock", key, one.Expires().UTC().Format(time.DateTime)))
		case left < expireSoon:
			lines = append(lines, fmt.Sprintf("%s: the certificate expires at %v", key, one.Expires().UTC().Format(time.DateTime)))
		}
	}
	return lines
}

// expireSoon is how long before its end a certificate is spoken of: those who renew by
// themselves do so a month before.
const expireSoon = 7 * 24 * time.Hour

// renew looks at the files now, and tells which cannot be used.
func (c certificates) renew() (troubles []string) {
	for _, key := range []string{"turn.tls", "admin.tls"} {
		if one := c[key]; one != nil {
			if err := one.Renew(); err != nil {
				troubles = append(troubles, fmt.Sprintf("%s: %v; the certificate before stays in use", key, err))
			}
		}
	}
	return troubles
}
