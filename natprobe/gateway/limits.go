package gateway

import (
	"net/netip"
	"time"
)

// Anybody on the network may answer as a router, with whatever is to keep a
// client busy.
const (
	// patience is for all of it.
	patience = 4 * time.Second
	// searchTime is how long UPnP's routers may take to answer to multicast: more
	// than the second that they are asked to answer within.
	searchTime = 2 * time.Second
	// maxAnswers are taken to a search, and as many of the default router's.
	// There are tens of devices on a network.
	maxAnswers = 64
	// maxAnswerBytes bounds a datagram of theirs: it has a few lines.
	maxAnswerBytes = 2048
	// maxDevices are asked for their descriptions: those of the default router,
	// and others' in the order in which they answered.
	maxDevices = 4
	// maxServices of a device are asked for the address: it has one for each line.
	maxServices = 4
	// maxBody bounds a description and an answer, in bytes. Descriptions of whole
	// home servers have some tens of KiB.
	maxBody = 256 << 10
	// maxElements of a text are read: more than descriptions of whole home servers have.
	maxElements = 1 << 14
	// maxFaults of a text are passed over.
	maxFaults = 64
	// maxHeader bounds the header of an HTTP response, in bytes.
	maxHeader = 16 << 10
	// fetchTime is for one of them, from the connection to its last byte.
	fetchTime = 1500 * time.Millisecond

	// firstWait is until a request over UDP is sent again; it doubles. RFC 6887
	// section 8.1.1 would have it 3 seconds, RFC 6886 section 3.1 250 ms.
	firstWait = 250 * time.Millisecond
	// pmpTime is for NAT-PMP, whose library does not hear of an interrupt.
	pmpTime = 2 * time.Second
	// releaseTime is for the answer to the release of a mapping.
	releaseTime = time.Second
	// mappingTime is how long a mapping would stay that could not be released:
	// servers should grant no less than 120 seconds (RFC 6887 section 15).
	mappingTime = 120 * time.Second
	// maxPCP is the length of the longest message of PCP, in bytes (RFC 6887
	// section 7).
	maxPCP = 1100
)

// routerPort is that of PCP and NAT-PMP (RFC 6887 section 19.1).
const routerPort = 5351

// ssdpGroup is where devices of UPnP listen.
var ssdpGroup = netip.MustParseAddrPort("239.255.255.250:1900")
