package turn

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v2"
)

// told is what an error response says, as code and words.
func told(m *stun.Message) string {
	var code stun.ErrorCodeAttribute
	if m.Type.Class != stun.ClassErrorResponse || code.GetFrom(m) != nil {
		return "success"
	}
	return strconv.Itoa(int(code.Code)) + " " + string(code.Reason)
}

func sized(t stun.AttrType, n int) stun.RawAttribute {
	return stun.RawAttribute{Type: t, Value: make([]byte, n)}
}

// Who gets no relay reads in its log which attribute was the mistake.
func TestMistakesAreNamed(t *testing.T) {
	_, at := serve(t, testConfig())
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	peer := func(s string) stun.Setter { return peerAddress(netip.MustParseAddrPort(s)) }
	for _, test := range []struct {
		method stun.Method
		want   string
		set    []stun.Setter
	}{
		{stun.MethodAllocate, "400 REQUESTED-TRANSPORT is missing", nil},
		{stun.MethodAllocate, "400 REQUESTED-TRANSPORT is not 4 bytes long", []stun.Setter{sized(stun.AttrRequestedTransport, 1)}},
		{stun.MethodAllocate, "442 REQUESTED-TRANSPORT is 6: relays are of UDP (17) alone", []stun.Setter{four(stun.AttrRequestedTransport, 6)}},
		{stun.MethodAllocate, "400 LIFETIME is not 4 bytes long", []stun.Setter{overUDP, sized(stun.AttrLifetime, 2)}},
		{stun.MethodAllocate, "400 REQUESTED-ADDRESS-FAMILY is not 4 bytes long", []stun.Setter{overUDP, sized(stun.AttrRequestedAddressFamily, 1)}},
		{stun.MethodAllocate, "440 REQUESTED-ADDRESS-FAMILY is 9, neither IPv4 (1) nor IPv6 (2)", []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, 9)}},
		{stun.MethodAllocate, "440 this server has no IPv6 relay address", []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, familyIPv6)}},
		{stun.MethodAllocate, "400 ADDITIONAL-ADDRESS-FAMILY is not 4 bytes long", []stun.Setter{overUDP, sized(attrAdditionalFamily, 5)}},
		{stun.MethodAllocate, "400 ADDITIONAL-ADDRESS-FAMILY may only be IPv6 (2)", []stun.Setter{overUDP, four(attrAdditionalFamily, familyIPv4)}},
		{stun.MethodAllocate, "400 REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY exclude each other", []stun.Setter{overUDP, four(stun.AttrRequestedAddressFamily, familyIPv4), four(attrAdditionalFamily, familyIPv6)}},
		{stun.MethodAllocate, "400 EVEN-PORT is not 1 byte long", []stun.Setter{overUDP, sized(stun.AttrEvenPort, 4)}},
		{stun.MethodAllocate, "400 EVEN-PORT with its R bit and ADDITIONAL-ADDRESS-FAMILY exclude each other", []stun.Setter{overUDP, stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}, four(attrAdditionalFamily, familyIPv6)}},
		{stun.MethodAllocate, "400 RESERVATION-TOKEN is not 8 bytes long", []stun.Setter{overUDP, sized(stun.AttrReservationToken, 7)}},
		{stun.MethodAllocate, "400 RESERVATION-TOKEN and EVEN-PORT exclude each other", []stun.Setter{overUDP, sized(stun.AttrReservationToken, 8), sized(stun.AttrEvenPort, 1)}},
		{stun.MethodAllocate, "400 RESERVATION-TOKEN and REQUESTED-ADDRESS-FAMILY exclude each other", []stun.Setter{overUDP, sized(stun.AttrReservationToken, 8), four(stun.AttrRequestedAddressFamily, familyIPv4)}},
		{stun.MethodAllocate, "400 RESERVATION-TOKEN and ADDITIONAL-ADDRESS-FAMILY exclude each other", []stun.Setter{overUDP, sized(stun.AttrReservationToken, 8), four(attrAdditionalFamily, familyIPv6)}},
		{stun.MethodRefresh, "400 LIFETIME is not 4 bytes long", []stun.Setter{sized(stun.AttrLifetime, 8)}},
		{stun.MethodRefresh, "443 REQUESTED-ADDRESS-FAMILY is not that of the allocation", []stun.Setter{four(stun.AttrRequestedAddressFamily, familyIPv6)}},
		{stun.MethodCreatePermission, "400 XOR-PEER-ADDRESS is missing", nil},
		{stun.MethodCreatePermission, "400 XOR-PEER-ADDRESS is malformed", []stun.Setter{sized(stun.AttrXORPeerAddress, 3)}},
		{stun.MethodCreatePermission, "403 XOR-PEER-ADDRESS is not an address to relay to", []stun.Setter{peer("10.0.0.1:9")}},
		{stun.MethodCreatePermission, "443 XOR-PEER-ADDRESS is not of the allocation's family", []stun.Setter{peer("[2001:4860::1]:9")}},
		{stun.MethodChannelBind, "400 CHANNEL-NUMBER is missing", []stun.Setter{peer("203.0.113.1:9")}},
		{stun.MethodChannelBind, "400 CHANNEL-NUMBER is not 4 bytes long", []stun.Setter{sized(stun.AttrChannelNumber, 2), peer("203.0.113.1:9")}},
		{stun.MethodChannelBind, "400 CHANNEL-NUMBER is 0x8000, not 0x4000 to 0x7fff", []stun.Setter{channelNumber(0x8000), peer("203.0.113.1:9")}},
		{stun.MethodChannelBind, "400 XOR-PEER-ADDRESS is missing", []stun.Setter{channelNumber(0x4000)}},
		{stun.MethodChannelBind, "400 a channel has one XOR-PEER-ADDRESS, not 2", []stun.Setter{channelNumber(0x4000), peer("203.0.113.1:9"), peer("203.0.113.1:9")}},
		{stun.MethodChannelBind, "400 XOR-PEER-ADDRESS has no port", []stun.Setter{channelNumber(0x4000), peer("203.0.113.1:0")}},
	} {
		c := known
		if test.method == stun.MethodAllocate {
			c = known.another(at)
		}
		if answer, _ := c.do(test.method, test.set...); told(answer) != test.want {
			t.Errorf("%v:\n got %s\nwant %s", test.method, told(answer), test.want)
		}
	}
}

// What a signed request lacks is named, to who has not logged in.
func TestWhatALoginLacksIsNamed(t *testing.T) {
	_, at := serve(t, testConfig())
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	name, realm, nonce := stun.NewUsername(testUser), stun.NewRealm(known.realm), stun.NewNonce(known.nonce)
	for want, set := range map[string][]stun.Setter{
		"400 USERNAME is missing":               {realm, nonce},
		"400 REALM is missing":                  {name, nonce},
		"400 NONCE is missing":                  {name, realm},
		"400 USERNAME is longer than 508 bytes": {sized(stun.AttrUsername, 509), realm, nonce},
	} {
		m := stun.MustBuild(slices.Concat([]stun.Setter{stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest), overUDP}, set, []stun.Setter{known.key()})...)
		if got := told(known.another(at).ask(m)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A name that the right secret signed is told what is wrong with it; one that nobody signed is not: it would
// learn which names there are.
func TestTimeLimitedNamesAreExplained(t *testing.T) {
	const refused = "401 wrong name or password"
	cfg := testConfig()
	var flaws []string
	report := make(chan string, 100)
	cfg.Flawed = func(name string, f NameFlaw) { report <- f.String() + " " + name }
	s, at := serve(t, cfg)
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	in := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	soon := in(time.Hour)
	for _, test := range []struct{ name, want, report string }{
		{in(-time.Hour) + ":carol", "401 this name expired 3600 s ago, by this server's clock", "expired"},
		{"1000000000", "401 this name expired ", "expired"},
		{soon + ".042:carol", "401 a name begins with its expiry in whole Unix seconds", "no_time"},
		{soon + ".042", "401 a name begins with its expiry in whole Unix seconds", "no_time"},
		{"carol:" + soon, "401 a name begins with its expiry in whole Unix seconds", "no_time"},
		{"carol", "401 a name begins with its expiry in whole Unix seconds", "no_time"},
		{"1e12:carol", "401 a name begins with its expiry in whole Unix seconds", "no_time"},
		{strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) + ":carol", "success", "far"},
		{soon + ":carol", "success", ""},
	} {
		sign := func(password string) string {
			c := known.another(at)
			c.user, c.password = test.name, password
			answer, _ := c.do(stun.MethodAllocate, overUDP)
			return told(answer)
		}
		if got := sign(Password(testSecret, test.name)); !strings.HasPrefix(got, test.want) && !strings.HasPrefix(got, strings.Replace(test.want, "3600", "3601", 1)) {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		got := ""
		select {
		case got = <-report:
		default:
		}
		if test.report != "" {
			test.report += " " + test.name
			flaws = append(flaws, test.report)
		}
		if got != test.report {
			t.Errorf("%s is reported as %q, want %q", test.name, got, test.report)
		}
		if got := sign(Password("west", test.name)); got != refused {
			t.Errorf("%s, signed by nobody: %s", test.name, got)
		}
		if len(report) > 0 {
			t.Errorf("%s, signed by nobody, is reported", test.name)
		}
	}
	st := s.Stats()
	for f, want := range map[NameFlaw]uint64{FlawExpired: 2, FlawNoTime: 5, FlawFar: 1} {
		if st.Flaws[f] != want {
			t.Errorf("%d names with flaw %v are counted, want %d", st.Flaws[f], f, want)
		}
	}
	if len(flaws) != 8 {
		t.Errorf("%q", flaws)
	}
}

// Clients repeat what they hear no answer to (RFC 8489 section 6.2.1), and are told the same again.
func TestRepeatsGetTheSameAnswer(t *testing.T) {
	s, at := serve(t, testConfig())
	known := dial(t, at, testUser, testPassword)
	known.allocate()
	for name, set := range map[string][]stun.Setter{
		"plain":    {overUDP},
		"lifetime": {overUDP, lifetimeAttr(20 * time.Minute)},
		"reserve":  {overUDP, stun.RawAttribute{Type: stun.AttrEvenPort, Value: []byte{0x80}}},
		"mistake":  {},
	} {
		c := known.another(at)
		m := c.request(stun.MethodAllocate, set...)
		first := c.ask(m)
		for range 3 {
			if again := c.ask(m); !bytes.Equal(sorted(again), sorted(first)) {
				t.Errorf("%s:\n%v\n%v", name, first, again)
			}
		}
	}
	if st := s.Stats(); st.Opened[UDP] != 4 {
		t.Errorf("%d allocations, want 4", st.Opened[UDP])
	}
}

// sorted are the attributes of a message in some order, without what covers that order.
func sorted(m *stun.Message) []byte {
	var list [][]byte
	for _, a := range m.Attributes {
		if a.Type != stun.AttrMessageIntegrity && a.Type != stun.AttrFingerprint {
			list = append(list, append([]byte(a.Type.String()), a.Value...))
		}
	}
	slices.SortFunc(list, bytes.Compare)
	return bytes.Join(list, []byte{'\n'})
}
