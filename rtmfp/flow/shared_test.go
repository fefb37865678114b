package flow

import (
	"bytes"
	"testing"
	"time"
)

// A message that nobody changes is not copied for each flow, and nothing that is done to
// one of them changes it.
func TestSharedMessage(t *testing.T) {
	w := newWorld(t, network{delay: 10 * time.Millisecond, loss: 0.2})
	msg := content(1, 5000)
	before := bytes.Clone(msg)
	flows := []*SendFlow{w.a.open("one", SendOptions{}), w.a.open("two", SendOptions{})}
	for _, f := range flows {
		write(t, f, msg, WriteOptions{Shared: true})
		if data := f.queue.head.msg.data; &data[0] != &msg[0] {
			t.Error("it was copied")
		}
		if f.Buffered() < len(msg) {
			t.Errorf("counts %d bytes", f.Buffered())
		}
	}
	w.until(time.Minute, func() bool { return flows[0].Buffered()+flows[1].Buffered() == 0 })
	for _, f := range flows {
		sameMessages(t, w.b.got[f.ID()].messages, [][]byte{before})
		f.Close()
	}
	if !bytes.Equal(msg, before) {
		t.Error("it was changed")
	}
	w.rest()
}
