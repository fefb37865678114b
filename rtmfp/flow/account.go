package flow

// Account counts what is held for far ends, in bytes of memory or in whatever else is
// shared. Accounts form a tree: what a session holds, its prefix holds, and so on up
// to the root, which is the engine's. The zero Account is a root without a limit.
type Account struct {
	of    *Account
	held  int64
	limit int64 // 0: none
	over  int64 // times that somebody was refused by OverLimit
}

// Init makes a an empty account in another one, with a limit of its own; 0 is none. That
// of the root is for all that is shared out. That of any other is a share of it, which
// binds only while more than half of the whole is in use: nobody is refused for what
// nobody else wants.
func (a *Account) Init(of *Account, limit int64) { *a = Account{of: of, limit: limit} }

// SetLimit changes the limit. What is held above it stays.
func (a *Account) SetLimit(n int64) { a.limit = n }

// Held is what is held now.
func (a *Account) Held() int64 { return a.held }

// Limit is the account's own limit; 0 is none.
func (a *Account) Limit() int64 { return a.limit }

// Refused is how often a root's limit had Ask refuse somebody.
func (a *Account) Refused() int64 { return a.over }

// Add counts n more, or fewer.
func (a *Account) Add(n int64) {
	if n == 0 {
		return
	}
	for ; a != nil; a = a.of {
		a.held += n
	}
}

// Move puts the account, with all it holds, into another one.
func (a *Account) Move(of *Account) {
	if a.of == of {
		return
	}
	a.of.Add(-a.held)
	a.of = of
	of.Add(a.held)
}

// Refusal says why n more are not to be held.
type Refusal uint8

// Whether there is room.
const (
	Granted   Refusal = iota
	OverShare         // of one of the accounts on the way to the root
	OverLimit         // of the root

	NumRefusals = iota
)

// Ask tells whether n more may be held, up to so many eighths of the root's limit: what
// can better be done without may have less of it.
func (a *Account) Ask(n, eighths int64) Refusal {
	over := false
	for ; a.of != nil; a = a.of {
		over = over || a.Exceeds(n)
	}
	switch {
	case a.beyond(n, eighths):
		a.over++
		return OverLimit
	case over && a.Strained():
		return OverShare
	}
	return Granted
}

// Exceeds reports whether n more would be above the account's own limit.
func (a *Account) Exceeds(n int64) bool { return a.limit > 0 && a.held+n > a.limit }

// Strained reports whether more than half of a root's limit is held.
func (a *Account) Strained() bool { return a.limit > 0 && a.held > a.limit/2 }

// Over reports whether more than a root's limit is held.
func (a *Account) Over() bool { return a.Exceeds(0) }

// Eighths of the root's limit.
const (
	refusable = 6 // for what its sender sends again: all behind a gap
	beginning = 7 // for flows that begin
	overdraft = 9 // for messages of this end: until the engine has ended those who hold most
)

func (a *Account) beyond(n, eighths int64) bool {
	return a.limit > 0 && a.held+n > a.limit/8*eighths
}

// overdrawn reports whether n more would be too much even for what is better kept.
func (a *Account) overdrawn(n int64) bool {
	for a.of != nil {
		a = a.of
	}
	return a.beyond(n, overdraft)
}
