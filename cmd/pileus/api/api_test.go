package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pileus/introducer"
	"pileus/introducer/strategy"
	"pileus/natprobe"
	"pileus/rtmfp/amf"
	"pileus/rtmfp/flash"
	"pileus/rtmfp/netconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	operatorToken = "operator-token-0"
	acmeToken     = "acme-token-00000"
)

// fake is a node with something of everything, half of it acme's.
type fake struct {
	peers  []PeerDetail
	closed []flash.PeerID
	level  string
	drain  time.Duration
}

func peerID(b byte) flash.PeerID { return flash.PeerID{b + 1} }

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newFake() *fake {
	f := &fake{level: "info"}
	for i, tenant := range []string{"acme", "acme", "other", "other"} {
		b := natprobe.Behavior{Mapping: natprobe.EIM}
		f.peers = append(f.peers, NewPeerDetail(introducer.PeerDetail{
			PeerInfo: introducer.PeerInfo{
				ID: peerID(byte(i)), Tenant: tenant, App: "live", Name: "p" + fmt.Sprint(i),
				Addr: netip.MustParseAddrPort("203.0.113.1:5000"), Since: began,
			},
			Local: netip.MustParseAddrPort("192.0.2.1:1935"), RTT: 1500 * time.Microsecond, Behavior: &b,
			Observations: []natprobe.Observation{{Kind: natprobe.KindObserved, At: began, Seen: netip.MustParseAddrPort("203.0.113.1:5000")}},
		}))
	}
	f.peers[3].Behavior = nil
	return f
}

func (f *fake) Status(context.Context) (Status, error) {
	return Status{Version: "1", Started: began, Peers: 4, Hooks: &HookState{}}, nil
}

func (f *fake) Peers(_ context.Context, match func(Peer) bool) (list []Peer, err error) {
	for _, p := range f.peers {
		if match(p.Peer) {
			list = append(list, p.Peer)
		}
	}
	return list, nil
}

func (f *fake) Peer(_ context.Context, id flash.PeerID) (PeerDetail, error) {
	for _, p := range f.peers {
		if p.ID == id.String() {
			return p, nil
		}
	}
	return PeerDetail{}, ErrNotFound
}

func (f *fake) ClosePeer(_ context.Context, id flash.PeerID) error {
	f.closed = append(f.closed, id)
	return nil
}

func (f *fake) Introduce(_ context.Context, a, b flash.PeerID) (Plan, error) {
	if a == b {
		return Plan{}, introducer.ErrSamePeer
	}
	return NewPlan(introducer.PlanInfo{Strategy: strategy.Punch, Why: "why not"}), nil
}

func (f *fake) Names(_ context.Context, tenant, _, _ string) (Names, error) {
	return Names{Names: []Name{{tenant + "'s", peerID(1).String(), began}}}, nil
}

func (f *fake) Splices(context.Context) ([]Splice, error) {
	return []Splice{{ID: "1", Tenant: "acme", Initiator: peerID(0).String(), Target: peerID(1).String(), Since: began}, {ID: "2", Tenant: "other", Initiator: peerID(2).String(), Target: peerID(3).String()}}, nil
}

func (f *fake) EndSplice(context.Context, string) error { return nil }
func (f *fake) Allocations(context.Context) ([]Allocation, error) {
	return []Allocation{{ID: "1", Tenant: "acme", Since: began}, {ID: "2", Tenant: "other"}}, nil
}

func (f *fake) Cores(context.Context) ([]Core, error) {
	return []Core{{Fingerprint: "f", Addresses: []netip.AddrPort{}, Since: began}}, nil
}

func (f *fake) Groups(context.Context) ([]Group, error) {
	return []Group{{"g", "acme", 2}, {"h", "other", 1}}, nil
}
func (f *fake) Drain(_ context.Context, d time.Duration) error { f.drain = d; return nil }
func (f *fake) CancelDrain(context.Context) error              { return ErrNotFound }
func (f *fake) Reload(context.Context) (Reloaded, error) {
	return Reloaded{[]string{"log.level"}, []string{}}, nil
}
func (f *fake) LogLevel() string { return f.level }
func (f *fake) SetLogLevel(l string) error {
	if l == "loud" {
		return errors.New(`"loud" is no level`)
	}
	f.level = l
	return nil
}

// events are one of each kind for both tenants.
func events(r *Recorder) {
	for _, tenant := range []string{"acme", "other"} {
		p := introducer.PeerInfo{ID: peerID(1), Tenant: tenant, Addr: netip.MustParseAddrPort("203.0.113.1:5000"), Since: began}
		b := natprobe.Behavior{}
		for _, e := range []introducer.Event{
			{Kind: introducer.PeerConnected, Connect: &netconn.Request{App: "live", Args: amf.Args{
				amf.String("a"), amf.Number(1), amf.Null{}, amf.Object{{Name: "b", Value: amf.Array{amf.Boolean(true)}}}, amf.Date{Milliseconds: 5},
			}}},
			{Kind: introducer.PeerClassified, Behavior: &b},
			{Kind: introducer.PeersIntroduced, Target: p, Plan: introducer.PlanInfo{Strategy: strategy.Relay, Relay: strategy.RelayOnly, Why: tenant}},
			{Kind: introducer.IntroductionSettled, Target: p, Outcome: introducer.Quiet},
			{Kind: introducer.PairRelayed, Target: p, Bytes: [2]uint64{1, 2}},
			{Kind: introducer.PeerClosed, Reason: "closed"},
		} {
			e.At, e.Peer = began.Add(time.Second), p
			r.Record(e)
		}
	}
}

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
			if op.OperationID == "events" || op.OperationID == "openapi" {
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

// A tenant's token shows nothing of another's, and gives no orders over the node.
func TestTenantsSeeTheirOwn(t *testing.T) {
	h := newHarness()
	for path, want := range map[string]string{
		"/peers": "acme", "/introductions": "acme", "/splices": "acme", "/allocations": "acme", "/groups": "acme",
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

func TestRecorderIsBounded(t *testing.T) {
	r := NewRecorder()
	who := scope{operator: true}
	slow := r.follow(who)
	for i := range 3 * maxIntroductions {
		r.Record(introducer.Event{
			Kind: introducer.PeersIntroduced, At: began.Add(time.Duration(i) * historyStep),
			Peer: introducer.PeerInfo{ID: peerID(byte(i))}, Target: introducer.PeerInfo{Tenant: fmt.Sprint(i)},
		})
	}
	if n := len(r.recent(who, "", 1<<20)); n != maxIntroductions {
		t.Errorf("%d introductions are kept", n)
	}
	if n := len(r.tallies); n != maxTallies {
		t.Errorf("%d tallies", n)
	}
	n := 0
	for range slow { // it was closed
		n++
	}
	if n != maxBacklog {
		t.Errorf("a slow listener got %d events", n)
	}
	for range maxStreams {
		if r.follow(who) == nil {
			t.Fatal("no stream")
		}
	}
	if r.follow(who) != nil {
		t.Error("more streams than there may be")
	}
}

func TestStream(t *testing.T) {
	h := newHarness()
	server := httptest.NewServer(h)
	defer server.Close()
	d := readDocument(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+prefix+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+acmeToken)
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Scan() // it is open now
	events(h.recorder)
	names := []string{}
	for len(names) < 6 && lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			names = append(names, name)
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			h.fits(t, d, "event", schema{Ref: "#/components/schemas/Event"}, data)
			if strings.Contains(data, "other") {
				t.Errorf("another tenant's: %s", data)
			}
		}
	}
	if got := strings.Join(names, " "); got != "connect classified introduced outcome relayed closed" {
		t.Errorf("%s", got)
	}
	h.recorder.Record(introducer.Event{Kind: introducer.PeerClosed, Peer: introducer.PeerInfo{Tenant: "acme"}})
}
