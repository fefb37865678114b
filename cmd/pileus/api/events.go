package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// events is the stream of what happens, as server-sent events: the name is the
// event's, the data its JSON.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	if who, ok := s.enter(w, r, false); ok {
		s.stream(w, r, s.Recorder.follow(who))
	}
}

// stream writes what comes until the caller goes, after what is first. A nil
// stream is refused.
func (s *server) stream(w http.ResponseWriter, r *http.Request, stream chan message, first ...message) {
	if stream == nil {
		(&refusal{http.StatusServiceUnavailable, "streams", "too many follow the events already"}).write(w)
		return
	}
	defer s.Recorder.unfollow(stream)
	out := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	alive := time.NewTicker(streamSilent)
	defer alive.Stop()
	// The server's own limit is for answers that end.
	write := func(text string) bool {
		if out.SetWriteDeadline(time.Now().Add(nodeTimeout)) != nil {
			return false
		}
		_, err := w.Write([]byte(text))
		return err == nil && out.Flush() == nil
	}
	if !write(": events of this node\n\n") {
		return
	}
	tell := func(m message) bool {
		data, err := json.Marshal(m.data)
		return err == nil && write(fmt.Sprintf("event: %s\ndata: %s\n\n", m.name, data))
	}
	for _, m := range first {
		if !tell(m) {
			return
		}
	}
	for {
		select {
		case m, open := <-stream:
			if !open {
				write("event: lagging\ndata: {}\n\n") // the caller is too slow; it may begin anew
				return
			}
			if !tell(m) {
				return
			}
		case <-alive.C:
			if !write(": \n\n") {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}
