package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pileus/cmd/pileus/api"
)

// Core servers of another implementation register here; clients find them, and
// the other one when one goes.
func TestLiveCores(t *testing.T) {
	referenceDir(t)
	file := config(t, "listen: ['127.0.0.1:0']\nhostname: lb.example\nprobe: {ports: off}\nrelay: {extra: []}\nstun: {ports: []}\nlog: {level: error}\n"+
		"cores: {keys: {one: "+testSecret+", two: "+testSecret+"}}\nadmin: {listen: '127.0.0.1:0'}\n")
	n := serving(t, "--config", file)
	addr, at := n.find(`listening    (127\.0\.0\.1:\d+)/udp`), n.find(`admin        (http://127\.0\.0\.1:\d+)/`)
	cores := func() (l api.Cores) {
		_, body := order(t, at, "GET", "/cores", "", "")
		if err := json.Unmarshal([]byte(body), &l); err != nil {
			t.Error(err)
		}
		return l
	}
	for i, key := range []string{"one:" + testSecret, "two:" + testSecret, "one:wrong-password-000"} {
		reference(t, "tcserver", "-H", "-S", "-B", fmt.Sprintf("127.0.0.1:%d", 29551+i), "-L", "lb.example@"+addr, "-l", key)
	}
	eventually(t, "both register", func() bool { return len(cores().Cores) == 2 })
	for range 4 {
		c := reference(t, "tcconn", "-H", "-S", "-v", "rtmfp://"+addr+"/app")
		c.await(t, `NetConnection\.Connect\.Success`)
	}
	var keys []string
	for _, c := range cores().Cores {
		keys = append(keys, c.KeyID)
		if c.Sent == 0 {
			t.Errorf("%s got no client", c.KeyID)
		}
	}
	if got := strings.Join(keys, " "); got != "one two" && got != "two one" {
		t.Errorf("registered by %s", got)
	}
}
