package machine

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc"

	"viamdial/interop/internal/channel"
	"viamdial/interop/internal/direct"
	"viamdial/interop/internal/rpc"
)

// Options say what a machine is like.
type Options struct {
	// Key is asked for when it is set.
	Key APIKey
	// Certificate makes the port speak TLS.
	Certificate *tls.Certificate
	// GRPCOnly leaves out gRPC-Web, Connect and HTTP/1.1; with Handler, grpc-go is a handler of net/http.
	GRPCOnly, Handler bool
	// WebRTC makes the machine answer offers: of its own signaling service, or Elsewhere.
	WebRTC    bool
	Elsewhere *Elsewhere
	// ICEServers are asked for the machine's candidates.
	ICEServers []string
	// OnBusy is told how many of the two answerers have an offer, each time that changes; one call at a time.
	OnBusy func(busy int)
	// Streams bounds those of an HTTP/2 connection; 0 is what a Viam machine allows.
	Streams int
	// Idle is how long a connection may be idle before it is told to go away; 0 for any time.
	Idle time.Duration
}

// Machine serves one port.
type Machine struct {
	answerer *Answerer
	outside  *outside
	http     *http.Server
	grpc     *grpc.Server
	wheels   *wheels
	options  Options
}

// New makes a machine that does not listen yet.
func New(options Options) (*Machine, error) {
	seen := newWitnesses()
	wheels := newWheels()
	methods := append(append(probeMethods(seen), echoMethods()...), robotMethods()...)
	methods = append(methods, wheels.methods()...)
	methods = append(methods, reflectionMethods(methods)...)
	m := &Machine{options: options, wheels: wheels}

	// HTTP serves the same and, on top, what leads to the data channel.
	public := methods
	around := rpc.Interceptor(seen.around)
	if options.WebRTC {
		var next func(context.Context) (answerStream, error)
		if options.Elsewhere != nil {
			outside, err := newOutside(*options.Elsewhere)
			if err != nil {
				return nil, err
			}
			m.outside, next = outside, outside.next
		} else {
			signaling := signaling{newOffers()}
			next = signaling.offers.next
			public = append(public, signaling.methods()...)
		}
		var servers []webrtc.ICEServer
		if len(options.ICEServers) > 0 {
			servers = []webrtc.ICEServer{{URLs: options.ICEServers}}
		}
		answerer, err := StartAnswerer(channel.NewServer(methods, seen.around), servers, next, options.OnBusy)
		if err != nil {
			return nil, err
		}
		m.answerer = answerer
	}
	if options.Key != (APIKey{}) {
		guard, err := newGuard(options.Key)
		if err != nil {
			return nil, err
		}
		public = append(public, guard.methods()...)
		around = func(call rpc.Call, next func() error) error {
			return guard.around(call, func() error { return seen.around(call, next) })
		}
	}
	if options.GRPCOnly {
		m.grpc = direct.NewGRPCServer(public, around, options.Certificate, options.Idle)
		if options.Handler {
			m.http = direct.NewHandlerServer(m.grpc, options.Streams)
		}
	} else {
		m.http = direct.NewHTTPServer(public, around, options.Streams)
		m.http.IdleTimeout = options.Idle
	}
	return m, nil
}

// Serve returns after Stop.
func (m *Machine) Serve(listener net.Listener) error {
	if m.http == nil {
		return m.grpc.Serve(listener)
	}
	if err := direct.ServeHTTP(m.http, listener, m.options.Certificate); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Drop closes every peer connection, and serves on.
func (m *Machine) Drop() {
	if m.answerer != nil {
		m.answerer.drop()
	}
}

// Stop ends all calls and connections at once.
func (m *Machine) Stop() {
	m.wheels.sessions.close()
	if m.answerer != nil {
		m.answerer.Stop()
	}
	if m.outside != nil {
		_ = m.outside.connection.Close()
	}
	if m.grpc != nil {
		m.grpc.Stop()
	}
	if m.http == nil {
		return
	}
	if m.grpc != nil {
		// The calls that grpc-go has ended are still to be told so.
		patience, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = m.http.Shutdown(patience)
	}
	_ = m.http.Close()
}
