package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// page has two RTCPeerConnections that know each other's relay addresses alone. One sends a megabyte.
const page = `<!doctype html><script>
const size = 1 << 20, chunk = 16 << 10
async function meet(url) {
  const config = {iceTransportPolicy: "relay", iceServers: [{urls: url, username: "alice", credential: "wonderland"}]}
  const a = new RTCPeerConnection(config), b = new RTCPeerConnection(config)
  a.onicecandidate = e => e.candidate && b.addIceCandidate(e.candidate)
  b.onicecandidate = e => e.candidate && a.addIceCandidate(e.candidate)
  const channel = a.createDataChannel("x")
  channel.onopen = () => { for (let i = 0; i < size / chunk; i++) channel.send(new Uint8Array(chunk).fill(i)) }
  const received = new Promise(done => {
    let bytes = 0, wrong = 0
    b.ondatachannel = e => {
      e.channel.binaryType = "arraybuffer"
      e.channel.onmessage = m => {
        const data = new Uint8Array(m.data)
        if (data.some(x => x != bytes / chunk)) wrong++
        bytes += data.length
        if (bytes >= size) done(bytes + " bytes, " + wrong + " wrong")
      }
    }
  })
  await a.setLocalDescription()
  await b.setRemoteDescription(a.localDescription)
  await b.setLocalDescription()
  await a.setRemoteDescription(b.localDescription)
  const result = await received
  const kinds = []
  for (const pc of [a, b]) (await pc.getStats()).forEach(s => {
    if (s.type == "local-candidate") kinds.push(s.candidateType + "/" + s.relayProtocol)
  })
  a.close(); b.close()
  return result + ", " + [...new Set(kinds)].join(" ")
}
(async () => {
  for (const transport of ["udp", "tcp"])
    console.log("RESULT " + await meet("turn:` + cableNode + `:3478?transport=" + transport))
  console.log("END")
})()
</script>`

// A browser's two ends meet at the node's relay addresses alone, over UDP and over TCP.
func TestBrowserThroughTURN(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: a browser takes its time; not with -short")
	}
	needs(t, map[string]string{"chromium": "chromium", "ip": "iproute2"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	wire, dir := newCable(t), browserHome(t)
	wire.serve(ctx, t, "turn: {users: {alice: wonderland}}\n")

	html := filepath.Join(dir, "page.html")
	if err := os.WriteFile(html, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	chromium := in(ctx, wire.client, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--remote-debugging-port=0", "--enable-logging=stderr", "file://"+html)
	said, err := chromium.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	startBrowser(t, chromium, dir)
	var all strings.Builder
	var results []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		all.WriteString(lines.Text() + "\n")
		if _, result, ok := strings.Cut(lines.Text(), `"RESULT `); ok {
			result, _, _ = strings.Cut(result, `"`)
			results = append(results, result)
		}
		if strings.Contains(lines.Text(), `"END"`) {
			break
		}
	}
	want := []string{"1048576 bytes, 0 wrong, relay/udp", "1048576 bytes, 0 wrong, relay/tcp"}
	if strings.Join(results, "\n") != strings.Join(want, "\n") {
		t.Errorf("results %q, want %q; the browser said:\n%s", results, want, all.String())
	}
}
