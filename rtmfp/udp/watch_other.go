//go:build !linux

package udp

import "context"

func watchSystem(context.Context, func()) {}
