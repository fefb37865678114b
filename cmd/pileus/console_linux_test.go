package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"pileus/rtmfp/amf"
)

// An operator without a mouse, or with a phone, and a node with two peers.
func TestConsoleInABrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a browser takes its time; not with -short")
	}
	d := browse(t)
	n := serving(t, "--config", config(t, "listen: ['127.0.0.1:0']\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\n"+
		"presence: {name_arg: 1}\nadmin: {listen: '127.0.0.1:0', token: "+testSecret+"}\n"))
	uri, at := "rtmfp://"+n.find(`listening    (127\.0\.0\.1:\d+)/udp`)+"/app", n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	long := strings.Repeat("W", 64) // as long as a name can be, in one word
	first, second := connects(t, uri, amf.String("ann")), connects(t, uri, amf.String(long))
	if !first.connected() || !second.connected() {
		t.Fatal("the peers are not connected")
	}
	order(t, at, "POST", "/introductions", testSecret, `{"initiator":"`+first.id.PeerID().String()+`","target":"`+second.id.PeerID().String()+`"}`)

	focus := func() string {
		return d.eval(`(e => (e.id || e.name || e.getAttribute("aria-label") || e.textContent).trim())(document.activeElement)`)
	}
	visible := func() {
		t.Helper()
		if d.eval(`document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) != "true" {
			t.Errorf("the focus on %q does not show", focus())
		}
	}
	walk := func(stops ...string) {
		t.Helper()
		for _, want := range stops {
			d.press("Tab")
			if got := focus(); got != want {
				t.Fatalf("Tab leads to %q, want %q", got, want)
			}
			visible()
		}
	}

	// The token: Escape leaves the question, a wrong one is told so.
	d.open(at+"/console/", 1200)
	d.wait(`document.getElementById("login").open`)
	d.press("Escape")
	d.wait(`!document.getElementById("login").open && document.querySelector("main button")`)
	walk("Type it in")
	d.press("Enter")
	d.wait(`document.getElementById("login").open`)
	d.call("Input.insertText", map[string]any{"text": "nonsense"}, nil)
	d.press("Enter")
	d.wait(`document.getElementById("login").open && !document.getElementById("wrong").hidden`)
	d.call("Input.insertText", map[string]any{"text": testSecret}, nil)
	d.press("Enter")
	d.wait(`!document.getElementById("login").open && document.querySelector(".tiles")`)

	// From the top: the skip link passes the pages by and stays on the page.
	d.open(at+"/console/#/peers", 1200)
	d.wait(`document.querySelectorAll("tbody tr").length === 2`)
	walk("Skip to content")
	d.press("Enter")
	d.wait(`document.activeElement.id === "main"`)
	walk("app", "name", "tenant", "class", "Show")
	d.press("Tab")
	if got := focus(); got != "2 peers" {
		t.Errorf("the table is not reached, but %q", got)
	}
	d.press("Tab")
	row := focus()
	if id := first.id.PeerID().String()[:12]; row != id && row != second.id.PeerID().String()[:12] {
		t.Errorf("a row is not reached, but %q", row)
	}
	visible()
	d.eval(`show(true)`) // as events do by themselves
	if focus() != row {
		t.Errorf("news took the keyboard from %q to %q", row, focus())
	}
	d.press("Enter")
	d.wait(`location.hash.startsWith("#/peer/") && document.querySelector(".facts")`)
	d.wait(`document.activeElement.id === "main"`)
	walk("Close its connection")
	// Watching, by keyboard, and what comes of it.
	for range 6 {
		if strings.HasPrefix(focus(), "Watch them") {
			break
		}
		d.press("Tab")
	}
	d.press("Enter")
	d.wait(`document.querySelector("[data-live]")`)

	for _, page := range []string{"", "peers", "peer/" + first.id.PeerID().String(), "introductions", "relay"} {
		for _, width := range []int{1200, 360} {
			d.open(at+"/console/#/"+page, width)
			d.wait(`document.querySelector("main section") && document.getElementById("state").textContent === "live"`)
			if wide := d.eval(`document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide != "0" {
				t.Errorf("page %q at %d pixels is %s too wide", page, width, wide)
			}
			if cut := d.eval(`[...document.querySelectorAll("main *")].filter(e => innerWidth < 500 && e.getBoundingClientRect().right > innerWidth).map(e => e.textContent).join()`); cut != "" {
				t.Errorf("page %q at %d pixels cuts off %q", page, width, cut)
			}
		}
	}
	for _, e := range d.events {
		var p struct {
			Request          struct{ URL string }
			Entry            struct{ Level, Text, URL string }
			ExceptionDetails json.RawMessage
		}
		if err := json.Unmarshal(e.Params, &p); err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(p.Request.URL); err != nil || u.Host != "" && "http://"+u.Host != at {
			t.Errorf("the page asks %s", p.Request.URL)
		}
		// The one error there may be is the answer to a wrong token.
		if p.Entry.Level == "error" && !strings.Contains(p.Entry.Text, "401") || p.ExceptionDetails != nil {
			t.Errorf("the browser says: %s %s %s", p.Entry.Text, p.Entry.URL, p.ExceptionDetails)
		}
	}
}
