package machine

import (
	"context"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	"viamdial/interop/internal/rpc"
)

// reflectionMethods is grpc-go's own server reflection of methods and of itself, on any wire.
func reflectionMethods(methods []rpc.Method) []rpc.Method {
	services := make(serviceNames)
	options := reflection.ServerOptions{Services: services}
	v1 := reflection.NewServerV1(options)
	v1alpha := reflection.NewServer(options)
	own := []rpc.Method{
		rpc.Bidi(reflectionv1.ServerReflection_ServerReflectionInfo_FullMethodName,
			func(
				call rpc.Call, receive func() (*reflectionv1.ServerReflectionRequest, error),
				send func(*reflectionv1.ServerReflectionResponse) error,
			) error {
				return v1.ServerReflectionInfo(bidi(call, receive, send))
			}),
		rpc.Bidi(reflectionv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName,
			func(
				call rpc.Call, receive func() (*reflectionv1alpha.ServerReflectionRequest, error),
				send func(*reflectionv1alpha.ServerReflectionResponse) error,
			) error {
				return v1alpha.ServerReflectionInfo(bidi(call, receive, send))
			}),
	}
	for _, method := range append(own, methods...) {
		service, _, _ := strings.Cut(strings.TrimPrefix(method.Procedure, "/"), "/")
		services[service] = grpc.ServiceInfo{}
	}
	return own
}

type serviceNames map[string]grpc.ServiceInfo

func (s serviceNames) GetServiceInfo() map[string]grpc.ServiceInfo { return s }

// bidiStream is a call as grpc-go's generated code sees it. Of grpc.ServerStream the reflection service uses the
// context alone.
type bidiStream[Req, Res any] struct {
	call    rpc.Call
	receive func() (*Req, error)
	send    func(*Res) error
}

func bidi[Req, Res any](
	call rpc.Call, receive func() (*Req, error), send func(*Res) error,
) grpc.BidiStreamingServer[Req, Res] {
	return bidiStream[Req, Res]{call: call, receive: receive, send: send}
}

// Recv ends with io.EOF itself, which grpc-go compares; connect-go wraps it.
func (s bidiStream[Req, Res]) Recv() (*Req, error) {
	request, err := s.receive()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	return request, err
}

func (s bidiStream[Req, Res]) Send(response *Res) error  { return s.send(response) }
func (s bidiStream[Req, Res]) Context() context.Context  { return s.call.Context() }
func (bidiStream[Req, Res]) SetHeader(metadata.MD) error { panic("reflection sets no headers") }
func (bidiStream[Req, Res]) SendHeader(metadata.MD) error {
	panic("reflection sends no headers by themselves")
}
func (bidiStream[Req, Res]) SetTrailer(metadata.MD) { panic("reflection sets no trailers") }
func (bidiStream[Req, Res]) SendMsg(any) error      { panic("reflection sends by Send") }
func (bidiStream[Req, Res]) RecvMsg(any) error      { panic("reflection receives by Recv") }
