package api

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	operatorToken = "operator-token-0"
	acmeToken     = "acme-token-00000"
)

type harness struct {
	http.Handler
	node     *fake
	recorder *Recorder
	guard    *Guard
}

func newHarness() *harness {
	h := &harness{node: newFake(), recorder: NewRecorder()}
	h.guard = NewGuard(Access{Token: operatorToken, Tenants: map[string]string{"acme": acmeToken}, Hosts: []string{"node.example"}})
	h.Handler = Handler(Options{h.node, h.recorder, h.guard, slog.New(slog.DiscardHandler)})
	events(h.recorder)
	return h
}

func (h *harness) do(method, path, token, body string, headers ...string) (int, string) {
	r := httptest.NewRequest(method, "http://127.0.0.1:8935"+prefix+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// requests are one for each operation, by its ID: path and body.
var requests = map[string][2]string{
	"peer":        {"/peers/" + peerID(0).String()},
	"closePeer":   {"/peers/" + peerID(1).String()},
	"timeline":    {"/peers/" + peerID(0).String() + "/timeline"},
	"watch":       {"/peers/" + peerID(0).String() + "/timeline"},
	"unwatch":     {"/peers/" + peerID(0).String() + "/timeline"},
	"introduce":   {"/introductions", `{"initiator":"` + peerID(0).String() + `","target":"` + peerID(1).String() + `"}`},
	"endSplice":   {"/splices/1"},
	"drain":       {"/drain", `{"deadline":"10m"}`},
	"setLogLevel": {"/log-level", `{"level":"debug"}`},
}

// Every answer is what the document says, and so is every refusal.
func TestAnswersFitTheDocument(t *testing.T) {
	d := readDocument(t)
	for path, methods := range d.Paths {
		for method, op := range methods {
			if op.OperationID == "events" || op.OperationID == "watchNames" || op.OperationID == "openapi" {
				continue
			}
			h := newHarness()
			q, special := requests[op.OperationID]
			if !special {
				q[0] = path
			}
			status, body := h.do(strings.ToUpper(method), q[0], operatorToken, q[1])
			answer, documented := op.Responses[fmt.Sprint(status)]
			if !documented {
				answer = op.Responses["default"]
				if op.OperationID != "cancelDrain" {
					t.Errorf("%s: %d %s", op.OperationID, status, body)
				}
			}
			h.fits(t, d, op.OperationID, answer.Content["application/json"].Schema, body)
			if want := op.RequestBody.Content["application/json"].Schema; q[1] != "" {
				h.fits(t, d, op.OperationID+"'s request", want, q[1])
			}
			status, body = h.do(strings.ToUpper(method), q[0], "wrong", q[1])
			if status != http.StatusUnauthorized {
				t.Errorf("%s without the token: %d", op.OperationID, status)
			}
			h.fits(t, d, op.OperationID, op.Responses["default"].Content["application/json"].Schema, body)
		}
	}
}

func (h *harness) fits(t *testing.T, d document, name string, s schema, body string) {
	t.Helper()
	if body == "" && s.Ref == "" {
		return
	}
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Errorf("%s: %v: %s", name, err, body)
		return
	}
	for _, wrong := range d.check(s, v, name) {
		t.Error(wrong)
	}
}

func TestPages(t *testing.T) {
	h := newHarness()
	var ids []string
	path := "/peers?limit=3"
	for range 2 {
		_, body := h.do("GET", path, operatorToken, "")
		var l PeerList
		if err := json.Unmarshal([]byte(body), &l); err != nil || l.Total != 4 {
			t.Fatalf("%v: %s", err, body)
		}
		for _, p := range l.Peers {
			ids = append(ids, p.ID)
		}
		path = "/peers?limit=3&after=" + l.Next
	}
	if len(ids) != 4 {
		t.Errorf("pages gave %d of 4", len(ids))
	}
}
