// Package machine is what the peer serves: its services, who may call them, and how to reach them by WebRTC.
package machine

import (
	"context"
	"sync"

	"viamdial/interop/gen/probev1"
	"viamdial/interop/internal/rpc"
)

// witnessKey is the metadata by which a client asks to have a call remembered.
const witnessKey = "x-witness"

// witnesses remembers what became of calls, by token.
type witnesses struct {
	mutex sync.Mutex
	calls map[string]*probev1.WitnessResponse
}

func newWitnesses() *witnesses { return &witnesses{calls: make(map[string]*probev1.WitnessResponse)} }

// around records a call that carries a token. A call is cancelled when its context ends before its handler,
// or its handler fails because the client has gone.
func (w *witnesses) around(call rpc.Call, next func() error) error {
	token := call.Value(witnessKey)
	if token == "" {
		return next()
	}
	record := &probev1.WitnessResponse{Started: true}
	w.mutex.Lock()
	w.calls[token] = record
	w.mutex.Unlock()

	cancelled := func() {
		w.mutex.Lock()
		record.Cancelled = true
		w.mutex.Unlock()
	}
	stop := context.AfterFunc(call.Context(), cancelled)
	err := next()
	stop()
	if call.Context().Err() != nil || rpc.ClientGone(err) {
		cancelled()
	}
	w.mutex.Lock()
	record.Finished = true
	w.mutex.Unlock()
	return err
}

func (w *witnesses) look(token string) *probev1.WitnessResponse {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	record := w.calls[token]
	return &probev1.WitnessResponse{
		Started: record.GetStarted(), Cancelled: record.GetCancelled(), Finished: record.GetFinished(),
	}
}
