package channel

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/rpc"
)

// Server serves methods on any number of data channels.
type Server struct {
	methods map[string]rpc.Method
	around  rpc.Interceptor
}

// NewServer serves every call that comes, without asking for a token: whoever opened the data channel has
// proved to the signaling server who they are (protocol §5.6).
func NewServer(methods []rpc.Method, around rpc.Interceptor) *Server {
	server := &Server{methods: make(map[string]rpc.Method, len(methods)), around: around}
	for _, method := range methods {
		server.methods[method.Procedure] = method
	}
	return server
}

// Connection is one data channel of a Server.
type Connection struct {
	server  *Server
	sender  *sender
	context context.Context
	cancel  context.CancelFunc

	mutex   sync.Mutex
	streams map[uint64]*serverStream
}

// Serve must be called before the data channel opens: frames may arrive with its opening.
func (s *Server) Serve(data *webrtc.DataChannel) *Connection {
	ctx, cancel := context.WithCancel(context.Background())
	connection := &Connection{
		server: s, sender: newSender(data, ctx.Done()), context: ctx, cancel: cancel,
		streams: make(map[uint64]*serverStream),
	}
	data.OnMessage(func(message webrtc.DataChannelMessage) { connection.receive(message.Data) })
	return connection
}

// Close cancels every call; it does not close the data channel.
func (c *Connection) Close() { c.cancel() }

// receive never waits: it runs in the data channel's callback, for all streams. What it cannot read it drops.
func (c *Connection) receive(bytes []byte) {
	f, err := parseFrame(bytes, true)
	if err != nil || !f.hasStream {
		return
	}
	c.mutex.Lock()
	stream := c.streams[f.id]
	c.mutex.Unlock()
	switch {
	case stream != nil:
		stream.handle(f)
	case f.kind == fieldHeaders:
		c.open(f)
	}
}

func (c *Connection) open(f frame) {
	var headers webrtcv1.RequestHeaders
	if err := proto.Unmarshal(f.body, &headers); err != nil {
		return
	}
	stream := &serverStream{connection: c, id: f.id, headers: &headers, inbox: newInbox()}
	ctx, reset := context.WithCancelCause(c.context)
	stream.context, stream.reset = ctx, reset
	if timeout := headers.GetTimeout().AsDuration(); headers.GetTimeout() != nil && timeout != 0 {
		stream.context, stream.stopTimer = context.WithTimeout(ctx, timeout)
	}
	c.mutex.Lock()
	c.streams[f.id] = stream
	c.mutex.Unlock()
	go stream.run()
}

func (c *Connection) forget(stream *serverStream) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.streams[stream.id] == stream {
		delete(c.streams, stream.id)
	}
}

// serverStream is a Call on a data channel.
type serverStream struct {
	connection *Connection
	id         uint64
	headers    *webrtcv1.RequestHeaders
	context    context.Context
	reset      context.CancelCauseFunc
	stopTimer  context.CancelFunc

	// Of the data channel's callback.
	assembler  assembler
	halfClosed bool
	inbox      *inbox

	// Of the handler.
	header      rpc.Metadata
	trailer     rpc.Metadata
	headersSent bool
}

var (
	errReset           = status.Error(codes.Canceled, "request cancelled")
	errSecondHeaders   = status.Error(codes.InvalidArgument, "headers already received")
	errMissingPacket   = status.Error(codes.InvalidArgument, "message expected, packet_message is missing")
	errUnknownRequest  = status.Error(codes.InvalidArgument, "unknown request type")
	errMessageTooLarge = status.Error(codes.ResourceExhausted, "message is larger than 33554432 bytes")
	errUnread          = status.Error(codes.ResourceExhausted, errInboxFull.Error())
)

func (s *serverStream) handle(f frame) {
	switch f.kind {
	case fieldMessage:
		s.handleMessage(f)
	case fieldLast: // rst_stream, whatever its value
		s.abort(errReset)
	case fieldHeaders:
		s.abort(errSecondHeaders)
	default:
		s.abort(errUnknownRequest)
	}
}

// handleMessage takes every form of half-close: on the last packet, on a frame of its own with or without a
// packet, or never (protocol §4.3).
func (s *serverStream) handleMessage(f frame) {
	if s.halfClosed {
		return
	}
	if f.hasMessage {
		if !f.hasPacket {
			s.abort(errMissingPacket)
			return
		}
		message, complete, err := s.assembler.add(f.data, f.eom, rpc.MaxMessageBytes)
		if err != nil {
			s.abort(errMessageTooLarge)
			return
		}
		if complete && s.inbox.put(message) != nil {
			s.abort(errUnread)
			return
		}
		if !f.eom {
			return // eos counts on the last packet of the message only
		}
	}
	if f.eos {
		s.halfClosed = true
		s.inbox.finish(io.EOF)
	}
}

// abort ends the handler's context and what it still reads; the reason becomes the status.
func (s *serverStream) abort(reason error) {
	s.inbox.fail(reason)
	s.reset(reason)
}

func (s *serverStream) run() {
	defer func() {
		s.connection.forget(s)
		s.reset(nil)
		if s.stopTimer != nil {
			s.stopTimer()
		}
	}()
	var err error
	if method, ok := s.connection.server.methods[s.headers.GetMethod()]; ok {
		err = s.connection.server.around(s, func() error { return method.Serve(s) })
	} else {
		err = status.Error(codes.Unimplemented, "Unimplemented")
	}
	// Also of a handler that succeeded too late: its client has given up.
	if s.context.Err() != nil {
		err = context.Cause(s.context)
	}
	s.finish(rpc.Status(err))
}

func (s *serverStream) finish(ended *status.Status) {
	// The stream's own context may be over; only the loss of the connection stops its last frames.
	ctx := s.connection.context
	if !s.headersSent {
		if err := s.sendHeaders(ctx); err != nil {
			return
		}
	}
	trailers := &webrtcv1.ResponseTrailers{Metadata: toWire(s.trailer)}
	if ended.Code() != codes.OK {
		trailers.Status = ended.Proto()
	}
	bytes, err := responseTrailers(s.id, trailers)
	if err != nil || len(bytes) > maxFrameBytes {
		// What cannot be sent is told without what made it so.
		trailers = &webrtcv1.ResponseTrailers{
			Status: status.New(codes.Internal, "the trailers do not fit in a frame").Proto(),
		}
		if bytes, err = responseTrailers(s.id, trailers); err != nil {
			return
		}
	}
	// The id is free before the client can know that the call has ended.
	s.connection.forget(s)
	_ = s.connection.sender.send(ctx, bytes)
}

func (s *serverStream) sendHeaders(ctx context.Context) error {
	bytes, err := responseHeaders(s.id, toWire(s.header))
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if err := s.connection.sender.send(ctx, bytes); err != nil {
		return err
	}
	s.headersSent = true
	return nil
}

func (s *serverStream) Context() context.Context { return s.context }
func (s *serverStream) Procedure() string        { return s.headers.GetMethod() }
func (s *serverStream) Wire() string             { return rpc.WireWebRTC }
func (s *serverStream) Metadata() rpc.Metadata   { return fromWire(s.headers.GetMetadata()) }

func (s *serverStream) Value(key string) string {
	if values := s.headers.GetMetadata().GetMd()[key].GetValues(); len(values) > 0 {
		return values[0]
	}
	return ""
}

func (s *serverStream) AddHeader(key string, values ...string) {
	if s.header == nil {
		s.header = make(rpc.Metadata)
	}
	s.header[key] = append(s.header[key], values...)
}

func (s *serverStream) AddTrailer(key string, values ...string) {
	if s.trailer == nil {
		s.trailer = make(rpc.Metadata)
	}
	s.trailer[key] = append(s.trailer[key], values...)
}

func (s *serverStream) Receive(message proto.Message) error {
	bytes, err := s.inbox.take(s.context)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(bytes, message); err != nil {
		return status.Error(codes.Internal, "failed to unmarshal the received message: "+err.Error())
	}
	return nil
}

func (s *serverStream) Send(message proto.Message) error {
	if !s.headersSent {
		if err := s.sendHeaders(s.context); err != nil {
			return err
		}
	}
	err := s.connection.sender.sendMessage(s.context, message, maxResponseData,
		func(bytes []byte, dataSize int, eom bool) []byte {
			return appendResponseStart(bytes, s.id, dataSize, eom)
		}, appendPacketEnd)
	if errors.Is(err, errClosed) {
		return status.Error(codes.Unavailable, err.Error())
	}
	return err
}
