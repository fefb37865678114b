package pairing

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journalText is a log in memory.
type journalText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journalText) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journalText) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

const none = NumFailures // a verdict came

// outcome asks once, and compares the verdict, the count and the log with what they are
// to be: with both ways of hooks.when_down, for neither may decide where the core did.
func outcome(t *testing.T, ask func(t *testing.T, cfg Config) *Hooks, timeout time.Duration, want Verdict, why Failure, says string) {
	t.Helper()
	for _, allow := range []bool{false, true} {
		log := new(journalText)
		h := ask(t, Config{Timeout: timeout, AllowWhenDown: allow, Log: slog.New(slog.NewTextHandler(log, nil))})
		got, s := put(h, "?"), h.Stats()
		if why == none {
			if got != want || s.NoAnswer != 0 || strings.Contains(log.String(), "no verdict") {
				t.Errorf("%+v, want %+v; %+v\n%s", got, want, s.AskFailures, log)
			}
			if says != "" && !strings.Contains(log.String(), says) {
				t.Errorf("the log does not say %q:\n%s", says, log)
			}
			continue
		}
		if !got.Down || got.Allow != allow || s.NoAnswer != 1 || s.AskFailures[why] != 1 {
			t.Errorf("%+v, %+v, want %v", got, s.AskFailures, why)
		}
		if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "reason="+why.String()) || !strings.Contains(line, says) ||
			!strings.Contains(line, fmt.Sprintf("allowed=%v", allow)) {
			t.Errorf("the log is to say %v and %q:\n%s", why, says, line)
		}
	}
}

// ok is an answer of 200 with headers and a body.
func ok(body string, headers ...string) string { return respond("200 OK", body, headers...) }

func respond(status, body string, headers ...string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, strings.Join(append(headers, ""), "\r\n"), len(body), body)
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func TestOddAnswers(t *testing.T) {
	const page = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1>"
	allowed, denied := Verdict{Allow: true}, Verdict{}
	for _, test := range []struct {
		name, answer string
		want         Verdict
		why          Failure
		says         string
	}{
		{"another type", ok(`{"allow":true}`, "Content-Type: text/html; charset=ISO-8859-1"), allowed, none, ""},
		{"byte order mark", ok("\xef\xbb\xbf" + `{"allow":true}`), allowed, none, ""},
		{"true as text", ok(`{"allow":"true"}`), allowed, none, ""},
		{"False as text", ok(`{"allow":"False"}`), denied, none, ""},
		{"one", ok(`{"allow":1}`), allowed, none, ""},
		{"zero", ok(`{"allow":0}`), denied, none, ""},
		{"other case, other members", ok(`{"ok":[{"allow":false}],"Allow":true,"Reason":null}`), allowed, none, ""},
		{"a reason that is no text", ok(`{"allow":false,"reason":{"code":7}}`), denied, none, ""},
		{"a reason that is cut within a character", ok(`{"allow":false,"reason":"` + strings.Repeat("ä", 150) + `"}`), Verdict{Reason: strings.Repeat("ä", 100)}, none, ""},
		{"a reason that is cut before its end", ok(`{"allow":false,"reason":"x` + strings.Repeat("ä", 150) + `"}`), Verdict{Reason: "x" + strings.Repeat("ä", 99)}, none, ""},
		{"201", respond("201 Created", `{"allow":true}`), allowed, none, ""},
		{"a no by 403", respond("403 Forbidden", `{"allow":false,"reason":"banned"}`), Verdict{Reason: "banned"}, none, ""},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"allow\r\n7;x=y\r\n\":true}\r\n0\r\nTrailer: x\r\n\r\n", allowed, none, ""},
		{"gzip", ok(packed(`{"allow":true}`), "Content-Encoding: gzip"), allowed, none, ""},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n{\"allow\":true}\n", allowed, none, ""},
		{"early hints", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(`{"allow":true}`), allowed, none, ""},

		{"204", "HTTP/1.1 204 No Content\r\n\r\n", denied, NoVerdict, "status 204 and an empty body"},
		{"200, empty", ok(""), denied, NoVerdict, "an empty body"},
		{"no JSON", ok("OK"), denied, NoVerdict, `OK`},
		{"true alone", ok(`true`), denied, NoVerdict, "one JSON object"},
		{"a list", ok(`[{"allow":true}]`), denied, NoVerdict, "one JSON object"},
		{"no allow", ok(`{"allowed":true}`), denied, NoVerdict, "neither true nor false"},
		{"null", ok(`{"allow":null}`), denied, NoVerdict, "neither true nor false"},
		{"two", ok(`{"allow":2}`), denied, NoVerdict, "neither true nor false"},
		{"yes as text", ok(`{"allow":"yes"}`), denied, NoVerdict, "neither true nor false"},
		{"both", ok(`{"allow":false,"allow":true}`), denied, NoVerdict, "twice"},
		{"two objects", ok(`{"allow":true}{"allow":false}`), denied, NoVerdict, "one JSON object"},
		{"UTF-16", ok("\xff\xfe{\x00}\x00"), denied, NoVerdict, "one JSON object"},
		{"packed unasked", ok("\x0b\x02\x80", "Content-Encoding: br"), denied, NoVerdict, "packed by br"},
		{"a page", ok(page, "Content-Type: text/html"), denied, NoVerdict, "DOCTYPE html"},
		{"huge", ok(`{"allow":true}` + strings.Repeat(" ", maxAnswer)), denied, TooLong, "65536"},
		{"huge when unpacked", ok(packed(strings.Repeat(" ", 1<<22)+`{"allow":true}`), "Content-Encoding: gzip"), denied, TooLong, "65536"},
		{"huge header", ok(`{"allow":true}`, "X: "+strings.Repeat("x", 2*maxAnswer)), denied, TooLong, "headers"},

		{"401", respond("401 Unauthorized", "bad signature"), denied, Status, "bad signature"},
		{"403 alone", respond("403 Forbidden", page), denied, Status, "status 403"},
		{"a yes by 403", respond("403 Forbidden", `{"allow":true}`), denied, Status, "status 403"},
		{"404", respond("404 Not Found", "404 page not found\n"), denied, Status, "page not found"},
		{"429", respond("429 Too Many Requests", "", "Retry-After: 3600"), denied, Status, "status 429 and an empty body"},
		{"500", respond("500 Internal Server Error", `{"allow":false}`), denied, Status, "status 500"},
		{"502, a page", respond("502 Bad Gateway", page), denied, Status, "502 Bad Gateway"},
		{"503", respond("503 Service Unavailable", ""), denied, Status, "status 503"},

		{"301 without a place", respond("301 Moved Permanently", ""), denied, Redirected, "without a place"},
		{"303", respond("303 See Other", "", "Location: /verdict/7"), denied, Redirected, "for a GET"},
		{"304", "HTTP/1.1 304 Not Modified\r\n\r\n", denied, Redirected, "without a place"},
		{"308 to another server", respond("308 Permanent Redirect", "", "Location: http://127.0.0.1:9/"), denied, Redirected, "name it in hooks.url"},
		{"307 with a password", respond("307 Temporary Redirect", "", "Location: http://user:pw@127.0.0.1/"), denied, Redirected, "user:xxxxx@"},
		{"302 in a circle", respond("302 Found", "", "Location: /hook"), denied, Redirected, "more than 3"},

		{"no HTTP", "SSH-2.0-OpenSSH_9.6\r\n", denied, Closed, "SSH-2.0"},
		{"silent end", "", denied, Closed, "EOF"},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + `{"allow":true}`, denied, Closed, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := rawCore(t, func(c net.Conn, r *bufio.Reader) {
				for {
					if q, _, err := hook(r); err != nil || q.Header.Get("Idempotency-Key") != q.Header.Get(HeaderID) {
						return
					}
					_, _ = io.WriteString(c, test.answer)
					if !strings.Contains(test.answer, "Location") { // those who are redirected come again
						return
					}
				}
			})
			outcome(t, func(t *testing.T, cfg Config) *Hooks { return running(t, url, cfg) }, 20*time.Second, test.want, test.why, test.says)
		})
	}
}

// Redirects within the core are followed, as a POST with the same body, and told.
func TestRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		core := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/hook/" {
				w.Header().Set("Location", "hook/")
				w.WriteHeader(status)
				return
			}
			body, _ := io.ReadAll(r.Body)
			err := NewReceiver(secret).Check(time.Now(), r.Header, body)
			fmt.Fprintf(w, `{"allow":%v}`, err == nil && r.Method == http.MethodPost)
		}))
		outcome(t, func(t *testing.T, cfg Config) *Hooks { return running(t, core.URL+"/hook", cfg) },
			20*time.Second, Verdict{Allow: true}, none, "hooks.url may name the place")
		core.Close()
	}
}

func TestSlowCores(t *testing.T) {
	for name, begin := range map[string]string{
		"silent": "", "slow header": "HTTP/1.1 200 OK\r\n", "slow body": "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + `{"allow":`,
	} {
		t.Run(name, func(t *testing.T) {
			url := rawCore(t, func(c net.Conn, r *bufio.Reader) {
				_, _, _ = hook(r)
				_, _ = io.WriteString(c, begin)
				_, _ = r.Peek(1)
			})
			outcome(t, func(t *testing.T, cfg Config) *Hooks { return running(t, url, cfg) }, 200*time.Millisecond, Verdict{}, Timeout, "hooks.timeout")
		})
	}
}

func TestNoCoreThere(t *testing.T) {
	for url, says := range map[string]string{"http://127.0.0.1:9/": "refused", "http://nowhere.invalid/": "nowhere.invalid"} {
		outcome(t, func(t *testing.T, cfg Config) *Hooks { return running(t, url, cfg) }, 20*time.Second, Verdict{}, Unreachable, says)
	}
}

func TestMistakesOfTLS(t *testing.T) {
	answers := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"allow":true}`) })
	plain := httptest.NewServer(answers)
	defer plain.Close()
	secure := httptest.NewUnstartedServer(answers)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewUnstartedServer(answers)
	old.Config.ErrorLog = secure.Config.ErrorLog
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} //nolint:gosec // a core of old
	old.StartTLS()
	defer old.Close()
	at := func(url string) func(*testing.T, Config) *Hooks {
		return func(t *testing.T, cfg Config) *Hooks { return running(t, url, cfg) }
	}
	for _, test := range []struct {
		name string
		ask  func(*testing.T, Config) *Hooks
		want Verdict
		why  Failure
		says string
	}{
		{"good", func(t *testing.T, cfg Config) *Hooks { return trusting(t, secure, cfg) }, Verdict{Allow: true}, none, ""},
		{"unknown authority", at(secure.URL), Verdict{}, TLS, "unknown authority"},
		{"another name", func(t *testing.T, cfg Config) *Hooks {
			h := trusting(t, secure, cfg)
			for _, by := range []http.RoundTripper{h.sender.kept, h.sender.fresh} {
				by.(*http.Transport).TLSClientConfig.ServerName = "core.test"
			}
			return h
		}, Verdict{}, TLS, "core.test"},
		{"expired", func(t *testing.T, cfg Config) *Hooks {
			cfg.Wall = func() time.Time { return time.Now().AddDate(200, 0, 0) }
			return trusting(t, secure, cfg)
		}, Verdict{}, TLS, "expired"},
		{"TLS 1.1", at(old.URL), Verdict{}, TLS, "version"},
		{"https to a plain port", at(strings.Replace(plain.URL, "http", "https", 1)), Verdict{}, TLS, "hooks.url says https"},
		{"http to a port of TLS", at(strings.Replace(secure.URL, "https", "http", 1)), Verdict{}, Status, "HTTP request to an HTTPS server"},
	} {
		t.Run(test.name, func(t *testing.T) { outcome(t, test.ask, 20*time.Second, test.want, test.why, test.says) })
	}
}

// A hook above 64 KiB is not sent. A client makes it so, and gains nothing by it.
func TestOversized(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &core{answer: func(string) (int, string) { return 200, `{"allow":true}` }}, Config{AllowWhenDown: true})
		if v := put(h, strings.Repeat("x", maxBody)); v.Allow || h.Stats().AskFailures[Oversized] != 1 {
			t.Errorf("%+v, %+v", v, h.Stats())
		}
		h.Tell(strings.Repeat("x", maxBody))
		if s := h.Stats(); s.Lost != 1 || s.TellFailures[Oversized] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// A core that trips over the questions of one client is still asked for others: else that
// client could have everybody refused, or let in unasked.
func TestOddAnswersAreNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, &core{answer: func(body string) (int, string) {
			if strings.Contains(body, "bad") {
				return 500, "panic"
			}
			return 200, `{"allow":true}`
		}}, Config{})
		for range 5 * breakAfter {
			put(h, "bad")
		}
		if v := put(h, "good"); !v.Allow || v.Down {
			t.Errorf("%+v, %+v", v, h.Stats())
		}
	})
}

// However many clients there are, some lines a minute say why none gets in.
func TestFailuresAreLoggedInMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(journalText)
		h := start(t, &core{answer: func(string) (int, string) { return 204, "" }}, Config{Log: slog.New(slog.NewTextHandler(log, nil))})
		for range 6000 {
			put(h, 1)
			time.Sleep(10 * time.Millisecond)
		}
		lines := strings.Count(log.String(), "\n")
		if most := int(lineBurst + lineRate*60 + 1); lines < 6 || lines > most || !regexp.MustCompile(`suppressed_before=\d{3}`).MatchString(log.String()) {
			t.Errorf("%d lines:\n%s", lines, log)
		}
		if s := h.Stats(); s.AskFailures[NoVerdict] != 6000 {
			t.Errorf("%+v", s)
		}
	})
}

// Events that are not taken are told, too, and wait for as long as the core asks.
func TestEventsThatAreNotTaken(t *testing.T) {
	for _, test := range []struct {
		after  string
		waited time.Duration
	}{{"", retryFirst}, {"0", retryFirst}, {"soon", retryFirst}, {"120", 2 * time.Minute}, {"86400", retryAsked}, {"Sat, 01 Jan 2000 00:01:00 GMT", time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			log := new(journalText)
			c := &core{answer: func(string) (int, string) { return 429, "slowly" }}
			if test.after != "" {
				c.header = http.Header{"Retry-After": {test.after}}
			}
			h := start(t, c, Config{Log: slog.New(slog.NewTextHandler(log, nil))})
			h.Tell(1)
			synctest.Wait()
			c.mu.Lock()
			c.answer = func(string) (int, string) { return 200, "" }
			c.mu.Unlock()
			time.Sleep(test.waited - time.Millisecond)
			if s := h.Stats(); s.Told != 0 || s.TellFailures[Status] != 1 || !strings.Contains(log.String(), "slowly") {
				t.Errorf("%q: %+v\n%s", test.after, s, log)
			}
			time.Sleep(2 * time.Millisecond)
			if s := h.Stats(); s.Told != 1 {
				t.Errorf("%q: not told after %v: %+v", test.after, test.waited, s)
			}
		})
	}
}

func TestFailuresHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for f := range NumFailures {
		if seen[f.String()] || f.String() == "" {
			t.Errorf("%d is %q", f, f)
		}
		seen[f.String()] = true
	}
}
