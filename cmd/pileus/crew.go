package main

import "sync"

// A crew is goroutines of which more may come while they run.
type crew struct {
	mu      sync.Mutex
	serving bool
	waiting []func()
	running sync.WaitGroup
}

// add runs f on a goroutine: now, or when start is called.
func (c *crew) add(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serving {
		c.running.Go(f)
	} else {
		c.waiting = append(c.waiting, f)
	}
}

func (c *crew) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serving = true
	for _, f := range c.waiting {
		c.running.Go(f)
	}
	c.waiting = nil
}

// end waits for those that run; whatever is added from now on does not.
func (c *crew) end() {
	c.mu.Lock()
	c.serving = false
	c.mu.Unlock()
	c.running.Wait()
}
