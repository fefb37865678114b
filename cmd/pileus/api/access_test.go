package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Schemes, host names and media types have no case (RFC 9110 11.1, 4.2.3, 8.3.1), and more
// than one space may follow a scheme.
func TestWhatHasNoCase(t *testing.T) {
	h := newHarness()
	for _, test := range []struct {
		header, value string
		want          int
	}{
		{"Authorization", "Bearer " + operatorToken, 200},
		{"Authorization", "bearer " + operatorToken, 200},
		{"Authorization", "BEARER  " + operatorToken, 200},
		{"Authorization", "Bearer", 401},
		{"Authorization", "Bearer" + operatorToken, 401},
		{"Authorization", "Basic " + operatorToken, 401},
		{"Authorization", operatorToken, 401},
		{"Authorization", "bearer OPERATOR-token-0", 401},
		{"Host", "NODE.example:8935", 200},
		{"Host", "node.example.", 200},
		{"Host", "other.example", 421},
		{"Origin", "http://127.0.0.1:8935", 200},
		{"Origin", "HTTP://127.0.0.1:8935", 200},
		{"Origin", "http://node.example", 403},
	} {
		if status, body := h.do("GET", "/status", operatorToken, "", test.header, test.value); status != test.want {
			t.Errorf("%s: %s: %d %s, want %d", test.header, test.value, status, body, test.want)
		}
	}
	if status, _ := h.do("GET", "/status", operatorToken, "", "Host", "Node.Example", "Origin", "https://node.example"); status != 200 {
		t.Errorf("an origin in another case than the host: %d", status)
	}
	h.guard.Set(Access{Token: operatorToken, Hosts: []string{"Node.Example."}})
	if status, body := h.do("GET", "/status", operatorToken, "", "Host", "node.example"); status != 200 {
		t.Errorf("a host as somebody typed it: %d %s", status, body)
	}
}

func TestMediaTypes(t *testing.T) {
	h := newHarness()
	for value, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON ;charset=\"UTF-8\"": 200,
		"": 400, "text/plain": 400, "application/x-www-form-urlencoded": 400, "text/plain; application/json": 400, "application/json-seq": 400,
		"application/json; charset=utf-16": 400,
	} {
		if status, body := h.do("PUT", "/log-level", operatorToken, `{"level":"debug"}`, "Content-Type", value); status != want && (want != 200 || status != 204) {
			t.Errorf("%q: %d %s, want %d", value, status, body, want)
		}
	}
}

// A guard of a handler beside the API is the same.
func TestOperatorByBearerInLowerCase(t *testing.T) {
	h := NewGuard(Access{Token: operatorToken}).Operator(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/metrics", nil)
	r.Header.Set("authorization", "bearer "+operatorToken)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}
