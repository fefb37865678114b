package console

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestPage(t *testing.T) {
	for path, kind := range map[string]string{"/": "text/html", "/console.css": "text/css", "/console.js": "text/javascript", "/peer.js": "text/javascript", "/icon.svg": "image/svg+xml"} {
		w := httptest.NewRecorder()
		Handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), kind) || w.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		// Nothing is loaded from elsewhere, and nothing becomes markup that came
		// from a peer.
		for _, forbidden := range []string{`(?:src|href)="https?:`, `url\(`, `@import`, `innerHTML`, `outerHTML`, `insertAdjacentHTML`, `document\.write`, `\beval\(`, ` on[a-z]+="`, `style="`} {
			if m := regexp.MustCompile(forbidden).FindString(w.Body.String()); m != "" {
				t.Errorf("%s has %s", path, m)
			}
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("GET", "/console.go", nil))
	if w.Code != 404 {
		t.Errorf("/console.go: %d", w.Code)
	}
}
