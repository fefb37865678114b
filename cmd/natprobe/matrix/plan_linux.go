package matrix

import (
	"fmt"

	"pileus/natprobe/lab"
	"pileus/natprobe/lab/kernel"
)

// endpoint is one end of a cell in the lab: a site and one of its hosts.
type endpoint struct {
	label string
	host  int
}

// job is one try of a cell.
type job struct {
	cell     *Cell
	from, to endpoint
	number   int // of the try
}

// plan lists the sites, one for each role so that a kind can call itself, the
// cells, and the jobs in their order.
func (c *Config) plan() (sites []kernel.Site, cells []*Cell, jobs []*job) {
	site := func(role string, k lab.Kind, copied int) string {
		return fmt.Sprintf("%s%d.%s", role, copied, k.Name)
	}
	for copied := range c.Copies {
		for role, kinds := range [][]lab.Kind{c.Initiators, c.Targets, c.Neighbours} {
			for _, k := range kinds {
				s := kernel.Site{Label: site("itn"[role:role+1], k, copied), Kind: k}
				if role == 1 {
					s.Extra = c.CalledExtra
				}
				sites = append(sites, s)
			}
		}
	}
	for try := range c.Tries {
		copied, next := try%c.Copies, 0
		add := func(initiator, target string, from, to endpoint) {
			if try == 0 {
				cells = append(cells, &Cell{Initiator: initiator, Target: target})
			}
			jobs = append(jobs, &job{cells[next], from, to, try})
			next++
		}
		for _, i := range c.Initiators {
			for _, t := range c.Targets {
				add(i.Name, t.Name, endpoint{site("i", i, copied), 0}, endpoint{site("t", t, copied), 0})
			}
		}
		for _, k := range c.Neighbours {
			label := site("n", k, copied)
			add(k.Name+"/a", k.Name+"/b", endpoint{label, 0}, endpoint{label, 1})
			add(k.Name+"/b", k.Name+"/a", endpoint{label, 1}, endpoint{label, 0})
		}
	}
	return sites, cells, jobs
}
