package machine

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/rpc"
)

// offerDeadline is how long a caller has from Call to an open data channel (protocol §2.9).
const offerDeadline = 10 * time.Second

// signaling lets callers reach the answerer; the machine is its own signaling server.
type signaling struct {
	answerer *Answerer

	mutex sync.Mutex
	// Sessions whose peer connection lives.
	sessions map[string]*session
}

func newSignaling(answerer *Answerer) *signaling {
	return &signaling{answerer: answerer, sessions: make(map[string]*session)}
}

func (s *signaling) methods() []rpc.Method {
	return []rpc.Method{
		rpc.Unary(webrtcv1.SignalingService_OptionalWebRTCConfig_FullMethodName, s.config),
		rpc.ServerStream(webrtcv1.SignalingService_Call_FullMethodName, s.call),
		rpc.Unary(webrtcv1.SignalingService_CallUpdate_FullMethodName, s.update),
	}
}

func (s *signaling) config(
	call rpc.Call, _ *webrtcv1.OptionalWebRTCConfigRequest,
) (*webrtcv1.OptionalWebRTCConfigResponse, error) {
	if err := checkHost(call); err != nil {
		return nil, err
	}
	return &webrtcv1.OptionalWebRTCConfigResponse{Config: new(webrtcv1.WebRTCConfig)}, nil
}

func (s *signaling) call(call rpc.Call, request *webrtcv1.CallRequest, send func(*webrtcv1.CallResponse) error) error {
	if err := checkHost(call); err != nil {
		return err
	}
	offer, err := decodeDescription(request.GetSdp())
	if err != nil {
		return err
	}
	id := uuid.NewString()
	current, err := s.answerer.open(func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.sessions, id)
	})
	if err != nil {
		return err
	}
	s.mutex.Lock()
	s.sessions[id] = current
	s.mutex.Unlock()

	err = s.exchange(call.Context(), id, current, offer, request.GetDisableTrickle(), send)
	select {
	case <-current.opened:
		// A caller may leave as soon as its side is open; that is no failure.
		return nil
	default:
	}
	if call.Context().Err() != nil {
		// Its side may have opened before ours did.
		go current.closeUnlessOpen(offerDeadline)
		return err
	}
	current.close()
	return err
}

// exchange answers the offer, then sends candidates until the data channel opens.
func (s *signaling) exchange(
	ctx context.Context, id string, current *session, offer webrtc.SessionDescription, gatherFirst bool,
	send func(*webrtcv1.CallResponse) error,
) error {
	timer := time.NewTimer(offerDeadline)
	defer timer.Stop()
	answer, err := current.answer(ctx, offer, gatherFirst)
	if err != nil {
		return status.Errorf(codes.Unknown, "error from answerer: %v", err)
	}
	sdp, err := encodeDescription(answer)
	if err != nil {
		return err
	}
	initial := &webrtcv1.CallResponse{
		Uuid:  id,
		Stage: &webrtcv1.CallResponse_Init{Init: &webrtcv1.CallResponseInitStage{Sdp: sdp}},
	}
	if err := send(initial); err != nil {
		return err
	}
	candidates := current.candidates
	if gatherFirst {
		candidates = nil
	}
	for {
		select {
		case candidate := <-candidates:
			// As every pion answerer: no mid, line 0, no user fragment (protocol §3.5).
			mid, line := "", uint32(0)
			update := &webrtcv1.CallResponse{
				Uuid: id,
				Stage: &webrtcv1.CallResponse_Update{Update: &webrtcv1.CallResponseUpdateStage{
					Candidate: &webrtcv1.ICECandidate{
						Candidate: candidate.ToJSON().Candidate, SdpMid: &mid, SdpmLineIndex: &line,
					},
				}},
			}
			if err := send(update); err != nil {
				return err
			}
		case <-current.opened:
			return nil
		case err := <-current.refused:
			return err
		case <-current.closed:
			return status.Error(codes.Unavailable, "error from answerer: the peer connection closed")
		case <-timer.C:
			return context.DeadlineExceeded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *signaling) update(
	call rpc.Call, request *webrtcv1.CallUpdateRequest,
) (*webrtcv1.CallUpdateResponse, error) {
	if err := checkHost(call); err != nil {
		return nil, err
	}
	s.mutex.Lock()
	current := s.sessions[request.GetUuid()]
	s.mutex.Unlock()
	if current == nil {
		return nil, status.Errorf(codes.Unknown, "no active offer for %q", request.GetUuid())
	}
	switch update := request.GetUpdate().(type) {
	case *webrtcv1.CallUpdateRequest_Candidate:
		current.addCandidate(update.Candidate)
	case *webrtcv1.CallUpdateRequest_Error:
		current.refuse(status.ErrorProto(update.Error))
	case *webrtcv1.CallUpdateRequest_Done:
	default:
		return nil, status.Error(codes.Unknown, "unknown update stage")
	}
	return new(webrtcv1.CallUpdateResponse), nil
}

// checkHost takes any host, but exactly one, as a Viam signaling server does (protocol §3.7).
func checkHost(call rpc.Call) error {
	hosts := call.Metadata()["rpc-host"]
	switch {
	case len(hosts) == 0:
		return status.Error(codes.Unknown, "expected rpc-host to be set in metadata")
	case len(hosts) > 1:
		return status.Error(codes.Unknown, "expected 1 rpc-host")
	case hosts[0] == "":
		return status.Error(codes.Unknown, "expected non-empty rpc-host")
	}
	return nil
}

// decodeDescription reads base64 of {"type", "sdp"} (protocol §3.2).
func decodeDescription(text string) (webrtc.SessionDescription, error) {
	var description webrtc.SessionDescription
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(bytes, &description)
	}
	if err != nil {
		return description, status.Errorf(codes.InvalidArgument, "sdp is not base64 of a JSON description: %v", err)
	}
	if description.Type != webrtc.SDPTypeOffer {
		return description, status.Errorf(codes.InvalidArgument, "expected an offer, got %q", description.Type)
	}
	return description, nil
}

func encodeDescription(description webrtc.SessionDescription) (string, error) {
	bytes, err := json.Marshal(description)
	return base64.StdEncoding.EncodeToString(bytes), err
}

// iceCandidate reads a candidate as the engines write it, with and without "a=".
func iceCandidate(candidate *webrtcv1.ICECandidate) webrtc.ICECandidateInit {
	return webrtc.ICECandidateInit{Candidate: strings.TrimPrefix(candidate.GetCandidate(), "a=")}
}
