package netconn

import "pileus/rtmfp/flow"

// Priorities of flows. All of them are time critical, as those of the reference
// endpoint are: other transfers of the far end's senders yield. Between them
// sound goes first and pictures last.
const (
	priorityControl = flow.PriorityImmediate
	priorityAudio   = flow.PriorityFlash
	priorityData    = flow.PriorityImmediate
	priorityVideo   = flow.PriorityElevated
)
