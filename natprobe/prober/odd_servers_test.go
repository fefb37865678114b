package prober_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"

	"pileus/natprobe"
	"pileus/natprobe/binding"
	"pileus/natprobe/lab"
	"pileus/natprobe/prober"
	"pileus/natprobe/report"
)

// question is what an odd server gets.
type question struct {
	data     []byte
	from, at netip.AddrPort
	nth      int // of those that came to it
}

// reply is what it sends.
type reply struct {
	data  []byte
	from  netip.AddrPort
	to    netip.AddrPort // zero: who asked
	after time.Duration
}

// odd is a server that does not do as RFC 8489 and 5780 have it. n.server does.
type odd func(n *network, q question) []reply

// good is the right answer.
func good(n *network, q question) []reply {
	r, ok := n.server.Respond(q.data, q.from, q.at)
	if !ok {
		return nil
	}
	return []reply{{data: r.Data, from: r.From, to: r.To}}
}

// changed has the bytes of right answers changed.
func changed(f func(b []byte) []byte) odd {
	return func(n *network, q question) []reply {
		replies := good(n, q)
		for i := range replies {
			replies[i].data = f(replies[i].data)
		}
		return replies
	}
}

// rebuilt has answers of its own in place of right ones: those attributes, to that
// request, from the right address.
func rebuilt(class stun.MessageType, set func(q question) []stun.Setter) odd {
	return func(n *network, q question) []reply {
		right := good(n, q)
		if right == nil {
			return nil
		}
		m := stun.MustBuild(append([]stun.Setter{class, stun.NewTransactionIDSetter(binding.TransactionOf(q.data))}, set(q)...)...)
		return []reply{{data: m.Raw, from: right[0].from}}
	}
}

// refuses answers with an error.
func refuses(code int, more ...stun.Setter) odd {
	return rebuilt(stun.BindingError, func(question) []stun.Setter {
		return append([]stun.Setter{stun.ErrorCodeAttribute{Code: stun.ErrorCode(code), Reason: []byte("\x1b[2Jno")}}, more...)
	})
}

// sends answers everything with the same bytes.
func sends(b []byte) odd {
	return func(_ *network, q question) []reply { return []reply{{data: b, from: q.at}} }
}

func plainAddress(t stun.AttrType, a netip.AddrPort) stun.Setter {
	family := byte(1)
	if a.Addr().Is6() {
		family = 2
	}
	v := binary.BigEndian.AppendUint16([]byte{0, family}, a.Port())
	return stun.RawAttribute{Type: t, Value: append(v, a.Addr().AsSlice()...)}
}

func xorAddress(a netip.AddrPort) stun.Setter {
	return &stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}

// changes reports what a request wants of where its answer comes from.
func changes(b []byte) (ip, port bool) {
	var m stun.Message
	if stun.Decode(b, &m) != nil {
		return false, false
	}
	v, err := m.Get(stun.AttrChangeRequest)
	return err == nil && len(v) == 4 && v[3]&4 != 0, err == nil && len(v) == 4 && v[3]&2 != 0
}

var (
	ap       = netip.MustParseAddrPort
	stranger = ap("203.0.113.50:3478")
)

// servers are the odd ones, each with what is true of it.
func servers() []struct {
	name   string
	server odd
	noUDP  bool
	class  natprobe.Class
	direct natprobe.Answer
	says   string   // the verdict begins so
	notes  []string // parts of notes, and of what came
} {
	full, yes := natprobe.PortRestricted, natprobe.Yes
	unknown := natprobe.ClassUnknown
	const (
		home   = "home router, endpoint-independent mapping, port-restricted"
		comes  = "UDP comes back, but nothing is known: "
		server = "192.0.2.1:3478 sends: "
		part   = "NAT, mapping"
	)
	// classic is a server of RFC 3489, as Vovida's and those made of it are.
	classic := func(n *network, q question) []reply {
		right := good(n, q)
		if right == nil {
			return nil
		}
		from := right[0].from
		m := stun.MustBuild(stun.BindingSuccess, stun.NewTransactionIDSetter(binding.TransactionOf(q.data)),
			plainAddress(stun.AttrMappedAddress, q.from), plainAddress(0x0004, from),
			plainAddress(0x0005, netip.AddrPortFrom(lab.SecondNodeAddress, 3479)),
			stun.RawAttribute{Type: 0x8022, Value: []byte("Vovida.org 0.98-CPC\x00")})
		return []reply{{data: m.Raw, from: from}}
	}
	return []struct {
		name   string
		server odd
		noUDP  bool
		class  natprobe.Class
		direct natprobe.Answer
		says   string
		notes  []string
	}{
		// Those that tell all, whatever else they do.
		{"as it should be", good, false, full, yes, home, nil},
		{"RFC 3489", classic, false, full, yes, home, []string{"MAPPED-ADDRESS alone"}},
		{"RFC 3489, hidden as in drafts", func(n *network, q question) []reply {
			r := classic(n, q)
			if len(r) > 0 {
				hidden := stun.MustBuild(stun.BindingSuccess, stun.NewTransactionIDSetter(binding.TransactionOf(q.data)), xorAddress(q.from)).Raw[20:]
				binary.BigEndian.PutUint16(hidden, 0x8020)
				r[0].data = append(r[0].data, hidden...)
				binary.BigEndian.PutUint16(r[0].data[2:], uint16(len(r[0].data)-20))
			}
			return r
		}, false, full, yes, home, nil},
		{"no cookie", func(n *network, q question) []reply {
			r := classic(n, q)
			if len(r) > 0 {
				clear(r[0].data[4:8])
			}
			return r
		}, false, full, yes, home, []string{"magic cookie"}},
		{"two seconds late", func(n *network, q question) []reply {
			r := good(n, q)
			for i := range r {
				r[i].after = 2 * time.Second
			}
			return r
		}, false, full, yes, home, []string{"answers take 2.0 s"}},
		{"every answer twice", func(n *network, q question) []reply { return append(good(n, q), good(n, q)...) }, false, full, yes, home, nil},
		{"every second answer", func(n *network, q question) []reply {
			if q.nth%2 == 0 {
				return nil
			}
			return good(n, q)
		}, false, unknown, yes, part + " EIM, filtering unknown", nil},
		{"nonsense first", func(n *network, q question) []reply {
			return append([]reply{{data: []byte("hello"), from: q.at}}, good(n, q)...)
		}, false, full, yes, home, []string{"5 bytes that are no STUN"}},
		{"an empty packet first", func(n *network, q question) []reply {
			return append([]reply{{from: q.at}}, good(n, q)...)
		}, false, full, yes, home, []string{"an empty packet"}},
		{"another's answer first", func(n *network, q question) []reply {
			r := good(n, q)
			if len(r) == 0 {
				return nil
			}
			other := slices.Clone(r[0].data)
			other[12] ^= 0xff
			return append([]reply{{data: other, from: r[0].from}}, r...)
		}, false, full, yes, home, []string{"an answer to another question"}},
		{"an indication first", func(n *network, q question) []reply {
			m := stun.MustBuild(stun.NewType(stun.MethodBinding, stun.ClassIndication), stun.NewTransactionIDSetter(binding.TransactionOf(q.data)))
			return append([]reply{{data: m.Raw, from: q.at}}, good(n, q)...)
		}, false, full, yes, home, []string{"STUN Binding indication"}},
		{"bytes behind the message", changed(func(b []byte) []byte { return append(b, make([]byte, 8)...) }), false, full, yes, home, []string{"longer than they say"}},
		{"a length too large", changed(func(b []byte) []byte { b[3] += 8; return b }), false, full, yes, home, []string{"cut off"}},
		{"an attribute cut off behind the address", changed(func(b []byte) []byte {
			b = append(b, 0x80, 0x22, 0, 200, 'x', 0, 0, 0)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
			return b
		}), false, full, yes, home, []string{"cut off"}},
		{"a wrong fingerprint", changed(func(b []byte) []byte {
			b = append(b, 0x80, 0x28, 0, 4, 1, 2, 3, 4)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
			return b
		}), false, full, yes, home, []string{"FINGERPRINT"}},
		{"an attribute that clients must know", changed(func(b []byte) []byte {
			b = append(b, 0x7f, 0xfe, 0, 4, 1, 2, 3, 4)
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)-20))
			return b
		}), false, full, yes, home, []string{"must know"}},
		{"IPv4 in IPv6", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{plainAddress(stun.AttrMappedAddress, netip.AddrPortFrom(netip.AddrFrom16(q.from.Addr().As16()), q.from.Port())), plainAddress(stun.AttrOtherAddress, netip.AddrPortFrom(lab.SecondNodeAddress, 3479))}
		}), false, full, yes, home, []string{"MAPPED-ADDRESS alone"}},
		{"it sends to another, which is good", func(n *network, q question) []reply {
			if q.at != main {
				return good(n, q)
			}
			return refuses(300, plainAddress(stun.AttrAlternateServer, netip.AddrPortFrom(lab.SecondNodeAddress, 3479)))(n, q)
		}, false, full, yes, home, []string{"sends its clients to 192.0.2.2:3479"}},

		// Those that tell a part.
		{"no second address", changed(func(b []byte) []byte {
			var m stun.Message
			if stun.Decode(b, &m) != nil || m.Type != stun.BindingSuccess {
				return b
			}
			n := &stun.Message{Type: m.Type, TransactionID: m.TransactionID}
			n.WriteHeader()
			for _, a := range m.Attributes {
				if a.Type != stun.AttrOtherAddress {
					n.Add(a.Type, a.Value)
				}
			}
			return n.Raw
		}), false, unknown, natprobe.Unknown, part + " EIM or ADM, filtering unknown", []string{"names no second address"}},
		{"it does not answer from elsewhere", func(n *network, q question) []reply {
			if ip, port := changes(q.data); ip || port {
				plain := binding.Request{Transaction: binding.TransactionOf(q.data)}.Append(nil)
				return good(n, question{data: plain, from: q.from, at: q.at})
			}
			return good(n, q)
		}, false, unknown, yes, part + " EIM, filtering unknown", []string{"does not answer from 192.0.2.1:3479"}},
		{"it refuses to answer from elsewhere", func(n *network, q question) []reply {
			if ip, port := changes(q.data); ip || port {
				r := refuses(420)(n, q)
				r[0].from = q.at
				return r
			}
			return good(n, q)
		}, false, unknown, yes, part + " EIM, filtering unknown", []string{"does not answer from 192.0.2.2:3479"}},
		{"a second address that nobody has", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{xorAddress(q.from), plainAddress(stun.AttrOtherAddress, ap("10.0.0.7:3479"))}
		}), false, unknown, natprobe.Unknown, part, []string{"calls itself 10.0.0.7:3479"}},
		{"a second address of nothing", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{xorAddress(q.from), plainAddress(stun.AttrOtherAddress, ap("0.0.0.0:3479"))}
		}), false, unknown, natprobe.Unknown, part, []string{"names no second address"}},
		{"a second address that is its own", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{xorAddress(q.from), plainAddress(stun.AttrOtherAddress, ap("192.0.2.1:3479"))}
		}), false, unknown, natprobe.Unknown, part, []string{"its own address"}},
		{"a second address of the other family", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{xorAddress(q.from), plainAddress(stun.AttrOtherAddress, ap("[2001:db8::2]:3479"))}
		}), false, unknown, natprobe.Unknown, part, []string{"another family"}},
		{"a silent second address", func(n *network, q question) []reply {
			if ip, _ := changes(q.data); ip || q.at.Addr() != lab.FirstNodeAddress {
				return nil
			}
			return good(n, q)
		}, false, unknown, natprobe.Unknown, part + " EIM or ADM, filtering APDF", nil},
		{"silent after three answers", func(n *network, q question) []reply {
			if q.nth > 3 {
				return nil
			}
			return good(n, q)
		}, false, unknown, natprobe.Unknown, "", nil},

		// Those that tell nothing, though UDP is there and back.
		{"error 300 without an address", refuses(300), false, unknown, natprobe.Unknown, comes + server + "Binding error 300", nil},
		{"error 300 to itself", refuses(300, plainAddress(stun.AttrAlternateServer, main)), false, unknown, natprobe.Unknown, comes + server + "Binding error 300", nil},
		{"error 300 to a dead one", refuses(300, plainAddress(stun.AttrAlternateServer, ap("203.0.113.99:9"))), false, unknown, natprobe.Unknown, comes + server + "Binding error 300", []string{"203.0.113.99:9 (error 300)"}},
		{"error 300 into a network", refuses(300, plainAddress(stun.AttrAlternateServer, ap("192.168.1.1:53"))), false, unknown, natprobe.Unknown, comes + server + "Binding error 300", []string{"it is not asked"}},
		{"error 300 to the other family", refuses(300, plainAddress(stun.AttrAlternateServer, ap("[2001:db8::7]:3478"))), false, unknown, natprobe.Unknown, comes + server + "Binding error 300", []string{"it is not asked"}},
		{"error 300 for ever", func(n *network, q question) []reply {
			next := netip.AddrPortFrom(lab.FirstNodeAddress, q.at.Port()+1)
			return []reply{{data: refuses(300, plainAddress(stun.AttrAlternateServer, next))(n, question{data: q.data, from: q.from, at: main})[0].data, from: q.at}}
		}, false, unknown, natprobe.Unknown, comes + server + "Binding error 300", nil},
		{"error 400", refuses(400), false, unknown, natprobe.Unknown, comes + server + "Binding error 400, the request is malformed", nil},
		{"error 401", refuses(401, stun.NewRealm("x"), stun.NewNonce("y")), false, unknown, natprobe.Unknown, comes + server + "Binding error 401, a user and a password are wanted", nil},
		{"error 403", refuses(403), false, unknown, natprobe.Unknown, comes + server + "Binding error 403, this is forbidden", nil},
		{"error 420", refuses(420), false, unknown, natprobe.Unknown, comes + server + "Binding error 420", nil},
		{"error 438", refuses(438), false, unknown, natprobe.Unknown, comes + server + "Binding error 438", nil},
		{"error 500", refuses(500), false, unknown, natprobe.Unknown, comes + server + "Binding error 500", nil},
		{"error 699", refuses(699), false, unknown, natprobe.Unknown, comes + server + "Binding error 699", nil},
		{"an error without a code", rebuilt(stun.BindingError, func(question) []stun.Setter { return nil }), false, unknown, natprobe.Unknown, comes + server + "Binding error without a code", nil},
		{"error 0", rebuilt(stun.BindingError, func(question) []stun.Setter {
			return []stun.Setter{stun.RawAttribute{Type: stun.AttrErrorCode, Value: make([]byte, 4)}}
		}), false, unknown, natprobe.Unknown, comes + server + "Binding error without a code", nil},
		{"from its other port", func(n *network, q question) []reply {
			r := good(n, q)
			for i := range r {
				r[i].from = netip.AddrPortFrom(r[i].from.Addr(), 3999)
			}
			return r
		}, false, unknown, natprobe.Unknown, comes + "192.0.2.1:3999 sends: an answer from another port, when 192.0.2.1:3478 was asked", nil},
		{"from another address", func(n *network, q question) []reply {
			r := good(n, q)
			for i := range r {
				r[i].from = stranger
			}
			return r
		}, false, unknown, natprobe.Unknown, comes + "203.0.113.50:3478 sends: an answer from another address, when 192.0.2.1:3478 was asked", nil},
		{"of another transaction", changed(func(b []byte) []byte { b[12] ^= 1; return b }), false, unknown, natprobe.Unknown, comes + server + "an answer to another question", nil},
		{"no address", rebuilt(stun.BindingSuccess, func(question) []stun.Setter { return nil }), false, unknown, natprobe.Unknown, comes + server + "Binding success without an address", nil},
		{"an address of no family", rebuilt(stun.BindingSuccess, func(question) []stun.Setter {
			return []stun.Setter{stun.RawAttribute{Type: stun.AttrMappedAddress, Value: []byte{0, 3, 1, 1, 1, 1, 1, 1}}}
		}), false, unknown, natprobe.Unknown, comes + server + "Binding success without an address", nil},
		{"an address of IPv6", rebuilt(stun.BindingSuccess, func(question) []stun.Setter { return []stun.Setter{xorAddress(ap("[2001:db8::7]:4000"))} }), false, unknown, natprobe.Unknown, comes + server + "Binding success: seen as [2001:db8::7]:4000, which is no address of IPv4", nil},
		{"the address of nobody", rebuilt(stun.BindingSuccess, func(question) []stun.Setter { return []stun.Setter{xorAddress(ap("0.0.0.0:9"))} }), false, unknown, natprobe.Unknown, comes + server + "Binding success without an address", nil},
		{"port zero", rebuilt(stun.BindingSuccess, func(q question) []stun.Setter {
			return []stun.Setter{xorAddress(netip.AddrPortFrom(q.from.Addr(), 0))}
		}), false, unknown, natprobe.Unknown, comes + server + "Binding success without an address", nil},
		{"an address cut in two", changed(func(b []byte) []byte { return b[:28] }), false, unknown, natprobe.Unknown, comes + server + "Binding success without an address", nil},
		{"it sends back what it gets", func(_ *network, q question) []reply { return []reply{{data: q.data, from: q.at}} }, false, unknown, natprobe.Unknown, comes + server + "Binding request", nil},
		{"it asks itself", sends(binding.Request{Transaction: binding.Transaction{9}}.Append(nil)), false, unknown, natprobe.Unknown, comes + server + "a Binding request of its own", nil},
		{"an answer to Allocate", rebuilt(stun.NewType(stun.MethodAllocate, stun.ClassSuccessResponse), func(question) []stun.Setter { return nil }), false, unknown, natprobe.Unknown, comes + server + "STUN Allocate success response", nil},
		{"a resolver", sends(append([]byte{0x12, 0x34, 0x81, 0x05}, make([]byte, 8)...)), false, unknown, natprobe.Unknown, comes + server + "12 bytes that are no STUN", nil},
		{"a game", sends([]byte("\xff\xff\xff\xffinfoResponse")), false, unknown, natprobe.Unknown, comes + server + "16 bytes that are no STUN", nil},
		{"an empty packet", sends(nil), false, unknown, natprobe.Unknown, comes + server + "an empty packet", nil},
		{"the server sees its own network", rebuilt(stun.BindingSuccess, func(question) []stun.Setter { return []stun.Setter{xorAddress(ap("172.17.0.1:40000"))} }), false, unknown, natprobe.Unknown, "nothing is known: 192.0.2.1 sees this host at 172.17.0.1", nil},

		// And that which is silent.
		{"nothing", func(*network, question) []reply { return nil }, true, unknown, natprobe.No, "no UDP: 192.0.2.1:3478 did not answer any of 7 requests", nil},
	}
}

// Whatever answers, the verdict is true: no UDP where nothing at all came, what came and
// from where if it was no answer, and no more than was told otherwise.
func TestOddServers(t *testing.T) {
	all := servers()
	if len(all) < 40 {
		t.Errorf("there are %d", len(all))
	}
	for _, test := range all {
		t.Run(test.name, func(t *testing.T) {
			// Behind a home router that lets in what comes to a port it has opened: else
			// nothing would come from elsewhere.
			kind, _ := lab.KindNamed("N4")
			if strings.HasPrefix(test.name, "from ") {
				kind, _ = lab.KindNamed("N2")
			}
			n := newNetwork(kind, true, 0, 1)
			n.odd = test.server
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				run, err := prober.Ask(t.Context(), prober.Config{Server: main, Listen: n.listen})
				if (err != nil) != strings.Contains(test.says, "UDP") {
					t.Errorf("%v", err)
				}
				r := report.New(report.Record{Runs: []report.Run{run}}, time.Now(), nil)
				if r.NoUDP != test.noUDP || r.Class != test.class || r.Direct != test.direct || !strings.HasPrefix(r.Verdict, test.says) {
					t.Errorf("no UDP %t, %v, direct %v: %q; want no UDP %t, %v, direct %v: %q", r.NoUDP, r.Class, r.Direct, r.Verdict,
						test.noUDP, test.class, test.direct, test.says)
				}
				told := r.Verdict + strings.Join(run.Notes, "\n")
				for _, h := range run.Heard {
					told += h.String() + "\n"
				}
				for _, part := range test.notes {
					if !strings.Contains(told, part) {
						t.Errorf("%q is not in %q", part, told)
					}
				}
				if strings.ContainsAny(told, "\x1b") {
					t.Errorf("a server's own words: %q", told)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
