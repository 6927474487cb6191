package machine

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"viamdial/interop/gen/probev1"
	"viamdial/interop/internal/rpc"
)

func probeMethods(w *witnesses) []rpc.Method {
	return []rpc.Method{
		rpc.Unary(probev1.ProbeService_Echo_FullMethodName, echo),
		rpc.ServerStream(probev1.ProbeService_Download_FullMethodName, download),
		rpc.ClientStream(probev1.ProbeService_Upload_FullMethodName, upload),
		rpc.Bidi(probev1.ProbeService_Exchange_FullMethodName, exchange),
		rpc.ServerStream(probev1.ProbeService_Fail_FullMethodName, fail),
		rpc.Unary(probev1.ProbeService_FailUnary_FullMethodName, failUnary),
		rpc.Unary(probev1.ProbeService_Inspect_FullMethodName, inspect),
		rpc.ServerStream(probev1.ProbeService_Hang_FullMethodName, hang),
		rpc.Unary(probev1.ProbeService_HangUnary_FullMethodName, hangUnary),
		rpc.Unary(probev1.ProbeService_Witness_FullMethodName,
			func(_ rpc.Call, request *probev1.WitnessRequest) (*probev1.WitnessResponse, error) {
				return w.look(request.GetToken()), nil
			}),
	}
}

func echo(_ rpc.Call, request *probev1.Payload) (*probev1.Payload, error) { return request, nil }

func download(call rpc.Call, request *probev1.DownloadRequest, send func(*probev1.Payload) error) error {
	interval := time.Duration(request.GetIntervalMs()) * time.Millisecond
	payload := &probev1.Payload{Data: make([]byte, request.GetSize())}
	for i := range request.GetCount() {
		if i > 0 {
			if err := wait(call.Context(), interval); err != nil {
				return err
			}
		}
		if err := send(payload); err != nil {
			return err
		}
	}
	return nil
}

func upload(_ rpc.Call, receive func() (*probev1.Payload, error)) (*probev1.UploadSummary, error) {
	summary := new(probev1.UploadSummary)
	for {
		payload, err := receive()
		if errors.Is(err, io.EOF) {
			return summary, nil
		}
		if err != nil {
			return nil, err
		}
		summary.Bytes += uint64(len(payload.GetData()))
		summary.Count++
	}
}

func exchange(_ rpc.Call, receive func() (*probev1.Payload, error), send func(*probev1.Payload) error) error {
	for {
		payload, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := send(payload); err != nil {
			return err
		}
	}
}

func fail(call rpc.Call, request *probev1.FailRequest, send func(*probev1.Payload) error) error {
	announceEnding(call)
	payload := &probev1.Payload{Data: []byte{0}}
	for range request.GetAfter() {
		if err := send(payload); err != nil {
			return err
		}
	}
	return ending(call, request)
}

func failUnary(call rpc.Call, request *probev1.FailRequest) (*probev1.Payload, error) {
	announceEnding(call)
	if err := ending(call, request); err != nil {
		return nil, err
	}
	return new(probev1.Payload), nil
}

func announceEnding(call rpc.Call) {
	call.AddHeader("x-head", "h1", "h2")
	call.AddHeader("x-head-bin", "\x00\x01\x02\x03")
	call.AddTrailer("x-trail", "t1")
	call.AddTrailer("x-trail-bin", "\x09\x08\x07")
}

// ending is the error that was asked for; nil for code 0.
func ending(call rpc.Call, request *probev1.FailRequest) error {
	if err := wait(call.Context(), time.Duration(request.GetDelayMs())*time.Millisecond); err != nil {
		return err
	}
	code := codes.Code(request.GetCode())
	if code == codes.OK {
		return nil
	}
	proto := status.New(code, request.GetMessage()).Proto()
	if text := request.GetDetail(); text != "" {
		detail, err := anypb.New(&probev1.ErrorDetail{Text: text})
		if err != nil {
			return err
		}
		proto.Details = append(proto.Details, detail)
	}
	return status.FromProto(proto).Err()
}

func inspect(call rpc.Call, _ *probev1.InspectRequest) (*probev1.InspectResponse, error) {
	response := &probev1.InspectResponse{Path: call.Wire(), TimeoutMs: -1}
	if deadline, ok := call.Context().Deadline(); ok {
		response.TimeoutMs = time.Until(deadline).Milliseconds()
	}
	metadata := call.Metadata()
	response.Metadata = make(map[string]*probev1.Values, len(metadata))
	for key, list := range metadata {
		values := make([]string, len(list))
		for i, value := range list {
			values[i] = rpc.EncodeValue(key, value)
		}
		response.Metadata[key] = &probev1.Values{Values: values}
	}
	return response, nil
}

func hang(call rpc.Call, _ *probev1.HangRequest, send func(*probev1.Payload) error) error {
	if err := send(new(probev1.Payload)); err != nil {
		return err
	}
	<-call.Context().Done()
	return call.Context().Err()
}

func hangUnary(call rpc.Call, _ *probev1.HangRequest) (*probev1.Payload, error) {
	<-call.Context().Done()
	return nil, call.Context().Err()
}

func wait(ctx context.Context, duration time.Duration) error {
	if duration <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
