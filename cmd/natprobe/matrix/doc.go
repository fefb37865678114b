// Package matrix lets peers of every kind of site call peers of every other, in
// the kernel lab, and tells who reached whom, by what path and how fast.
//
// # What a peer program does
//
// It is run by sh in a host of the lab, with the node in the environment:
// PILEUS_SERVER=rtmfp://192.0.2.1/natprobe/lab/matrix. It connects, and writes
// to the standard output, a line each:
//
//	PEERID <64 hexadecimal digits>     its own peer ID
//	READY [echo]                       it is connected and told its addresses
//
// From then on others may call it. It reads the standard input; a line
//
//	CONNECT <64 hexadecimal digits>
//
// has it open a session with that peer through the node, and write one of
//
//	CONNECTED far=<address:port> ms=<milliseconds since CONNECT>
//	FAIL reason=<words>
//
// One that said "READY echo" sends something over the session that the other answers,
// whatever it is, and writes when the answer is there
//
//	ECHO ms=<milliseconds since CONNECT>
//
// so that a session that is open at one end only, or has other keys there, shows: it is
// called dead.
//
// Other lines are ignored. The end of the standard input ends the program, and
// so does SIGTERM.
package matrix
