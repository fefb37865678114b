package strategy

// filter is which packets from outside a NAT or firewall lets in.
type filter uint8

const (
	fromAnybody filter = iota
	fromKnownAddress
	fromKnownPort
)

// kind is one way a side may be, with nothing left open.
type kind struct {
	dependent bool // its port changes with the destination
	steps     bool // then: by a step that can be predicted
	filter    filter
	blocked   bool // its packets reach only some ports or addresses
	silent    bool // it answers no introduction
}

// open reports whether anybody reaches it at its observed address.
func (k kind) open() bool { return !k.dependent && k.filter == fromAnybody }

// meeting is what becomes of two kinds that try to meet; a set of them, of two
// sides of which not all is known.
type meeting uint16

const (
	openTarget    meeting = 1 << iota // it takes packets from anybody
	openInitiator                     // so does it
	punched                           // both keep their ports: first packets open the way
	lenient                           // a port changes, but the other's filter does not mind
	predictInitiator
	predictTarget
	predictBoth

	oneWay // packets pass in one direction only
	apart  // no side can know the port of the other
	noHairpin
	blockedInitiator
	blockedTarget
	mute // the target would have to answer an introduction, and does not

	reached   = openTarget | openInitiator | punched | lenient
	predicted = predictInitiator | predictTarget | predictBoth
	direct    = reached | predicted
)

// has reports whether any of o is in m.
func (m meeting) has(o meeting) bool { return m&o != 0 }

// only reports whether m is known, and nothing but o.
func (m meeting) only(o meeting) bool { return m != 0 && m&^o == 0 }

// meet is the rule. The initiator sends to the addresses named to it, the target,
// told by a forwarded hello, to those of the initiator; each answers where packets
// come from.
func meet(initiator, target kind) meeting {
	switch {
	case initiator.blocked:
		return blockedInitiator
	case target.blocked:
		return blockedTarget
	case target.silent:
		return meetSilent(initiator, target)
	case target.open():
		return openTarget
	case initiator.open():
		return openInitiator
	case !initiator.dependent && !target.dependent:
		return punched
	case initiator.dependent && target.dependent:
		return meetBothDependent(initiator, target)
	case initiator.dependent:
		return meetDependent(initiator, target, predictInitiator)
	default:
		return meetDependent(target, initiator, predictTarget)
	}
}

// meetDependent: changing cannot be known, unless by prediction; fixed is always
// at its observed address.
func meetDependent(changing, fixed kind, predict meeting) meeting {
	switch {
	case fixed.filter != fromKnownPort:
		return lenient
	case changing.steps:
		return predict
	case changing.filter == fromAnybody:
		return oneWay
	}
	return apart
}

// meetBothDependent: a packet gets in only at the observed address of a side that
// filters nobody. Its answer then leaves from another port.
func meetBothDependent(a, b kind) meeting {
	openA, openB := a.filter == fromAnybody, b.filter == fromAnybody
	switch {
	case openA && b.filter != fromKnownPort, openB && a.filter != fromKnownPort:
		return lenient
	case a.steps && b.steps:
		return predictBoth
	case openA || openB, a.guessed(), b.guessed():
		return oneWay
	}
	return apart
}

// guessed reports whether its filter lets in answers from any port to one of its own
// that was guessed right.
func (k kind) guessed() bool { return k.steps && k.filter == fromKnownAddress }

// meetSilent: a target that does not answer introductions opens no way for the
// initiator; but it may answer the initiator itself.
func meetSilent(initiator, target kind) meeting {
	if target.filter != fromAnybody || target.dependent && initiator.filter == fromKnownPort {
		return mute
	}
	return openTarget
}
