package main

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"

	"pileus/configs"
)

// certificate is that of the admin listener, read again on each reload: they
// expire while a node runs.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// load reads the files, if there is to be TLS.
func (c *certificate) load(files configs.AdminTLS) error {
	if files.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return fmt.Errorf("admin.tls: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current.Load(), nil
		},
	}
}
