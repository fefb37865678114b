package gateway

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
)

// pmp asks the default router (RFC 6886 section 3.2).
func (n *network) pmp(ctx context.Context) (told, error) {
	if !n.router.IsValid() {
		return told{}, errNoRouter
	}
	t := told{at: n.router.Addr()}
	if ctx.Err() != nil {
		return t, ctx.Err()
	}
	answer, err := natpmp.NewClientWithTimeout(net.IP(n.router.Addr().AsSlice()), min(pmpTime, remaining(ctx))).GetExternalAddress()
	if _, network := errors.AsType[net.Error](err); err != nil && !network {
		err = refusal(err.Error())
	}
	if err != nil {
		return t, err
	}
	t.external = netip.AddrFrom4(answer.ExternalIPAddress)
	return t, nil
}

func remaining(ctx context.Context) time.Duration {
	deadline, _ := ctx.Deadline() // ask set one
	return time.Until(deadline)
}

// refusal reads the library's errors, which have no types.
func refusal(text string) error {
	_, reason, _ := strings.Cut(text, "(")
	switch {
	case strings.HasPrefix(text, "Timed out"):
		return errSilent
	case strings.Contains(text, "result code 3"):
		return errNoAddress
	case strings.Contains(text, "result code"):
		return sayError("it refuses: " + strings.TrimSuffix(reason, ")"))
	}
	return errStrange
}
