package rtmfp

import "time"

// Sizes, in bytes.
const (
	// MaxDatagram is the largest UDP payload sent to a peer. Flash "risks to
	// ignore" larger ones.
	MaxDatagram = 1192

	// MaxReceive is the largest UDP payload accepted: others send startup
	// packets of up to 4,256 bytes in one datagram.
	MaxReceive = 4352

	cookieLen = 64 // the only length librtmfp accepts
	tagLen    = 16 // assumed by older servers and librtmfp

	maxTag         = 128  // accepted from others; ours are tagLen
	maxCertificate = 4096 // accepted from others: static keys in four groups are under 1,200
	maxComponent   = 2048 // session key component: groups 16, 14 and 2 together need 1076
)

// Numbers of things kept.
const (
	maxCandidates  = 24      // REDIRECT_THRESHOLD, RFC 7016 3.5.1.1.1
	maxOpenings    = 1024    // sessions being initiated
	maxKeyings     = 4096    // IIKeyings waiting for public-key work: 2,000 peers may join at once, by half of it
	maxSessions    = 1 << 20 // a second bound behind the per-prefix limit
	maxEarly       = 18      // packets kept in S_KEYING_SENT that only the session key can open
	maxSeenKeyings = 1 << 17 // accepted IIKeyings remembered against replay, per generation: 2 MiB
	maxGiveWay     = 8       // sessions that give way to one that is asked for
	maxGiveWayLook = 64      // sessions looked at for one of a prefix
	maxUnproven    = 4       // sessions that one address may have asked for and not used yet
	maxPingMessage = 1024    // longer pings are not echoed
	defaultKeyPool = 32      // per group
	burstPackets   = 64      // packets one session may build in one flush
)

// Times.
const (
	cookieLifetime     = 100 * time.Second // RFC 7016 3.5.1.1.2: not less than 95 s
	defaultOpenTimeout = 95 * time.Second  // RFC 7016 3.5.1.1.1
	defaultRetry       = time.Second       // first repeat of IHello and IIKeying
	retryStep          = 1500 * time.Millisecond
	provenTimeout      = 30 * time.Second // an S_OPEN responder session nobody has used yet
	unprovenYoung      = time.Second      // the age at which such a one may give way: more than most round trips
	doubtTimeout       = 10 * time.Second // silence of a session whose address another endpoint proved
	closeInterval      = 5 * time.Second  // RFC 7016 3.5.5
	closeTimeout       = 90 * time.Second
	lingerTimeout      = 19 * time.Second
	idlePing           = 2 * time.Minute // silence after which any session is pinged
	minDead            = 30 * time.Second
	mobilityInterval   = time.Second // RFC 7016 3.5.4.2
	mobilityLifetime   = 120 * time.Second
	tcrWindow          = 800 * time.Millisecond // RFC 7016 2.2.4
)

// Rates. IHellos that bring an RHello over three times their size, as packets on the
// network, are rationed per prefix (/24 or /56).
const (
	shortHelloRate  = 5 // per second
	shortHelloBurst = 50

	defaultHandshakeRate  = 20 // sessions opened per second and prefix
	defaultHandshakeBurst = 200

	forwardRate  = 50 // FIHellos answered per second and session
	forwardBurst = 100
)
