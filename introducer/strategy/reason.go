package strategy

// reasons are in the order in which they are told: what keeps two apart before
// what joins them.
var reasons = [...]struct {
	of   meeting
	text string
}{
	{noHairpin, "the NAT they share does not turn packets around"},
	{apart, "a port is chosen for each destination, and the other side lets in only ports it has sent to"},
	{oneWay, "packets pass in one direction only: the answers leave from a port that the other side does not expect"},
	{mute, "the target answers no introductions, and its NAT lets no stranger in"},
	{blockedInitiator, "the initiator's UDP leaves only towards some ports or addresses"},
	{blockedTarget, "the target's UDP leaves only towards some ports or addresses"},
	{openTarget, "the target takes packets from anybody"},
	{openInitiator, "the initiator takes packets from anybody"},
	{punched, "both keep one port for everybody, so the first packet of each opens its side for the other"},
	{lenient, "a port changes with the destination, but no filter on the way minds"},
	{predictTarget, "the target's NAT takes port after port: its next ones are named to the initiator"},
	{predictInitiator, "the initiator's NAT takes port after port: its next ones are named to the target"},
	{predictBoth, "both NATs take port after port: the next ones of each are named to the other, in the same order"},
}

// why is the reason for m.path().
func (m meeting) why() string {
	if m.path() == PathUnsure {
		return "too little is known: " + (m & direct).first() + ", or " + (m &^ direct).first()
	}
	return m.first()
}

func (m meeting) first() string {
	for _, r := range reasons {
		if m.has(r.of) {
			return r.text
		}
	}
	return "they have no address family in common"
}
