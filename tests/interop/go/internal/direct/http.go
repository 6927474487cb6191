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
	"google.golang.org/grpc"

	"viamdial/interop/internal/rpc"
)

// NewHTTPServer serves native gRPC, gRPC-Web and Connect on HTTP/1.1, and on HTTP/2 with and without TLS.
// streams bounds those of a connection; 0 is what a Viam machine allows, Go's default of 250.
func NewHTTPServer(methods []rpc.Method, around rpc.Interceptor, streams int) *http.Server {
	return newServer(newRouter(methods, around), streams)
}

// NewHandlerServer serves native gRPC by grpc-go as a handler of net/http, as a Viam machine does.
func NewHandlerServer(server *grpc.Server, streams int) *http.Server {
	return newServer(server, streams)
}

func newServer(handler http.Handler, streams int) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:   handler,
		Protocols: protocols,
		// Windows and frames are those of a Viam machine: Go's own.
		HTTP2:          &http.HTTP2Config{MaxConcurrentStreams: streams},
		MaxHeaderBytes: rpc.MaxMessageBytes,
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
	routes   map[string]http.Handler
	services map[string]bool
	errors   *connect.ErrorWriter
}

func newRouter(methods []rpc.Method, around rpc.Interceptor) *router {
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(rpc.MaxMessageBytes),
		// grpc-go offers no compression either unless asked to.
		connect.WithCompression("gzip", nil, nil),
	}
	r := &router{
		routes:   make(map[string]http.Handler, len(methods)),
		services: make(map[string]bool),
		errors:   connect.NewErrorWriter(options...),
	}
	for _, method := range methods {
		r.routes[method.Procedure] = method.Connect(around, options...)
		service, _ := split(method.Procedure)
		r.services[service] = true
	}
	return r
}

func (r *router) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	handler, ok := r.routes[request.URL.Path]
	if !ok {
		r.unknown(response, request)
		return
	}
	handler.ServeHTTP(response, request)
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
