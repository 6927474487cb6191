package machine

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/channel"
)

// connection is the peer connection of one caller, and the calls on its data channel.
type connection struct {
	peer       *webrtc.PeerConnection
	calls      *channel.Connection
	candidates chan *webrtc.ICECandidate
	// found closes with the first host candidate.
	found    chan struct{}
	gathered <-chan struct{}
	opened   chan struct{}
	closing  sync.Once
	forget   func()
}

// A machine has a handful of interfaces.
const candidateRoom = 64

func newConnection(api *webrtc.API, configuration webrtc.Configuration, server *channel.Server) (*connection, error) {
	peer, err := api.NewPeerConnection(configuration)
	if err != nil {
		return nil, err
	}
	c := &connection{
		peer:       peer,
		candidates: make(chan *webrtc.ICECandidate, candidateRoom),
		found:      make(chan struct{}),
		gathered:   webrtc.GatheringCompletePromise(peer),
		opened:     make(chan struct{}),
		forget:     func() {},
	}
	data, err := channel.Negotiated(peer)
	if err != nil {
		return nil, errors.Join(err, peer.Close())
	}
	c.calls = server.Serve(data)
	data.OnOpen(func() { close(c.opened) })
	data.OnClose(c.close)
	var first sync.Once
	peer.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			close(c.candidates)
			return
		}
		c.candidates <- candidate
		if candidate.Typ == webrtc.ICECandidateTypeHost {
			first.Do(func() { close(c.found) })
		}
	})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		// A disconnected peer is lost: there is no ICE restart (protocol §4.12).
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed,
			webrtc.PeerConnectionStateClosed:
			go c.close()
		}
	})
	return c, nil
}

// answer has the first host candidate in it, as Viam machines' answers do, or all candidates.
func (c *connection) answer(ctx context.Context, gatherFirst bool) (string, error) {
	answer, err := c.peer.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	if err := c.peer.SetLocalDescription(answer); err != nil {
		return "", err
	}
	enough := c.found
	if gatherFirst {
		enough = nil
	}
	select {
	case <-enough:
	case <-c.gathered:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return encodeDescription(c.peer.LocalDescription())
}

func (c *connection) addCandidate(candidate *webrtcv1.ICECandidate) error {
	// Engines write it with and without "a=".
	text := strings.TrimPrefix(candidate.GetCandidate(), "a=")
	return c.peer.AddICECandidate(webrtc.ICECandidateInit{Candidate: text})
}

// close returns when the peer connection is closed, or another close is under way.
func (c *connection) close() {
	c.closing.Do(func() {
		c.calls.Close()
		c.forget()
		_ = c.peer.Close()
	})
}
