package introducer

import "pileus/rtmfp/flow"

// GroupRefusal is why a client did not get into a NetGroup.
type GroupRefusal uint8

// The refusals. The set is closed: each is a counter.
const (
	GroupNoClient    GroupRefusal = iota // it has not connected, or its certificate proves no peer ID
	GroupMalformed                       // its message asks for no group, or for a second one on one flow
	GroupJoined                          // it is in group.MaxJoined groups
	GroupTenant                          // its tenant has all the groups it may have
	GroupNode                            // the groups of the node have Limits.Memberships members
	GroupShare                           // its network has its share of either
	NumGroupRefusals = iota
)

var groupRefusals = [NumGroupRefusals]string{"no_client", "malformed", "joined", "tenant", "node", "share"}

// String is the refusal as a label of metrics.
func (r GroupRefusal) String() string {
	if int(r) < NumGroupRefusals {
		return groupRefusals[r]
	}
	return "unknown"
}

// refuseGroup counts a refusal and says it in the flow's terms.
func (n *Node) refuseGroup(r GroupRefusal) *flow.Exception {
	n.stats.GroupRefused[r]++
	return &flow.Exception{}
}
