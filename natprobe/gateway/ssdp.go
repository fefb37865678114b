package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/huin/goupnp/ssdp"
)

// device is one that answered a search.
type device struct {
	at          netip.Addr
	description *url.URL
}

// search asks who on the network has a service. Answers that would have a third
// host asked are left: descriptions are fetched from whoever says to have one. It
// calls enough when no more is to be looked for, and ends when ctx does.
func (n *network) search(ctx context.Context, service string, enough func()) ([]device, error) {
	answers, err := ssdp.RawSearch(ctx, &multicast{n: n, service: service, enough: enough}, service, sends)
	if err != nil {
		return nil, err
	}
	var found []device
	for _, a := range answers {
		if where, err := a.Location(); err == nil {
			found = append(found, device{hostOf(where), where})
		}
	}
	return found, nil
}

const (
	sends     = 3 // datagrams get lost
	sendEvery = 100 * time.Millisecond
)

// hostOf is the address in a URL; zero for a name, which routers do not use.
func hostOf(u *url.URL) netip.Addr {
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

// multicast is the client of package ssdp: its own takes any number of answers,
// and writes to the log of the whole program.
type multicast struct {
	n       *network
	service string
	enough  func()

	mu  sync.Mutex
	all []*http.Response
}

// DoWithContext implements ssdp.HTTPUClientCtx.
func (m *multicast) DoWithContext(request *http.Request, times int) ([]*http.Response, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", request.Method, request.URL.RequestURI())
	if err := request.Header.Write(&b); err != nil {
		return nil, err
	}
	b.WriteString("\r\n")
	errs := make([]error, len(m.n.hosts))
	var work sync.WaitGroup
	for i, host := range m.n.hosts {
		work.Go(func() { errs[i] = m.from(request.Context(), host, b.Bytes(), times) })
	}
	work.Wait()
	if len(m.all) > 0 {
		return m.all, nil // some interface or other always leads nowhere
	}
	return nil, errors.Join(errs...)
}

// from searches from one address until ctx is done.
func (m *multicast) from(ctx context.Context, host netip.Addr, request []byte, times int) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(host, 0)))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxAnswerBytes)
	for sent := 0; ctx.Err() == nil; {
		if sent < times {
			sent++
			if _, err := conn.WriteToUDPAddrPort(request, m.n.group); err != nil {
				return err
			}
			if err := conn.SetReadDeadline(time.Now().Add(sendEvery)); err != nil {
				return err
			}
		} else if err := m.untilDone(ctx, conn); err != nil {
			return err
		}
		for ctx.Err() == nil {
			read, from, err := conn.ReadFromUDPAddrPort(buf)
			if failed, ok := errors.AsType[net.Error](err); ok && failed.Timeout() {
				break // send again
			}
			if err != nil {
				return err
			}
			m.take(buf[:read], from.Addr().Unmap())
		}
	}
	return nil
}

func (m *multicast) untilDone(ctx context.Context, conn *net.UDPConn) error {
	deadline, _ := ctx.Deadline() // devices set one
	return conn.SetReadDeadline(deadline)
}

// take keeps an answer that may be used. The search is over with the default
// router's own, which no number of others keeps out.
func (m *multicast) take(b []byte, from netip.Addr) {
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("ST") != m.service {
		return
	}
	_ = answer.Body.Close() // it has none that is of use
	if where, err := answer.Location(); err != nil || hostOf(where) != from {
		return
	}
	router := from == m.n.router.Addr()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) < maxAnswers || router && len(m.all) < 2*maxAnswers {
		m.all = append(m.all, answer)
	}
	if router {
		m.enough()
	}
}

// multicasting lists this host's addresses of IPv4 on interfaces that can.
func multicasting() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil // where the system does not tell, nothing is known
	}
	var all []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagMulticast == 0 || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap().Is4() {
				all = append(all, p.Addr().Unmap())
			}
		}
	}
	return all
}
