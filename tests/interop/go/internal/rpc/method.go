package rpc

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Interceptor runs around every call; it calls next once, or refuses the call.
type Interceptor func(call Call, next func() error) error

// Method is one RPC: Serve runs it on any Call, Connect makes the net/http handler of the same code.
type Method struct {
	Procedure string
	Serve     func(call Call) error
	Connect   func(around Interceptor, options ...connect.HandlerOption) *connect.Handler
}

type message[T any] interface {
	*T
	proto.Message
}

// Unary makes a Method of a handler of one request and one response.
func Unary[Req, Res any, PReq message[Req], PRes message[Res]](
	procedure string, handle func(Call, *Req) (*Res, error),
) Method {
	return Method{
		Procedure: procedure,
		Serve: func(call Call) error {
			request, err := receiveOne[Req, PReq](call)
			if err != nil {
				return err
			}
			response, err := handle(call, request)
			if err != nil {
				return err
			}
			return call.Send(PRes(response))
		},
		Connect: func(around Interceptor, options ...connect.HandlerOption) *connect.Handler {
			return connect.NewUnaryHandler(procedure,
				func(ctx context.Context, request *connect.Request[Req]) (*connect.Response[Res], error) {
					call := newConnectUnary(ctx, procedure, request)
					var response *Res
					err := around(call, func() (err error) {
						response, err = handle(call, request.Msg)
						return err
					})
					if err != nil {
						return nil, connectError(err)
					}
					return connect.NewResponse(response), nil
				}, options...)
		},
	}
}

// ServerStream makes a Method of a handler that sends any number of responses to one request.
func ServerStream[Req, Res any, PReq message[Req], PRes message[Res]](
	procedure string, handle func(call Call, request *Req, send func(*Res) error) error,
) Method {
	serve := func(call Call, request *Req) error {
		return handle(call, request, func(response *Res) error { return call.Send(PRes(response)) })
	}
	return Method{
		Procedure: procedure,
		Serve: func(call Call) error {
			request, err := receiveOne[Req, PReq](call)
			if err != nil {
				return err
			}
			return serve(call, request)
		},
		Connect: func(around Interceptor, options ...connect.HandlerOption) *connect.Handler {
			return connect.NewServerStreamHandler(procedure,
				func(ctx context.Context, request *connect.Request[Req], stream *connect.ServerStream[Res]) error {
					call := newConnectStream(ctx, procedure, stream.Conn())
					return connectError(around(call, func() error { return serve(call, request.Msg) }))
				}, options...)
		},
	}
}

// ClientStream makes a Method of a handler that answers once to any number of requests.
func ClientStream[Req, Res any, PReq message[Req], PRes message[Res]](
	procedure string, handle func(call Call, receive func() (*Req, error)) (*Res, error),
) Method {
	serve := func(call Call) (*Res, error) { return handle(call, receiver[Req, PReq](call)) }
	return Method{
		Procedure: procedure,
		Serve: func(call Call) error {
			response, err := serve(call)
			if err != nil {
				return err
			}
			return call.Send(PRes(response))
		},
		Connect: func(around Interceptor, options ...connect.HandlerOption) *connect.Handler {
			return connect.NewClientStreamHandler(procedure,
				func(ctx context.Context, stream *connect.ClientStream[Req]) (*connect.Response[Res], error) {
					call := newConnectStream(ctx, procedure, stream.Conn())
					var response *Res
					err := around(call, func() (err error) {
						response, err = serve(call)
						return err
					})
					if err != nil {
						return nil, connectError(err)
					}
					return connect.NewResponse(response), nil
				}, options...)
		},
	}
}

// Bidi makes a Method of a handler of two independent streams.
func Bidi[Req, Res any, PReq message[Req], PRes message[Res]](
	procedure string, handle func(call Call, receive func() (*Req, error), send func(*Res) error) error,
) Method {
	serve := func(call Call) error {
		return handle(call, receiver[Req, PReq](call), func(response *Res) error { return call.Send(PRes(response)) })
	}
	return Method{
		Procedure: procedure,
		Serve:     serve,
		Connect: func(around Interceptor, options ...connect.HandlerOption) *connect.Handler {
			return connect.NewBidiStreamHandler(procedure,
				func(ctx context.Context, stream *connect.BidiStream[Req, Res]) error {
					call := newConnectStream(ctx, procedure, stream.Conn())
					return connectError(around(call, func() error { return serve(call) }))
				}, options...)
		},
	}
}

func receiver[Req any, PReq message[Req]](call Call) func() (*Req, error) {
	return func() (*Req, error) {
		request := new(Req)
		if err := call.Receive(PReq(request)); err != nil {
			return nil, err
		}
		return request, nil
	}
}

// receiveOne never waits for the half-close: some clients of unary methods do not send it (protocol §4.3).
func receiveOne[Req any, PReq message[Req]](call Call) (*Req, error) {
	request, err := receiver[Req, PReq](call)()
	if errors.Is(err, io.EOF) {
		return nil, status.Error(codes.Internal, "half-close without the request message")
	}
	return request, err
}
