package turn

import (
	"net/netip"
	"slices"
	"time"
)

// peers are those that an allocation has to do with. The value is immutable: the front's reader replaces
// it as a whole, and for each packet there is but a pointer to compare.
type peers struct {
	permissions []permission
	channels    []channel
}

type permission struct {
	peer    netip.Addr
	expires time.Time
}

type channel struct {
	number  uint16
	peer    netip.AddrPort // by its outside name
	expires time.Time
}

// permitted tells until when a peer may send to the client: the zero Time if it may not.
func (p *peers) permitted(peer netip.Addr) time.Time {
	for i := range p.permissions {
		if p.permissions[i].peer == peer {
			return p.permissions[i].expires
		}
	}
	return time.Time{}
}

// numbered and channelTo return the channel of a number or a peer: the zero channel if there is none.
func (p *peers) numbered(number uint16) channel {
	for i := range p.channels {
		if p.channels[i].number == number {
			return p.channels[i]
		}
	}
	return channel{}
}

func (p *peers) channelTo(peer netip.AddrPort) channel {
	for i := range p.channels {
		if p.channels[i].peer == peer {
			return p.channels[i]
		}
	}
	return channel{}
}

// permit returns p with permissions made or refreshed. It reports false if they would be too many.
func (p *peers) permit(now time.Time, list []netip.AddrPort) (*peers, bool) {
	all := make([]permission, 0, len(p.permissions)+len(list))
	for _, old := range p.permissions {
		if now.Before(old.expires) {
			all = append(all, old)
		}
	}
	for _, a := range list {
		fresh := permission{a.Addr(), now.Add(permissionLifetime)}
		i := slices.IndexFunc(all, func(old permission) bool { return old.peer == fresh.peer })
		if i >= 0 {
			all[i] = fresh
		} else {
			all = append(all, fresh)
		}
	}
	return &peers{all, p.channels}, len(all) <= maxPermissions
}

// bind returns p with a channel made or refreshed. It reports false if they would be too many.
func (p *peers) bind(now time.Time, number uint16, peer netip.AddrPort) (*peers, bool) {
	all := make([]channel, 0, len(p.channels)+1)
	for _, c := range p.channels {
		if now.Before(c.expires) && c.number != number {
			all = append(all, c)
		}
	}
	all = append(all, channel{number, peer, now.Add(channelLifetime)})
	return &peers{p.permissions, all}, len(all) <= maxChannels
}

// with returns p with what a CreatePermission or ChannelBind makes or refreshes. It reports false if that
// would be too much.
func (p *peers) with(now time.Time, ex *exchange) (*peers, bool) {
	list, ok := p.permit(now, ex.peers)
	if ok && ex.channel != 0 {
		return list.bind(now, ex.channel, ex.peers[0])
	}
	return list, ok
}
