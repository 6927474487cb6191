// Package caller dials a machine by WebRTC.
package caller

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/channel"
)

// Connection is an open data channel to a machine, on which generated clients make calls.
type Connection struct {
	*channel.Caller
	peer *webrtc.PeerConnection
	data *webrtc.DataChannel
}

// Close ends the calls and the peer connection.
func (c *Connection) Close() error {
	c.Caller.Close()
	return errors.Join(c.data.Close(), c.peer.Close())
}

// Dial offers, answers and trickles through a signaling server (protocol §3), until the data channel is open and
// the server has ended the Call.
func Dial(ctx context.Context, signaling grpc.ClientConnInterface, host string) (*Connection, error) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "rpc-host", host))
	defer cancel()
	client := webrtcv1.NewSignalingServiceClient(signaling)
	response, err := client.OptionalWebRTCConfig(ctx, new(webrtcv1.OptionalWebRTCConfigRequest))
	if err != nil {
		return nil, fmt.Errorf("OptionalWebRTCConfig: %w", err)
	}
	configuration := webrtc.Configuration{}
	for _, server := range response.GetConfig().GetAdditionalIceServers() {
		configuration.ICEServers = append(configuration.ICEServers, webrtc.ICEServer{
			URLs: server.GetUrls(), Username: server.GetUsername(), Credential: server.GetCredential(),
		})
	}
	engine, err := channel.NewEngine()
	if err != nil {
		return nil, err
	}
	peer, err := engine.NewPeerConnection(configuration)
	if err != nil {
		return nil, err
	}
	data, err := channel.Negotiated(peer)
	if err != nil {
		return nil, errors.Join(err, peer.Close())
	}
	connection := &Connection{Caller: channel.NewCaller(data), peer: peer, data: data}
	data.OnClose(connection.Caller.Close)
	a := attempt{client: client, peer: peer, opened: make(chan struct{}), found: make(chan struct{}), cancel: cancel}
	data.OnOpen(func() { close(a.opened) })
	if err := a.run(ctx); err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return connection, nil
}

type attempt struct {
	client webrtcv1.SignalingServiceClient
	peer   *webrtc.PeerConnection
	opened chan struct{}
	found  chan struct{}
	cancel context.CancelFunc

	mutex sync.Mutex
	uuid  string
	// Candidates found before the server gave a uuid.
	early []webrtc.ICECandidateInit
	sent  sync.WaitGroup
}

func (a *attempt) run(ctx context.Context) error {
	var first sync.Once
	a.peer.OnICECandidate(func(candidate *webrtc.ICECandidate) {
		if candidate == nil {
			return
		}
		first.Do(func() { close(a.found) })
		a.send(ctx, candidate.ToJSON())
	})
	offer, err := a.peer.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := a.peer.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-a.found: // as Go callers do, so that the offer has a candidate (protocol §3.4)
	case <-ctx.Done():
		return ctx.Err()
	}
	text, err := json.Marshal(a.peer.LocalDescription())
	if err != nil {
		return err
	}
	call, err := a.client.Call(ctx, &webrtcv1.CallRequest{Sdp: base64.StdEncoding.EncodeToString(text)})
	if err != nil {
		return err
	}
	for {
		response, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("Call: %w", err)
		}
		if err := a.handle(ctx, response); err != nil {
			return err
		}
	}
	if a.uuid == "" {
		return errors.New("the Call ended without an answer")
	}
	select {
	case <-a.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	a.sent.Wait()
	_, err = a.client.CallUpdate(ctx, &webrtcv1.CallUpdateRequest{
		Uuid: a.uuid, Update: &webrtcv1.CallUpdateRequest_Done{Done: true},
	})
	return err
}

func (a *attempt) handle(ctx context.Context, response *webrtcv1.CallResponse) error {
	switch stage := response.GetStage().(type) {
	case *webrtcv1.CallResponse_Init:
		if a.uuid != "" {
			return errors.New("got init stage more than once")
		}
		var answer webrtc.SessionDescription
		text, err := base64.StdEncoding.DecodeString(stage.Init.GetSdp())
		if err == nil {
			err = json.Unmarshal(text, &answer)
		}
		if err == nil {
			err = a.peer.SetRemoteDescription(answer)
		}
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		a.mutex.Lock()
		a.uuid = response.GetUuid()
		early := a.early
		a.mutex.Unlock()
		for _, candidate := range early {
			a.send(ctx, candidate)
		}
	case *webrtcv1.CallResponse_Update:
		if a.uuid == "" {
			return errors.New("got update stage before init stage")
		}
		if response.GetUuid() != a.uuid {
			return fmt.Errorf("uuid mismatch; have=%q want=%q", response.GetUuid(), a.uuid)
		}
		candidate := strings.TrimPrefix(stage.Update.GetCandidate().GetCandidate(), "a=")
		if err := a.peer.AddICECandidate(webrtc.ICECandidateInit{Candidate: candidate}); err != nil {
			return fmt.Errorf("candidate %q: %w", candidate, err)
		}
	default:
		return errors.New("a CallResponse without a stage")
	}
	return nil
}

// send never waits: candidates go out side by side, in any order.
func (a *attempt) send(ctx context.Context, candidate webrtc.ICECandidateInit) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.uuid == "" {
		a.early = append(a.early, candidate)
		return
	}
	uuid, mid, line := a.uuid, "", uint32(0)
	a.sent.Go(func() {
		_, err := a.client.CallUpdate(ctx, &webrtcv1.CallUpdateRequest{
			Uuid: uuid,
			Update: &webrtcv1.CallUpdateRequest_Candidate{Candidate: &webrtcv1.ICECandidate{
				Candidate: candidate.Candidate, SdpMid: &mid, SdpmLineIndex: &line,
			}},
		})
		if err != nil && ctx.Err() == nil {
			a.cancel() // a peer of ours that loses a candidate is a finding, not weather
		}
	})
}
