package flash

// replayWindow detects session sequence numbers that were seen before (RFC 7425
// section 4.7.3.3), in the manner of RFC 4303 section 3.4.3.
type replayWindow struct {
	next uint64 // one above the highest number seen; 0 before the first
	seen uint64 // bit i: next-1-i was seen
}

// replayWindowSize is how far behind the highest number a packet may come. "The
// receiver MUST allow for packets to be reordered in the network by up to at
// least 32 sequence numbers".
const replayWindowSize = 64

// accept records seq; it is false, and changes nothing, if seq was seen or is too
// old to tell.
func (w *replayWindow) accept(seq uint64) bool {
	if seq == ^uint64(0) {
		return false // also what longer numbers saturate to: no order among them
	}
	if seq >= w.next {
		shift := seq - w.next + 1
		w.seen = w.seen<<shift | 1 // shifts of 64 and more give 0
		w.next = seq + 1
		return true
	}
	age := w.next - 1 - seq
	if age >= replayWindowSize || w.seen>>age&1 != 0 {
		return false
	}
	w.seen |= 1 << age
	return true
}
