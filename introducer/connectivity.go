package introducer

import (
	"time"

	"pileus/natprobe"
	"pileus/rtmfp/amf"
)

// connectivityApp is the application path at which a client is told what its
// NAT does.
const connectivityApp = "connectivity"

// reportConnectivity sends the event that Flash applications know, and the
// node's own words for it.
func (p *Peer) reportConnectivity(obs []natprobe.Observation, now time.Time) {
	c := natprobe.NewConnectivity(obs, now)
	members := []amf.Member{
		{Name: "publicAddress", Value: amf.String(p.Addr().String())},
		{Name: "publicAddressIsLocal", Value: answer(c.PublicAddressIsLocal)},
		{Name: "publicPortMatchesLocalPort", Value: answer(c.PublicPortMatchesLocalPort)},
		{Name: "receiveSameAddressDifferentPortAllowed", Value: answer(c.ReceiveSameAddressDifferentPortAllowed)},
		{Name: "receiveDifferentAddressDifferentPortAllowed", Value: answer(c.ReceiveDifferentAddressDifferentPortAllowed)},
		{Name: "sendAfterIntroductionAllowed", Value: answer(c.SendAfterIntroductionAllowed)},
		{Name: "sendAfterIntroductionPreservesSourceAddress", Value: answer(c.SendAfterIntroductionPreservesSourceAddress)},
		{Name: "sendAfterIntroductionPreservesSourcePort", Value: answer(c.SendAfterIntroductionPreservesSourcePort)},
		{Name: "mapping", Value: amf.String(c.Mapping.String())},
		{Name: "filtering", Value: amf.String(c.Filtering.String())},
		{Name: "portStep", Value: amf.Number(c.PortStep)},
		{Name: "natClass", Value: amf.String(c.NATClass.String())},
		{Name: "advice", Value: amf.String(c.Advice)},
	}
	// A client that is gone hears nothing.
	_ = p.conn.Status("status", "NetConnection.ConnectivityCheck.Results", "What this network does to UDP.", members...)
}

// answer is true, false or, where nothing is known, undefined.
func answer(a natprobe.Answer) amf.Value {
	if a == natprobe.Unknown {
		return amf.Undefined{}
	}
	return amf.Boolean(a == natprobe.Yes)
}
