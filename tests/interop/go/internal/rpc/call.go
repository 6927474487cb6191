// Package rpc says what a handler sees of a call, whatever carried it: HTTP or a data channel.
package rpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// MaxMessageBytes is the largest message that a Viam machine receives (2^25).
const MaxMessageBytes = 33_554_432

// Wire names how a call arrived.
const (
	WireWebRTC  = "webrtc"
	WireGRPC    = "grpc"
	WireGRPCWeb = "grpc-web"
	WireConnect = "connect"
)

// Call is one RPC as its handler sees it.
type Call interface {
	// Context ends at the deadline, when the client cancels, and when its connection is lost.
	Context() context.Context
	// Procedure is "/package.Service/Method".
	Procedure() string
	// Wire is one of the Wire constants.
	Wire() string
	// Metadata is what the client sent.
	Metadata() Metadata
	// Value is the first value of a key of lower-case text metadata, "" without one.
	Value(key string) string
	// AddHeader and AddTrailer append to the response metadata; values of "-bin" keys are raw bytes.
	AddHeader(key string, values ...string)
	AddTrailer(key string, values ...string)
	// Receive fails with io.EOF after the client's half-close.
	Receive(message proto.Message) error
	Send(message proto.Message) error
}

// Status is the status that a handler's error stands for; nil for nil.
func Status(err error) *status.Status {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		return s
	}
	switch {
	case errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, err.Error())
	}
	return status.New(codes.Unknown, err.Error())
}
