package binding

// AnswersPerPrefix is how many answers a second, and how many at once, a server
// sends to one prefix (see udp.Prefix) unless it is told otherwise. Whoever asks may
// have forged his address, but an answer is at most three times its question, as IP
// packets: so many are a carrier's clients that start together, or some 800 kbit/s
// at a victim for a third of that.
const AnswersPerPrefix = 1000
