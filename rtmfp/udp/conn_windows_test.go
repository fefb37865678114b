package udp

import "golang.org/x/sys/windows"

const errICMP = windows.WSAECONNRESET
