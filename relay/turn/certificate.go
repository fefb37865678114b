package turn

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificateCheck is how long a certificate is used before its files are looked at again.
const certificateCheck = 10 * time.Second

// A Certificate is read anew when its files change, so that who renews it need not tell the server.
type Certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	written [2]time.Time
	checked time.Time
}

// NewCertificate reads a chain and its private key, both PEM.
func NewCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Config is for a TLS listener. RFC 8656 section 3.1 wants TLS 1.2 at least, by way of RFC 8489.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// get returns the newest certificate that could be read. Files that are being replaced may not go
// together for a moment; the old one serves until they do.
func (c *Certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		_ = c.load()
	}
	return c.current
}

func (c *Certificate) load() error {
	var written [2]time.Time
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("turn: %w", err)
		}
		written[i] = info.ModTime()
	}
	if c.current != nil && written == c.written {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("turn: %s, %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.written = &pair, written
	return nil
}
