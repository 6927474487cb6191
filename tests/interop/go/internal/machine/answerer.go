package machine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/channel"
)

// Answerer makes peer connections for callers and serves their data channels.
type Answerer struct {
	api           *webrtc.API
	configuration webrtc.Configuration
	server        *channel.Server

	mutex    sync.Mutex
	sessions map[*session]struct{}
	stopped  bool
}

// NewAnswerer serves server's methods to every caller.
func NewAnswerer(server *channel.Server) (*Answerer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	engine, err := channel.NewEngine()
	if err != nil {
		return nil, err
	}
	return &Answerer{
		api:           engine,
		configuration: webrtc.Configuration{Certificates: []webrtc.Certificate{*certificate}},
		server:        server,
		sessions:      make(map[*session]struct{}),
	}, nil
}

// Stop closes every peer connection, so that callers know at once.
func (a *Answerer) Stop() {
	a.mutex.Lock()
	a.stopped = true
	sessions := make([]*session, 0, len(a.sessions))
	for current := range a.sessions {
		sessions = append(sessions, current)
	}
	a.mutex.Unlock()
	var closing sync.WaitGroup
	for _, current := range sessions {
		closing.Go(current.close)
	}
	closing.Wait()
}

// session is one peer connection of a caller.
type session struct {
	peer       *webrtc.PeerConnection
	calls      *channel.Connection
	candidates chan *webrtc.ICECandidate
	found      chan struct{}
	gathered   <-chan struct{}
	opened     chan struct{}
	refused    chan error
	closed     chan struct{}
	closing    sync.Once
	forget     func()
}

// A machine has a handful of interfaces; a candidate that finds no room waits for the Call to send one.
const candidateRoom = 64

func (a *Answerer) open(forget func()) (*session, error) {
	peer, err := a.api.NewPeerConnection(a.configuration)
	if err != nil {
		return nil, err
	}
	s := &session{
		peer:       peer,
		candidates: make(chan *webrtc.ICECandidate, candidateRoom),
		found:      make(chan struct{}),
		gathered:   webrtc.GatheringCompletePromise(peer),
		opened:     make(chan struct{}),
		refused:    make(chan error, 1),
		closed:     make(chan struct{}),
	}
	s.forget = func() {
		forget()
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.sessions, s)
	}
	data, err := channel.Negotiated(peer)
	if err != nil {
		return nil, errors.Join(err, peer.Close())
	}
	s.calls = a.server.Serve(data)
	data.OnOpen(func() { close(s.opened) })
	data.OnClose(s.close)
	var first sync.Once
	peer.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			return
		}
		first.Do(func() { close(s.found) })
		select {
		case s.candidates <- candidate:
		case <-s.closed:
		}
	})
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		switch state {
		// A disconnected peer is lost: there is no ICE restart (protocol §4.12).
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed,
			webrtc.PeerConnectionStateClosed:
			go s.close()
		}
	})
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.stopped {
		go s.close()
		return nil, errors.New("the machine is stopping")
	}
	a.sessions[s] = struct{}{}
	return s, nil
}

// answer is sent with the first candidate in it, as Viam machines do, or with all of them.
func (s *session) answer(
	ctx context.Context, offer webrtc.SessionDescription, gatherFirst bool,
) (webrtc.SessionDescription, error) {
	var none webrtc.SessionDescription
	if err := s.peer.SetRemoteDescription(offer); err != nil {
		return none, err
	}
	answer, err := s.peer.CreateAnswer(nil)
	if err != nil {
		return none, err
	}
	if err := s.peer.SetLocalDescription(answer); err != nil {
		return none, err
	}
	if gatherFirst {
		select {
		case <-s.gathered:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		return *s.peer.LocalDescription(), nil
	}
	select {
	case <-s.found:
	case <-s.gathered:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	return *s.peer.LocalDescription(), nil
}

// addCandidate drops what pion cannot use, a name that does not resolve for one: others may do.
func (s *session) addCandidate(candidate *webrtcv1.ICECandidate) {
	_ = s.peer.AddICECandidate(iceCandidate(candidate))
}

// refuse ends the Call with the caller's reason.
func (s *session) refuse(reason error) {
	select {
	case s.refused <- reason:
	default:
	}
	select {
	case <-s.opened:
	default:
		go s.close()
	}
}

func (s *session) closeUnlessOpen(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-s.opened:
	case <-s.closed:
	case <-timer.C:
		s.close()
	}
}

// close returns when the peer connection is closed, or another close is under way.
func (s *session) close() {
	s.closing.Do(func() {
		close(s.closed)
		s.calls.Close()
		s.forget()
		_ = s.peer.Close()
	})
}
