package udp

import "golang.org/x/sys/windows"

const icmpError = windows.WSAECONNRESET
