// Package console is the page on which an operator sees a node: five files in
// the program, which ask nobody but the node itself.
package console

import (
	"embed"
	"net/http"
)

//go:embed index.html console.css console.js peer.js icon.svg
var files embed.FS

// policy lets the page load and ask nothing but its own origin. All it shows was
// written by strangers.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at /. It holds no secrets: whoever opens it types the
// token in, and the API decides.
func Handler() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		serve.ServeHTTP(w, r)
	})
}
