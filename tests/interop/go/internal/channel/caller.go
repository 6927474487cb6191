package channel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/rpc"
)

// Caller makes calls on a data channel; it is a connection to the clients that grpc-go generates.
type Caller struct {
	sender  *sender
	context context.Context
	cancel  context.CancelFunc

	mutex   sync.Mutex
	lastID  uint64
	streams map[uint64]*clientStream
}

var _ grpc.ClientConnInterface = (*Caller)(nil)

// NewCaller must be made before the data channel opens.
func NewCaller(data *webrtc.DataChannel) *Caller {
	ctx, cancel := context.WithCancel(context.Background())
	caller := &Caller{
		sender: newSender(data, ctx.Done()), context: ctx, cancel: cancel, streams: make(map[uint64]*clientStream),
	}
	data.OnMessage(func(message webrtc.DataChannelMessage) { caller.receive(message.Data) })
	return caller
}

// Close fails every call with Unavailable; it does not close the data channel.
func (c *Caller) Close() {
	c.cancel()
	c.mutex.Lock()
	streams := c.streams
	c.streams = make(map[uint64]*clientStream)
	c.mutex.Unlock()
	for _, stream := range streams {
		stream.end(status.New(codes.Unavailable, errClosed.Error()), nil, true)
	}
}

// receive drops what it cannot read, and frames of calls that are over.
func (c *Caller) receive(bytes []byte) {
	f, err := parseFrame(bytes, false)
	if err != nil || !f.hasStream {
		return
	}
	c.mutex.Lock()
	stream := c.streams[f.id]
	c.mutex.Unlock()
	if stream != nil {
		stream.handle(f)
	}
}

// Invoke makes a unary call.
func (c *Caller) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	stream, err := c.open(ctx, method)
	if err != nil {
		return err
	}
	err = stream.unary(request.(proto.Message), response.(proto.Message))
	for _, option := range options {
		switch option := option.(type) {
		case grpc.HeaderCallOption:
			*option.HeaderAddr, _ = stream.Header()
		case grpc.TrailerCallOption:
			*option.TrailerAddr = stream.Trailer()
		}
	}
	return err
}

// NewStream makes a call of any kind; it takes no options.
func (c *Caller) NewStream(
	ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return c.open(ctx, method)
}

func (c *Caller) open(ctx context.Context, method string) (*clientStream, error) {
	stream := &clientStream{caller: c, context: ctx, inbox: newInbox(), started: make(chan struct{})}
	sent, _ := metadata.FromOutgoingContext(ctx)
	headers := &webrtcv1.RequestHeaders{Method: method, Metadata: toWire(rpc.Metadata(sent)), Timeout: new(durationpb.Duration)}
	if deadline, ok := ctx.Deadline(); ok {
		headers.Timeout = durationpb.New(time.Until(deadline))
	}
	c.mutex.Lock()
	if c.context.Err() != nil {
		c.mutex.Unlock()
		return nil, status.Error(codes.Unavailable, errClosed.Error())
	}
	c.lastID++ // Go peers count from 1
	stream.id = c.lastID
	c.streams[stream.id] = stream
	c.mutex.Unlock()

	bytes, err := proto.Marshal(&webrtcv1.Request{
		Stream: &webrtcv1.Stream{Id: stream.id},
		Type:   &webrtcv1.Request_Headers{Headers: headers},
	})
	if err == nil {
		err = c.sender.send(ctx, bytes)
	}
	if err != nil {
		c.forget(stream)
		return nil, rpc.Status(err).Err()
	}
	stream.watch()
	return stream, nil
}

// forget tells whether the stream was still known.
func (c *Caller) forget(stream *clientStream) bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	_, known := c.streams[stream.id]
	delete(c.streams, stream.id)
	return known
}

// clientStream is one call of a Caller.
type clientStream struct {
	caller  *Caller
	id      uint64
	context context.Context

	assembler assembler
	inbox     *inbox

	mutex   sync.Mutex
	header  metadata.MD
	trailer metadata.MD
	// Closed when headers or the status have come.
	started chan struct{}
	ended   bool
	stop    func() bool
}

func (s *clientStream) handle(f frame) {
	switch f.kind {
	case fieldHeaders:
		var headers webrtcv1.ResponseHeaders
		if err := proto.Unmarshal(f.body, &headers); err != nil || !s.begin(fromWire(headers.GetMetadata())) {
			s.fail(codes.Internal, "bad or second headers")
		}
	case fieldMessage:
		select {
		case <-s.started:
		default:
			s.fail(codes.Internal, "headers not yet received")
			return
		}
		message, complete, err := s.assembler.add(f.data, f.eom, rpc.MaxMessageBytes)
		if err == nil && complete {
			err = s.inbox.put(message)
		}
		if err != nil {
			s.fail(codes.ResourceExhausted, err.Error())
		}
	case fieldLast:
		var trailers webrtcv1.ResponseTrailers
		if err := proto.Unmarshal(f.body, &trailers); err != nil {
			s.fail(codes.Internal, "bad trailers")
			return
		}
		if s.caller.forget(s) {
			// No status means OK.
			s.end(status.FromProto(trailers.GetStatus()), fromWire(trailers.GetMetadata()), false)
		}
	}
}

func (s *clientStream) begin(header rpc.Metadata) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	select {
	case <-s.started:
		return false
	default:
	}
	s.header = metadata.MD(header)
	close(s.started)
	return true
}

// end settles the call: after what has been received, or at once.
func (s *clientStream) end(reason *status.Status, trailer rpc.Metadata, atOnce bool) {
	s.mutex.Lock()
	s.ended = true
	s.trailer = metadata.MD(trailer)
	select {
	case <-s.started:
	default:
		close(s.started)
	}
	if s.stop != nil {
		s.stop()
	}
	s.mutex.Unlock()
	err := reason.Err()
	switch {
	case atOnce:
		s.inbox.fail(err)
	case err == nil:
		s.inbox.finish(io.EOF)
	default:
		s.inbox.finish(err)
	}
}

// watch makes the end of the call's context reset the stream; not before its headers are sent, or the machine
// would take the headers for a new call.
func (s *clientStream) watch() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if !s.ended {
		s.stop = context.AfterFunc(s.context, s.reset)
	}
}

// reset is what the end of the call's context does.
func (s *clientStream) reset() { s.abort(status.FromContextError(s.context.Err())) }

func (s *clientStream) fail(code codes.Code, message string) { s.abort(status.New(code, message)) }

func (s *clientStream) abort(reason *status.Status) {
	if !s.caller.forget(s) {
		return
	}
	s.end(reason, nil, true)
	bytes, err := proto.Marshal(&webrtcv1.Request{
		Stream: &webrtcv1.Stream{Id: s.id},
		Type:   &webrtcv1.Request_RstStream{RstStream: true},
	})
	if err == nil {
		// Not from here: the data channel's callback comes this way too, and must not wait.
		go func() { _ = s.caller.sender.send(s.caller.context, bytes) }()
	}
}

func (s *clientStream) unary(request, response proto.Message) error {
	if err := s.send(request, true); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := s.RecvMsg(response); err != nil {
		if errors.Is(err, io.EOF) {
			return status.Error(codes.Internal, "the call ended without a response")
		}
		return err
	}
	if bytes, err := s.inbox.take(s.context); !errors.Is(err, io.EOF) {
		if err == nil {
			return status.Errorf(codes.Internal, "a second response of %d bytes", len(bytes))
		}
		return rpc.Status(err).Err()
	}
	return nil
}

// send puts eos on every packet of a unary call's only message, as Go peers do (protocol §4.3).
func (s *clientStream) send(message proto.Message, eos bool) error {
	s.mutex.Lock()
	ended := s.ended
	s.mutex.Unlock()
	if ended {
		return io.EOF // RecvMsg says why
	}
	err := s.caller.sender.sendMessage(s.context, message, maxRequestData,
		func(bytes []byte, dataSize int, eom bool) []byte {
			return appendRequestStart(bytes, s.id, true, dataSize, eom, eos)
		},
		func(bytes []byte, eom bool) []byte { return appendRequestEnd(bytes, eom, eos) })
	if err != nil {
		return rpc.Status(err).Err()
	}
	return nil
}

func (s *clientStream) SendMsg(message any) error { return s.send(message.(proto.Message), false) }

func (s *clientStream) CloseSend() error {
	bytes := appendRequestEnd(appendRequestStart(nil, s.id, false, 0, true, true), true, true)
	if err := s.caller.sender.send(s.context, bytes); err != nil {
		return rpc.Status(err).Err()
	}
	return nil
}

func (s *clientStream) RecvMsg(message any) error {
	bytes, err := s.inbox.take(s.context)
	if errors.Is(err, io.EOF) {
		return err
	}
	if err != nil {
		return rpc.Status(err).Err()
	}
	if err := proto.Unmarshal(bytes, message.(proto.Message)); err != nil {
		return status.Error(codes.Internal, fmt.Sprintf("failed to unmarshal the response: %v", err))
	}
	return nil
}

func (s *clientStream) Header() (metadata.MD, error) {
	select {
	case <-s.started:
	case <-s.context.Done():
		return nil, status.FromContextError(s.context.Err()).Err()
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.header, nil
}

func (s *clientStream) Trailer() metadata.MD {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.trailer
}

func (s *clientStream) Context() context.Context { return s.context }
