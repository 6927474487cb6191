package direct

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"viamdial/interop/internal/rpc"
)

// NewGRPCServer serves native gRPC and nothing else, on grpc-go's own HTTP/2 server. Connections that are idle for
// longer than idle are told to go away; with 0, none.
func NewGRPCServer(methods []rpc.Method, around rpc.Interceptor, certificate *tls.Certificate, idle time.Duration) *grpc.Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(rpc.MaxMessageBytes),
		// What a Viam machine allows (protocol §5.5).
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
	if idle > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idle}))
	}
	if certificate != nil {
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(certificate)))
	}
	server := grpc.NewServer(options...)
	// On the wire a unary method is a stream of one message each way, so every method is registered as a stream.
	services := make(map[string]*grpc.ServiceDesc)
	for _, method := range methods {
		service, name := split(method.Procedure)
		if services[service] == nil {
			services[service] = &grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
		}
		services[service].Streams = append(services[service].Streams, grpc.StreamDesc{
			StreamName: name,
			Handler: func(_ any, stream grpc.ServerStream) error {
				call := &grpcCall{stream: stream, procedure: method.Procedure}
				if err := around(call, func() error { return method.Serve(call) }); err != nil {
					return rpc.Status(err).Err()
				}
				return nil
			},
			ServerStreams: true,
			ClientStreams: true,
		})
	}
	for _, service := range services {
		server.RegisterService(service, struct{}{})
	}
	return server
}

// grpcCall is a Call on a stream of grpc-go.
type grpcCall struct {
	stream    grpc.ServerStream
	procedure string
}

func (c *grpcCall) Context() context.Context { return c.stream.Context() }
func (c *grpcCall) Procedure() string        { return c.procedure }
func (c *grpcCall) Wire() string             { return rpc.WireGRPC }

func (c *grpcCall) Metadata() rpc.Metadata {
	received, _ := metadata.FromIncomingContext(c.stream.Context())
	result := make(rpc.Metadata, len(received))
	for key, values := range received {
		if key != "content-type" && key != ":authority" {
			result[key] = values
		}
	}
	return result
}

func (c *grpcCall) Value(key string) string {
	if values := metadata.ValueFromIncomingContext(c.stream.Context(), key); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (c *grpcCall) AddHeader(key string, values ...string) {
	// It fails only after the headers have been sent, which no handler here does before.
	_ = c.stream.SetHeader(metadata.MD{key: values})
}

func (c *grpcCall) AddTrailer(key string, values ...string) {
	c.stream.SetTrailer(metadata.MD{key: values})
}

func (c *grpcCall) Receive(message proto.Message) error { return c.stream.RecvMsg(message) }
func (c *grpcCall) Send(message proto.Message) error    { return c.stream.SendMsg(message) }
