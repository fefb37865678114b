package share

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestCacheForgetsOnesOwn(t *testing.T) {
	c := NewCache[int, string](1000, 10, 50)
	one, other := at(10, 1, 0, 1), at(198, 51, 100, 1)
	for i := range 20 {
		c.Put(-1-i, "kept", other)
	}
	// What one address asks to be remembered pushes out what it asked for before.
	for i := range 5000 {
		c.Put(i, "", one)
	}
	if c.Len() < 500 || c.Len() > 502 {
		t.Errorf("%d remembered", c.Len())
	}
	for i := range 20 {
		if v, known := c.Get(-1 - i); !known || v != "kept" {
			t.Fatal("others' are forgotten for it")
		}
	}
	// All of one network, and there is still room for others.
	for i := range 5000 {
		c.Put(10_000+i, "", at(10, 1, byte(i), 1))
	}
	for i := range 300 {
		c.Put(-100-i, "", netip.AddrFrom4([4]byte{100, byte(i), 0, 1}))
	}
	if _, known := c.Get(-1); !known {
		t.Error("others' are forgotten for a network")
	}
	if k, _, ok := c.Oldest(); !ok || k != -1 {
		t.Errorf("the oldest is %d", k)
	}
	c.Delete(-1)
	if k, _, _ := c.Oldest(); k != -2 {
		t.Errorf("then it is %d", k)
	}
}

func TestCacheProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 30).Draw(t, "size")
		c := NewCache[int, int](size, rapid.IntRange(0, 100).Draw(t, "prefix"), rapid.IntRange(0, 100).Draw(t, "wide"))
		last := map[int]int{}
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			k := rapid.IntRange(0, 40).Draw(t, "key")
			if rapid.IntRange(0, 4).Draw(t, "step") == 0 {
				c.Delete(k)
				delete(last, k)
				continue
			}
			c.Put(k, i, at(10, byte(k%2), byte(k%5), 1))
			last[k] = i
			if v, known := c.Get(k); !known || v != i {
				t.Fatalf("%d, %v right after %d", v, known, i)
			}
		}
		n := 0
		for _, l := range c.prefixes {
			n += l.Len()
		}
		if c.Len() > size || len(c.entries) != c.Len() || n != 2*c.Len() {
			t.Fatalf("%d, %d and %d of %d", c.Len(), len(c.entries), n, size)
		}
		for k := range c.entries {
			if v, _ := c.Get(k); v != last[k] {
				t.Fatalf("%d of %d, want %d", v, k, last[k])
			}
		}
	})
}
