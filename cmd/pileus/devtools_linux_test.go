package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// devtools is a page of headless Chromium, spoken to over pipes.
type devtools struct {
	t       *testing.T
	out     *os.File
	in      *bufio.Reader
	id      int
	session string
	events  []devtoolsMessage
}

type devtoolsMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// browse starts a browser with an empty page, for a minute and a half at most.
func browse(t *testing.T) *devtools {
	t.Helper()
	needs(t, map[string]string{"chromium": "chromium"})
	dir := browserHome(t)
	theirIn, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	chromium := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--disable-features=BackForwardCache", "--user-data-dir="+filepath.Join(dir, "profile"), "--remote-debugging-pipe", "about:blank")
	chromium.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, where it looks for them
	t.Cleanup(func() {
		cancel()
		out.Close()
		in.Close()
	})
	startBrowser(t, chromium, dir)
	theirIn.Close()
	theirOut.Close()
	d := &devtools{t: t, out: out, in: bufio.NewReader(in)}
	var target struct{ TargetID, SessionID string }
	d.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	d.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	d.session = target.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		d.call(domain+".enable", nil, nil)
	}
	return d
}

// browserHome makes a folder for a browser. That of t.TempDir would fail the test where
// one of the browser's processes still writes.
func browserHome(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pileus-browser") //nolint:usetesting // for that
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// startBrowser starts it in its home, and ends all of its processes with the test.
func startBrowser(t *testing.T, chromium *exec.Cmd, home string) {
	t.Helper()
	chromium.Env = append(os.Environ(), "HOME="+home)
	chromium.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := chromium.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-chromium.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = chromium.Wait()
	})
}

// call has the browser do something, and waits for it.
func (d *devtools) call(method string, params map[string]any, result any) {
	d.t.Helper()
	d.id++
	if params == nil {
		params = map[string]any{}
	}
	q := map[string]any{"id": d.id, "method": method, "params": params}
	if d.session != "" {
		q["sessionId"] = d.session
	}
	text, err := json.Marshal(q)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.out.Write(append(text, 0)); err != nil {
		d.t.Fatalf("%s: %v", method, err)
	}
	for {
		text, err := d.in.ReadBytes(0)
		if err != nil {
			d.t.Fatalf("%s: %v", method, err)
		}
		var m devtoolsMessage
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m); err != nil {
			d.t.Fatal(err)
		}
		if m.ID != d.id {
			d.events = append(d.events, m)
			continue
		}
		if m.Error != nil {
			d.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				d.t.Fatal(err)
			}
		}
		return
	}
}

// eval gives the value of a JavaScript expression, as text.
func (d *devtools) eval(expression string) string {
	d.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	d.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		d.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return fmt.Sprint(r.Result.Value)
}

// wait waits until an expression is true.
func (d *devtools) wait(expression string) {
	d.t.Helper()
	for range 200 {
		if d.eval("(() => { try { return !!("+expression+") } catch { return false } })()") == "true" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Fatalf("never: %s; the page says %q", expression, d.eval("document.body.innerText"))
}

// press presses a key: Tab, Enter, Escape.
func (d *devtools) press(key string) {
	d.t.Helper()
	code := map[string]int{"Tab": 9, "Enter": 13, "Escape": 27}[key]
	p := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if key == "Enter" {
		p["text"] = "\r"
	}
	d.call("Input.dispatchKeyEvent", p, nil)
	d.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// open shows a URL on a screen of that width, in pixels.
func (d *devtools) open(url string, width int) {
	d.t.Helper()
	d.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	for _, u := range []string{"about:blank", url} { // a new page, even if only its part behind # is another
		d.call("Page.navigate", map[string]any{"url": u}, nil)
	}
}
