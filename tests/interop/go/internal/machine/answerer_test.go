package machine_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/caller"
	"viamdial/interop/internal/channel"
	"viamdial/interop/internal/machine"
)

// Both answerers are taken by dials that are given up, each row in its way; then somebody else dials. ORACLE is the
// address of another make of machine to try instead, one that lets everybody in.
func TestAnswerersHeld(t *testing.T) {
	const atOnce, held, released = 2 * time.Second, 9 * time.Second, 12 * time.Second
	for _, row := range []struct {
		name        string
		steps       []step
		queued      bool
		least, most time.Duration
	}{
		{"Call cancelled before the answer", []step{offer, cancel}, false, held, released},
		{"an error after the answer", []step{offer, answer, fail}, false, held, released},
		{"opened, then closed with nothing said", []step{offer, answer, open, hangUp}, false, held, released},
		{"opened, then done", []step{offer, answer, open, done}, false, 0, atOnce},
		{"opened, then an error", []step{offer, answer, open, fail}, false, 0, atOnce},
		{"an error, then opened", []step{offer, answer, fail, open}, false, 0, atOnce},
		{"queued offers cancelled", []step{offer, cancel}, true, held, released},
	} {
		t.Run(row.name, func(t *testing.T) {
			signaling, host := oracle(t)
			if signaling == nil {
				t.Parallel()
				signaling, host = start(t, machine.Options{WebRTC: true})
			}
			count := 2
			if row.queued {
				count += 4
			}
			for range count {
				a := newAttempt(t, signaling, host)
				for _, next := range row.steps {
					if err := next(a); err != nil {
						t.Fatal(err)
					}
				}
			}
			began := time.Now()
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				connection, err := caller.Dial(ctx, signaling, host)
				cancel()
				if err == nil {
					_ = connection.Close()
					break
				}
				if time.Since(began) > 20*time.Second {
					t.Fatal(err)
				}
			}
			took := time.Since(began)
			t.Logf("the honest dial took %v", took)
			if took < row.least || took > row.most {
				t.Errorf("want %v to %v", row.least, row.most)
			}
		})
	}
}

func oracle(t *testing.T) (grpc.ClientConnInterface, string) {
	address := os.Getenv("ORACLE")
	if address == "" {
		return nil, ""
	}
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection, address
}

// attempt is a dial in steps, to be given up between any two.
type step func(*attempt) error

type attempt struct {
	ctx         context.Context
	cancel      context.CancelFunc
	client      webrtcv1.SignalingServiceClient
	peer        *webrtc.PeerConnection
	opened      chan struct{}
	call        webrtcv1.SignalingService_CallClient
	id          string
	description webrtc.SessionDescription
}

func newAttempt(t *testing.T, signaling grpc.ClientConnInterface, host string) *attempt {
	engine, err := channel.NewEngine()
	if err != nil {
		t.Fatal(err)
	}
	peer, err := engine.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	a := &attempt{
		client: webrtcv1.NewSignalingServiceClient(signaling), peer: peer, opened: make(chan struct{}),
	}
	a.ctx, a.cancel = context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "rpc-host", host))
	data, err := channel.Negotiated(peer)
	if err != nil {
		t.Fatal(err)
	}
	data.OnOpen(func() { close(a.opened) })
	t.Cleanup(func() {
		a.cancel()
		_ = peer.Close()
	})
	return a
}

// offer has all candidates in it, so that none has to be trickled.
func offer(a *attempt) error {
	gathered := webrtc.GatheringCompletePromise(a.peer)
	offer, err := a.peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := a.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	text, err := json.Marshal(a.peer.LocalDescription())
	if err != nil {
		return err
	}
	a.call, err = a.client.Call(a.ctx, &webrtcv1.CallRequest{Sdp: base64.StdEncoding.EncodeToString(text)})
	time.Sleep(50 * time.Millisecond) // an answerer has it, or it is queued
	return err
}

func cancel(a *attempt) error {
	a.cancel()
	return nil
}

func answer(a *attempt) error {
	response, err := a.call.Recv()
	if err != nil {
		return err
	}
	a.id = response.GetUuid()
	text, err := base64.StdEncoding.DecodeString(response.GetInit().GetSdp())
	if err != nil {
		return err
	}
	go func() {
		for err == nil {
			_, err = a.call.Recv()
		}
	}()
	return json.Unmarshal(text, &a.description)
}

func open(a *attempt) error {
	if err := a.peer.SetRemoteDescription(a.description); err != nil {
		return err
	}
	select {
	case <-a.opened:
		return nil
	case <-time.After(5 * time.Second):
		return errors.New("the channel did not open")
	}
}

func hangUp(a *attempt) error { return a.peer.Close() }

func done(a *attempt) error {
	_, err := a.client.CallUpdate(a.ctx, &webrtcv1.CallUpdateRequest{
		Uuid: a.id, Update: &webrtcv1.CallUpdateRequest_Done{Done: true},
	})
	return err
}

func fail(a *attempt) error {
	reason := status.New(codes.Canceled, "given up").Proto()
	_, err := a.client.CallUpdate(a.ctx, &webrtcv1.CallUpdateRequest{
		Uuid: a.id, Update: &webrtcv1.CallUpdateRequest_Error{Error: reason},
	})
	return err
}
