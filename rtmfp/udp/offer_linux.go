package udp

// offer is how many slots a read shows to the kernel, which looks for a further datagram until they are
// full, in vain for the last, and takes some time to look at each: half as much again as a lone datagram
// costs. So the offer follows the traffic.
type offer struct {
	slots    int // of the next read, at least 1
	burst    int // datagrams read since a read last emptied the socket
	patience int // lone datagrams between two looks for company
	alone    int // of these, still to come
}

// maxPatience bounds the datagrams of a burst that are read one by one when lone ones came before.
const maxPatience = 15

// adapt sets the next offer after a read that filled n. It doubles until a read empties the socket, and is
// then what came since the last that did.
func (o *offer) adapt(n int) {
	o.burst += n
	switch {
	case n < o.slots && o.burst <= 2 && n == 1: // it was looked for, and there was none
		o.patience = min(2*o.patience+1, maxPatience)
		o.slots, o.burst, o.alone = 1, 0, o.patience
	case n < o.slots:
		o.slots = max(1, min(o.burst, maxBatch))
		o.burst, o.patience = 0, 0
	case o.slots == 1 && o.alone > 0:
		o.alone--
		o.burst = 0
	default:
		o.slots = min(2*n, maxBatch)
	}
}
