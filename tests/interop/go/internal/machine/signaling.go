package machine

import (
	"context"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/rpc"
)

// signaling is the callers' side of the machine's own signaling server.
type signaling struct {
	offers *offers
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

// call passes on what an answerer says, until that has gathered its candidates or its channel is open. To the
// answerer an end of the call before that is an error of the caller; after it, it is nothing.
func (s *signaling) call(call rpc.Call, request *webrtcv1.CallRequest, send func(*webrtcv1.CallResponse) error) error {
	if err := checkHost(call); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(call.Context(), offerLife)
	defer cancel()
	current := s.offers.add(ctx, request.GetSdp(), request.GetDisableTrickle())
	defer current.answered()
	for {
		response := &webrtcv1.CallResponse{Uuid: current.id}
		select {
		case <-ctx.Done():
			s.offers.fail(current, ctx.Err())
			return ctx.Err()
		case <-current.answering.Done():
			return nil
		case answer := <-current.answers:
			switch stage := answer.GetStage().(type) {
			case *webrtcv1.AnswerResponse_Init:
				response.Stage = &webrtcv1.CallResponse_Init{
					Init: &webrtcv1.CallResponseInitStage{Sdp: stage.Init.GetSdp()},
				}
			case *webrtcv1.AnswerResponse_Update:
				response.Stage = &webrtcv1.CallResponse_Update{
					Update: &webrtcv1.CallResponseUpdateStage{Candidate: stage.Update.GetCandidate()},
				}
			case *webrtcv1.AnswerResponse_Error:
				reason := status.FromProto(stage.Error.GetStatus())
				err := status.Errorf(reason.Code(), "error from answerer: %s", reason.Message())
				s.offers.fail(current, err)
				return err
			}
		}
		if err := send(response); err != nil {
			// A candidate that does not arrive is no failure: others may have.
			if response.GetInit() != nil {
				s.offers.fail(current, err)
			}
			return err
		}
	}
}

func (s *signaling) update(
	call rpc.Call, request *webrtcv1.CallUpdateRequest,
) (*webrtcv1.CallUpdateResponse, error) {
	if err := checkHost(call); err != nil {
		return nil, err
	}
	current, err := s.offers.find(request.GetUuid())
	if err != nil {
		return nil, err
	}
	switch update := request.GetUpdate().(type) {
	case *webrtcv1.CallUpdateRequest_Candidate:
		ctx, cancel := context.WithTimeout(call.Context(), offerLife)
		defer cancel()
		// An answerer that reads no more lets it wait (protocol §7.3, 29).
		select {
		case current.candidates <- update.Candidate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case *webrtcv1.CallUpdateRequest_Error:
		s.offers.fail(current, status.ErrorProto(update.Error))
	case *webrtcv1.CallUpdateRequest_Done:
		current.end(nil)
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

func statusOf(err error) *statuspb.Status { return rpc.Status(err).Proto() }
