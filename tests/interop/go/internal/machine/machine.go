package machine

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

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
	// GRPCOnly leaves out gRPC-Web, Connect and HTTP/1.1.
	GRPCOnly bool
	// WebRTC makes the signaling service answer.
	WebRTC bool
	// Idle is how long a connection may be idle before it is told to go away; 0 for any time.
	Idle time.Duration
}

// Machine serves one port.
type Machine struct {
	answerer *Answerer
	http     *http.Server
	grpc     *grpc.Server
	options  Options
}

// New makes a machine that does not listen yet.
func New(options Options) (*Machine, error) {
	seen := newWitnesses()
	methods := append(append(probeMethods(seen), echoMethods()...), robotMethods()...)
	methods = append(methods, reflectionMethods(methods)...)
	m := &Machine{options: options}

	// HTTP serves the same and, on top, what leads to the data channel.
	public := methods
	around := rpc.Interceptor(seen.around)
	if options.WebRTC {
		answerer, err := NewAnswerer(channel.NewServer(methods, seen.around))
		if err != nil {
			return nil, err
		}
		m.answerer = answerer
		public = append(public, newSignaling(answerer).methods()...)
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
	} else {
		m.http = direct.NewHTTPServer(public, around)
		m.http.IdleTimeout = options.Idle
	}
	return m, nil
}

// Serve returns after Stop.
func (m *Machine) Serve(listener net.Listener) error {
	if m.grpc != nil {
		return m.grpc.Serve(listener)
	}
	if err := direct.ServeHTTP(m.http, listener, m.options.Certificate); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Stop ends all calls and connections at once.
func (m *Machine) Stop() {
	if m.answerer != nil {
		m.answerer.Stop()
	}
	if m.grpc != nil {
		m.grpc.Stop()
	}
	if m.http != nil {
		_ = m.http.Close()
	}
}
