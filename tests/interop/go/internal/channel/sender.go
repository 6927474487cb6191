package channel

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

const (
	// A sender waits while more than this is buffered (protocol §4.11), and goes on below the other.
	bufferedHigh = 1 << 20
	bufferedLow  = 256 << 10
)

var errClosed = errors.New("the data channel is closed")

// sender writes the frames of all streams of a data channel; streams take turns frame by frame.
type sender struct {
	data   *webrtc.DataChannel
	turn   chan struct{}
	low    chan struct{}
	closed <-chan struct{}
}

func newSender(data *webrtc.DataChannel, closed <-chan struct{}) *sender {
	s := &sender{data: data, turn: make(chan struct{}, 1), low: make(chan struct{}, 1), closed: closed}
	data.SetBufferedAmountLowThreshold(bufferedLow)
	data.OnBufferedAmountLow(func() {
		select {
		case s.low <- struct{}{}:
		default:
		}
	})
	return s
}

// send returns when the frame is buffered; it does not keep the bytes.
func (s *sender) send(ctx context.Context, bytes []byte) error {
	if len(bytes) > maxFrameBytes {
		return fmt.Errorf("frame of %d bytes is larger than %d", len(bytes), maxFrameBytes)
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.closed:
		return errClosed
	}
	defer func() { <-s.turn }()
	for s.data.BufferedAmount() > bufferedHigh {
		select {
		case <-s.low:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.closed:
			return errClosed
		}
	}
	if err := s.data.Send(bytes); err != nil {
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	return nil
}

// Frames that carry payload are built here and used again: pion copies what it is given to send.
var frameBuffers = sync.Pool{New: func() any { return new([]byte) }}

// sendMessage cuts a message into packets. start and end write what surrounds a packet's data.
func (s *sender) sendMessage(
	ctx context.Context, message proto.Message, maxData int,
	start func(bytes []byte, dataSize int, eom bool) []byte, end func(bytes []byte, eom bool) []byte,
) error {
	buffer := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buffer)
	size := proto.Size(message)
	options := proto.MarshalOptions{UseCachedSize: true}
	if size <= maxData {
		bytes, err := options.MarshalAppend(start((*buffer)[:0], size, true), message)
		if err != nil {
			return err
		}
		*buffer = end(bytes, true)
		return s.send(ctx, *buffer)
	}
	encoded, err := options.MarshalAppend(make([]byte, 0, size), message)
	if err != nil {
		return err
	}
	for len(encoded) > 0 {
		data := encoded[:min(maxData, len(encoded))]
		encoded = encoded[len(data):]
		eom := len(encoded) == 0
		*buffer = end(append(start((*buffer)[:0], len(data), eom), data...), eom)
		if err := s.send(ctx, *buffer); err != nil {
			return err
		}
	}
	return nil
}
