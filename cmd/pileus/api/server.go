package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody      = 16 << 10 // bytes of a request
	maxPage      = 1000     // entries of one answer
	defaultPage  = 100
	nodeTimeout  = 5 * time.Second // for the node's answer
	maxDeadline  = 24 * time.Hour
	streamSilent = 15 * time.Second // between signs of life on a stream of events
)

// Options of a Server; all are required.
type Options struct {
	Node     Node
	Recorder *Recorder
	Guard    *Guard
	Log      *slog.Logger // of orders
}

type server struct{ Options }

// inputError is a request that makes no sense.
type inputError string

func (e inputError) Error() string { return string(e) }

// call answers one request with a value for JSON; nil: no content.
type call func(s *server, who scope, r *http.Request) (any, error)

type route struct {
	method, path string
	operator     bool // not for tenants' tokens
	call         call
}

// routes are all there are, but for the streams of events and the description.
var routes = []route{
	{"GET", "/status", true, (*server).status},
	{"GET", "/peers", false, (*server).peers},
	{"GET", "/peers/{id}", false, (*server).peer},
	{"DELETE", "/peers/{id}", false, (*server).closePeer},
	{"GET", "/peers/{id}/timeline", true, (*server).timeline},
	{"POST", "/peers/{id}/timeline", true, (*server).watch},
	{"DELETE", "/peers/{id}/timeline", true, (*server).unwatch},
	{"GET", "/introductions", false, (*server).introductions},
	{"POST", "/introductions", false, (*server).introduce},
	{"GET", "/matrix", false, (*server).matrix},
	{"GET", "/names", false, (*server).names},
	{"GET", "/splices", false, (*server).splices},
	{"DELETE", "/splices/{id}", false, (*server).endSplice},
	{"GET", "/allocations", false, (*server).allocations},
	{"GET", "/cores", true, (*server).cores},
	{"GET", "/groups", false, (*server).groups},
	{"GET", "/tenants", false, (*server).tenants},
	{"POST", "/drain", true, (*server).drain},
	{"DELETE", "/drain", true, (*server).cancelDrain},
	{"POST", "/reload", true, (*server).reload},
	{"GET", "/log-level", true, (*server).logLevel},
	{"PUT", "/log-level", true, (*server).setLogLevel},
}

const prefix = "/api/v1"

//go:embed openapi.json
var description []byte

// Handler answers everything below /api/v1.
func Handler(o Options) http.Handler {
	s := &server{o}
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.method+" "+prefix+r.path, s.handle(r))
	}
	mux.HandleFunc("GET "+prefix+"/events", s.events)
	mux.HandleFunc("GET "+prefix+"/names/events", s.watchNames)
	mux.HandleFunc("GET "+prefix+"/openapi.json", s.describe)
	mux.HandleFunc(prefix+"/", func(w http.ResponseWriter, _ *http.Request) {
		(&refusal{http.StatusNotFound, "not_found", "there is no such path or method; see " + prefix + "/openapi.json"}).write(w)
	})
	return mux
}

// enter lets a caller in or tells it why not.
func (s *server) enter(w http.ResponseWriter, r *http.Request, operator bool) (scope, bool) {
	refused := s.Guard.place(r)
	var who scope
	if refused == nil {
		who, refused = s.Guard.who(r)
	}
	if refused == nil && operator && !who.operator {
		refused = errOperator
	}
	if refused != nil {
		refused.write(w)
	}
	return who, refused == nil
}

func (s *server) handle(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, ok := s.enter(w, r, route.operator)
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), nodeTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := route.call(s, who, r)
		if r.Method != http.MethodGet {
			s.Log.Info("order", "method", r.Method, "path", r.URL.Path, "tenant", who.tenant, "failed", err != nil)
		}
		switch {
		case err != nil:
			refusalOf(err).write(w)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			writeJSON(w, http.StatusOK, v)
		}
	}
}

func refusalOf(err error) *refusal {
	var input inputError
	switch {
	case errors.As(err, &input):
		return &refusal{http.StatusBadRequest, "input", err.Error()}
	case errors.Is(err, ErrNotFound):
		return &refusal{http.StatusNotFound, "not_found", err.Error()}
	case errors.Is(err, ErrRefused):
		return &refusal{http.StatusConflict, "refused", err.Error()}
	default:
		return &refusal{http.StatusServiceUnavailable, "unavailable", err.Error()}
	}
}

func (f *refusal) write(w http.ResponseWriter) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = f.code, f.message
	writeJSON(w, f.status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone
}

// read takes the request's body, which must be one JSON object of that form.
func read(r *http.Request, into any) error {
	// A type of another kind might be a form of some page, which no browser asks us about.
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := parameters["charset"]; err != nil || kind != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return inputError("the body is to be JSON: Content-Type: application/json")
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return inputError("the body is longer than " + strconv.Itoa(maxBody) + " bytes")
		}
		return inputError("the body is not the JSON that is wanted here: " + err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return inputError("the body holds more than one JSON value")
	}
	return nil
}

// page is the limit a caller asks for.
func page(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, inputError("limit is a number from 1 to " + strconv.Itoa(maxPage))
	}
	return n, nil
}

func (s *server) describe(w http.ResponseWriter, r *http.Request) {
	// It says nothing about this node, so no token is asked for.
	if refused := s.Guard.place(r); refused != nil {
		refused.write(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(description)
}
