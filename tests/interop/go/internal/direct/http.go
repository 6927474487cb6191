// Package direct serves methods without WebRTC: over net/http in every protocol, or over grpc-go alone.
package direct

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"viamdial/interop/internal/rpc"
)

// NewHTTPServer serves native gRPC, gRPC-Web and Connect on HTTP/1.1, and on HTTP/2 with and without TLS.
func NewHTTPServer(methods []rpc.Method, around rpc.Interceptor) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   newRouter(methods, around),
		Protocols: protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          1000,
			MaxReceiveBufferPerConnection: 16 << 20,
			MaxReceiveBufferPerStream:     4 << 20,
		},
		// Clients that give up a TLS handshake or a connection are what is being tested, not news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
}

// ServeHTTP listens until the server is closed.
func ServeHTTP(server *http.Server, listener net.Listener, certificate *tls.Certificate) error {
	if certificate == nil {
		return server.Serve(listener)
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	return server.ServeTLS(listener, "", "")
}

type router struct {
	routes   map[string]route
	services map[string]bool
	errors   *connect.ErrorWriter
}

type route struct {
	handler http.Handler
	// One response message: everything can leave in one write.
	single bool
}

func newRouter(methods []rpc.Method, around rpc.Interceptor) *router {
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(rpc.MaxMessageBytes),
		// grpc-go offers no compression either unless asked to.
		connect.WithCompression("gzip", nil, nil),
	}
	r := &router{
		routes:   make(map[string]route, len(methods)),
		services: make(map[string]bool),
		errors:   connect.NewErrorWriter(options...),
	}
	for _, method := range methods {
		r.routes[method.Procedure] = route{
			handler: method.Connect(around, options...),
			single:  method.Kind == rpc.KindUnary || method.Kind == rpc.KindClientStream,
		}
		service, _ := split(method.Procedure)
		r.services[service] = true
	}
	return r
}

func (r *router) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	found, ok := r.routes[request.URL.Path]
	if !ok {
		r.unknown(response, request)
		return
	}
	if found.single {
		response = &singleWriter{ResponseWriter: response}
	}
	found.handler.ServeHTTP(response, request)
}

// unknown answers as grpc-go does, in the protocol of the request.
func (r *router) unknown(response http.ResponseWriter, request *http.Request) {
	if !r.errors.IsSupported(request) {
		http.NotFound(response, request)
		return
	}
	reason := unknownProcedure(r.services, request.URL.Path)
	_ = r.errors.Write(response, request, connect.NewError(connect.CodeUnimplemented, errors.New(reason)))
	_ = request.Body.Close()
}

func unknownProcedure(services map[string]bool, procedure string) string {
	service, method := split(procedure)
	if services[service] {
		return "unknown method " + method + " for service " + service
	}
	return "unknown service " + service
}

func split(procedure string) (service, method string) {
	service, method, _ = strings.Cut(strings.TrimPrefix(procedure, "/"), "/")
	return service, method
}

// singleWriter leaves out the flush that connect does after a message, so that a response of one message and
// its trailers leave in one write. A response without a body is flushed: net/http needs the headers out
// before it takes trailers.
type singleWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *singleWriter) Write(data []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(data)
}

func (w *singleWriter) Flush() {
	if w.wrote {
		return
	}
	if flusher, ok := w.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (w *singleWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
