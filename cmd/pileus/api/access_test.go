package api

import (
	"strings"
	"testing"
)

// A tenant's token shows nothing of another's, and gives no orders over the node.
func TestTenantsSeeTheirOwn(t *testing.T) {
	h := newHarness()
	for path, want := range map[string]string{
		"/peers": "acme", "/introductions": "acme", "/splices": "acme", "/allocations": "acme", "/groups": "acme", "/tenants": "acme",
		"/names": "acme", "/matrix": "relay",
	} {
		status, body := h.do("GET", path, acmeToken, "")
		if status != 200 || !strings.Contains(body, want) || strings.Contains(body, "other") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if _, body := h.do("GET", "/matrix", acmeToken, ""); !strings.Contains(body, `"introductions":1}`) {
		t.Errorf("the matrix counts others: %s", body)
	}
	mine, others := peerID(0).String(), peerID(2).String()
	for _, test := range []struct {
		method, path, body string
		want               int
	}{
		{"GET", "/peers/" + mine, "", 200},
		{"GET", "/peers/" + others, "", 404},
		{"DELETE", "/peers/" + others, "", 404},
		{"DELETE", "/splices/2", "", 404},
		{"DELETE", "/splices/1", "", 204},
		{"GET", "/names?tenant=other", "", 404},
		{"GET", "/peers?tenant=other", "", 200},
		{"POST", "/introductions", `{"initiator":"` + mine + `","target":"` + others + `"}`, 404},
		{"GET", "/names/events?tenant=other", "", 404},
		{"GET", "/peers/" + mine + "/timeline", "", 403},
		{"POST", "/peers/" + others + "/timeline", "", 403},
		{"DELETE", "/peers/" + others + "/timeline", "", 403},
		{"GET", "/status", "", 403},
		{"GET", "/cores", "", 403},
		{"POST", "/drain", `{"deadline":"1m"}`, 403},
		{"POST", "/reload", "", 403},
		{"PUT", "/log-level", `{"level":"debug"}`, 403},
	} {
		if status, body := h.do(test.method, test.path, acmeToken, test.body); status != test.want {
			t.Errorf("%s %s: %d %s", test.method, test.path, status, body)
		}
	}
	if len(h.node.closed) > 0 || h.node.drain != 0 {
		t.Error("an order was carried out")
	}
	_, theirs := h.do("GET", "/peers/"+others, acmeToken, "")
	_, nobodys := h.do("GET", "/peers/"+peerID(99).String(), acmeToken, "")
	if theirs != nobodys {
		t.Errorf("another tenant's peer can be told from none: %s %s", theirs, nobodys)
	}
}

func TestBadRequests(t *testing.T) {
	h := newHarness()
	for _, test := range []struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		{"POST", "/drain", "{", nil, 400, "input"},
		{"POST", "/drain", `{"deadline":"soon"}`, nil, 400, "input"},
		{"POST", "/drain", `{"deadline":"9999h"}`, nil, 400, "input"},
		{"POST", "/drain", `{"deadline":"1m","more":1}`, nil, 400, "input"},
		{"POST", "/drain", `{"deadline":"1m"}{}`, nil, 400, "input"},
		{"POST", "/drain", `{"deadline":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400, "longer than"},
		{"POST", "/drain", `{"deadline":"1m"}`, []string{"Content-Type", "text/plain"}, 400, "Content-Type"},
		{"PUT", "/log-level", `{"level":"loud"}`, nil, 400, "loud"},
		{"GET", "/peers?limit=0", "", nil, 400, "limit"},
		{"GET", "/peers?limit=1001", "", nil, 400, "limit"},
		{"GET", "/peers/xyz", "", nil, 400, "64 hexadecimal"},
		{"POST", "/peers/xyz/timeline", "", nil, 400, "64 hexadecimal"},
		{"POST", "/peers/" + peerID(99).String() + "/timeline", "", nil, 409, "watched already"},
		{"DELETE", "/peers/" + peerID(99).String() + "/timeline", "", nil, 404, "not_found"},
		{"GET", "/names/events?name=a&prefix=b", "", nil, 400, "not both"},
		{"GET", "/peers?token=" + operatorToken, "", nil, 400, "token_in_url"},
		{"GET", "/peers?Access_Token=x", "", nil, 400, "token_in_url"},
		{"POST", "/introductions", `{"initiator":"` + peerID(0).String() + `","target":"` + peerID(0).String() + `"}`, nil, 409, "refused"},
		{"GET", "/nothing", "", nil, 404, "not_found"},
		{"PATCH", "/peers", "", nil, 404, "not_found"},
		{"GET", "/peers", "", []string{"Host", "evil.example"}, 421, "admin.hosts"},
		{"GET", "/peers", "", []string{"Host", "node.example:8935"}, 200, ""},
		{"GET", "/peers", "", []string{"Host", "localhost:8935"}, 200, ""},
		{"GET", "/peers", "", []string{"Host", "[::1]:8935"}, 200, ""},
		{"GET", "/peers", "", []string{"Origin", "http://evil.example"}, 403, "origin"},
		{"GET", "/peers", "", []string{"Origin", "null"}, 403, "origin"},
		{"GET", "/peers", "", []string{"Origin", "http://127.0.0.1:8935"}, 200, ""},
		{"GET", "/peers", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "origin"},
		{"GET", "/openapi.json", "", []string{"Host", "evil.example"}, 421, "admin.hosts"},
		{"GET", "/openapi.json", "", nil, 200, "3.1.0"},
	} {
		status, body := h.do(test.method, test.path, operatorToken, test.body, test.headers...)
		if status != test.status || !strings.Contains(body, test.code) {
			t.Errorf("%s %s %v: %d %.200s, want %d %q", test.method, test.path, test.headers, status, body, test.status, test.code)
		}
	}
}

// Without a token, as on loopback, everybody who gets here is the operator; but
// for a caller who believes that there is one.
func TestOpen(t *testing.T) {
	h := newHarness()
	h.guard.Set(Access{Tenants: map[string]string{"acme": acmeToken}})
	for token, want := range map[string]int{"": 200, acmeToken: 403, "wrong": 401} {
		if status, _ := h.do("GET", "/status", token, ""); status != want {
			t.Errorf("%q: %d", token, status)
		}
	}
}
