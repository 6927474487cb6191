package rpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// connectCall is a Call on a connect handler, which speaks gRPC, gRPC-Web and Connect.
type connectCall struct {
	ctx       context.Context
	procedure string
	protocol  string
	header    http.Header
	// Both are lazy for unary calls, whose connect response comes after the handler.
	responseHeader  func() http.Header
	responseTrailer func() http.Header
	stream          connect.StreamingHandlerConn
}

func newConnectUnary[Req any](ctx context.Context, procedure string, request *connect.Request[Req]) *connectCall {
	call := &connectCall{ctx: ctx, procedure: procedure, protocol: request.Peer().Protocol, header: request.Header()}
	// Metadata set here reaches the client of a failed unary call too; a connect.Response would not exist.
	if info, ok := connect.CallInfoForHandlerContext(ctx); ok {
		call.responseHeader, call.responseTrailer = info.ResponseHeader, info.ResponseTrailer
	}
	return call
}

func newConnectStream(ctx context.Context, procedure string, stream connect.StreamingHandlerConn) *connectCall {
	return &connectCall{
		ctx: ctx, procedure: procedure, protocol: stream.Peer().Protocol, header: stream.RequestHeader(),
		responseHeader: stream.ResponseHeader, responseTrailer: stream.ResponseTrailer, stream: stream,
	}
}

func (c *connectCall) Context() context.Context { return c.ctx }
func (c *connectCall) Procedure() string        { return c.procedure }

func (c *connectCall) Wire() string {
	switch c.protocol {
	case connect.ProtocolGRPC:
		return WireGRPC
	case connect.ProtocolGRPCWeb:
		return WireGRPCWeb
	}
	return WireConnect
}

func (c *connectCall) Metadata() Metadata {
	metadata := make(Metadata, len(c.header))
	for name, values := range c.header {
		key := strings.ToLower(name)
		if !isMetadata(key) {
			continue
		}
		if !IsBinary(key) {
			metadata[key] = values
			continue
		}
		// A list of binary values may come as one header, joined by commas.
		for _, value := range values {
			for part := range strings.SplitSeq(value, ",") {
				metadata[key] = append(metadata[key], DecodeBinary(strings.TrimSpace(part)))
			}
		}
	}
	return metadata
}

func (c *connectCall) Value(key string) string { return c.header.Get(key) }

func (c *connectCall) AddHeader(key string, values ...string) { add(c.responseHeader(), key, values) }

func (c *connectCall) AddTrailer(key string, values ...string) { add(c.responseTrailer(), key, values) }

func (c *connectCall) Receive(message proto.Message) error { return c.stream.Receive(message) }

func (c *connectCall) Send(message proto.Message) error { return c.stream.Send(message) }

func add(header http.Header, key string, values []string) {
	name := textproto.CanonicalMIMEHeaderKey(key)
	for _, value := range values {
		header[name] = append(header[name], EncodeValue(key, value))
	}
}

// isMetadata tells what the client's application sent from what HTTP and gRPC need for themselves.
func isMetadata(key string) bool {
	switch key {
	case "content-type", "content-length", "te", "host", "accept", "accept-encoding", "connection",
		"transfer-encoding", "connect-timeout-ms", "connect-protocol-version", "trailer":
		return false
	}
	return !strings.HasPrefix(key, "grpc-")
}

// connectError is a handler's error as connect writes it, with the details of its status.
func connectError(err error) error {
	if err == nil {
		return nil
	}
	if own := new(connect.Error); errors.As(err, &own) {
		return err
	}
	s := Status(err)
	if s.Code() == codes.OK {
		return nil
	}
	converted := connect.NewError(connect.Code(s.Code()), errors.New(s.Message()))
	for _, detail := range s.Proto().GetDetails() {
		if wrapped, err := connect.NewErrorDetail(detail); err == nil {
			converted.AddDetail(wrapped)
		}
	}
	return converted
}

// ClientGone tells an error that connect made because its client went away: on HTTP/1.1 a read fails before the
// call's context ends.
func ClientGone(err error) bool {
	own := new(connect.Error)
	return errors.As(err, &own) && (own.Code() == connect.CodeCanceled || errors.Is(err, io.ErrUnexpectedEOF))
}
