// Package api is a node's HTTP interface for programs, /api/v1: its peers,
// introductions and relayed pairs as JSON, what happens as server-sent events,
// and the orders of an operator. openapi.json describes it.
package api
