// Package kernel makes networks of network namespaces: real NATs and firewalls
// of the Linux kernel, and, for what the kernel cannot do, the exact NAT of
// package lab in the kernel's place. It needs Linux, root, ip, nft and
// /dev/net/tun.
//
// A site is one of lab's kinds. What connects the sites, and the node, is this
// process: each has a line, a TUN device as its way out, and packets cross from
// line to line with delay and loss. The networks have no way to the machine's
// own, and addresses (documentation ranges, 100.64.0.0/10 and private ones)
// exist inside of the namespaces only.
//
// Namespaces are named natlab-PID.N-SITE-ROLE, so that what a crash left behind
// can be told from what is in use, and removed.
package kernel
