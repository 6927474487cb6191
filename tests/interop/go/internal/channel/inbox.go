package channel

import (
	"context"
	"errors"
	"io"
	"sync"
)

// maxInboxBytes bounds what a stream that nobody reads may hold.
const maxInboxBytes = 256 << 20

var errInboxFull = errors.New("too much unread data on the stream")

// inbox holds the received messages of one stream, so that the data channel's callback never waits for a reader.
type inbox struct {
	mutex    sync.Mutex
	messages [][]byte
	bytes    int
	end      error
	arrived  chan struct{}
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1)} }

// put fails when the reader is too far behind.
func (i *inbox) put(message []byte) error {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.end != nil {
		return nil
	}
	if i.bytes+len(message) > maxInboxBytes {
		return errInboxFull
	}
	i.messages = append(i.messages, message)
	i.bytes += len(message)
	i.notify()
	return nil
}

// finish ends the stream after what it holds; the first reason stays.
func (i *inbox) finish(reason error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.end == nil {
		i.end = reason
		i.notify()
	}
}

// fail ends the stream at once.
func (i *inbox) fail(reason error) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.end == nil || errors.Is(i.end, io.EOF) {
		i.messages, i.bytes, i.end = nil, 0, reason
		i.notify()
	}
}

func (i *inbox) notify() {
	select {
	case i.arrived <- struct{}{}:
	default:
	}
}

// take waits for the next message; it has one caller at a time.
func (i *inbox) take(ctx context.Context) ([]byte, error) {
	for {
		i.mutex.Lock()
		if len(i.messages) > 0 {
			message := i.messages[0]
			i.messages[0] = nil
			i.messages = i.messages[1:]
			i.bytes -= len(message)
			i.mutex.Unlock()
			return message, nil
		}
		end := i.end
		i.mutex.Unlock()
		if end != nil {
			return nil, end
		}
		select {
		case <-i.arrived:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
