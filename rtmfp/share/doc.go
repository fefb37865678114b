// Package share divides what many use among them: things that are held (Ledger), what
// is remembered (Cache), rates (Meter), and turns (Queue).
//
// One rule holds for all of them. What there is may be had by anybody until more than
// half of it is in use: nobody is refused for what nobody else wants. From then on
// each prefix (/24, or /56 of IPv6) has a share, and each wide prefix (/16 or /32), so
// that neither many clients of one address nor many addresses of one network leave
// nothing to others.
package share
