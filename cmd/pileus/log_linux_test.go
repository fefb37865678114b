package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// piped is a node whose log goes into a pipe of 4 KiB, of which the banner was read.
func piped(t *testing.T) (node *exec.Cmd, log *os.File, client, admin string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	node = exec.Command(os.Args[0], "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--probe-ports", "", "--relay-ports", "")
	node.Env = append(os.Environ(), asProgram+"=1")
	node.Stderr = w
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() { _ = node.Process.Kill(); _ = node.Wait() })
	var banner []byte
	for b := make([]byte, 1000); !bytes.Contains(banner, []byte("  stop ")); {
		n, err := r.Read(b)
		if err != nil {
			t.Fatalf("%v after:\n%s", err, banner)
		}
		banner = append(banner, b[:n]...)
	}
	find := func(pattern string) string { return string(regexp.MustCompile(pattern).FindSubmatch(banner)[1]) }
	return node, r, find(`listening +(\S+)/udp`), find(`admin +(http://[^/]+)/`)
}

// A pipe that nobody reads stops nobody: clients join, and the operator sees what is missing of the log.
func TestNobodyReadsTheLog(t *testing.T) {
	node, log, at, admin := piped(t)
	for i := range 60 {
		if c := connects(t, "rtmfp://"+at+"/app/"+strings.Repeat("x", 200)); !c.connected() {
			t.Fatalf("client %d is not taken: %s", i, c.why())
		} else {
			c.close()
		}
	}
	if status, body := fetch(t, admin+"/healthz", ""); status != 200 {
		t.Errorf("/healthz: %d %s", status, body)
	}
	if _, body := fetch(t, admin+"/metrics", ""); !strings.Contains(body, `pileus_log_lines_lost_total{reason="full"} 0`) {
		t.Error("lost lines are not counted, or were lost before a mebibyte waited")
	}
	// It ends when it is told to, though its last words find no reader.
	began := time.Now()
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > closeGrace+outletGrace+3*time.Second {
		t.Errorf("it took %v", took)
	}
	if text, err := io.ReadAll(log); err != nil || len(text) == 0 {
		t.Errorf("nothing of the log is in the pipe: %v", err)
	}
}

// Whoever reads the log may end: the node does not.
func TestTheReaderOfTheLogEnds(t *testing.T) {
	node, log, at, admin := piped(t)
	log.Close()
	for range 3 {
		if c := connects(t, "rtmfp://"+at+"/app"); !c.connected() {
			t.Fatal(c.why())
		}
	}
	eventually(t, "counted", func() bool {
		_, body := fetch(t, admin+"/metrics", "")
		return strings.Contains(body, `pileus_log_lines_lost_total{reason="failed"}`) && !strings.Contains(body, `reason="failed"} 0`)
	})
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
}
