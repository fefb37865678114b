package turn

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificateCheck is how long a certificate is used before its files are looked at again.
const certificateCheck = 10 * time.Second

// A Certificate is read anew when its files change, so that who renews it need not tell the server. What
// counts is what they hold: renewed ones may be as old as those before, where a link was moved.
type Certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	content [2][sha256.Size]byte // of the files that current is of
	checked time.Time
	report  func(error)
	trouble string // that was reported last; "": none
}

// NewCertificate reads a chain and its private key, both PEM.
func NewCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, report: func(error) {}}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Report has f told why newer files are not used, once for each reason. It must not call c.
func (c *Certificate) Report(f func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report = f
}

// Config is for a TLS listener. RFC 8656 section 3.1 wants TLS 1.2 at least, by way of RFC 8489.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(time.Now()), nil },
	}
}

// Renew looks at the files now. If they cannot be used the certificate stays what it was.
func (c *Certificate) Renew() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Now()
	return c.look()
}

// get returns the newest certificate that could be read. Files that are being replaced may not go
// together for a moment; the old one serves until they do.
func (c *Certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		_ = c.look() // it was reported
	}
	return c.current
}

// look is load that reports.
func (c *Certificate) look() error {
	err := c.load()
	switch {
	case err == nil:
		c.trouble = ""
	case err.Error() != c.trouble:
		c.trouble = err.Error()
		c.report(err)
	}
	return err
}

func (c *Certificate) load() error {
	var text [2][]byte
	var content [2][sha256.Size]byte
	for i, name := range []string{c.certFile, c.keyFile} {
		var err error
		if text[i], err = os.ReadFile(name); err != nil {
			return err
		}
		content[i] = sha256.Sum256(text[i])
	}
	if c.current != nil && content == c.content {
		return nil
	}
	pair, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return fmt.Errorf("%s, %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.content = &pair, content
	return nil
}

// Expires is until when the certificate in use is valid; zero if it does not say.
func (c *Certificate) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current.Leaf == nil {
		return time.Time{}
	}
	return c.current.Leaf.NotAfter
}
