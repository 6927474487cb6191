// Package check calls a machine's services and compares what comes back.
package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/echov1"
	"viamdial/interop/gen/probev1"
	"viamdial/interop/gen/robotv1"
)

// Suite is what the checks run on.
type Suite struct {
	Connection grpc.ClientConnInterface
	// Wire is what Inspect must report: "grpc" or "webrtc".
	Wire  string
	probe probev1.ProbeServiceClient
}

// callPatience bounds every single check.
const callPatience = 20 * time.Second

// Run returns the names of the checks that passed, all of them unless one failed.
func (s *Suite) Run(ctx context.Context) ([]string, error) {
	s.probe = probev1.NewProbeServiceClient(s.Connection)
	checks := []struct {
		name string
		run  func(context.Context) error
	}{
		{"unary", s.unary},
		{"server stream", s.serverStream},
		{"client stream", s.clientStream},
		{"bidi", s.bidi},
		{"messages of 4 MiB", s.large},
		{"failing stream", s.failingStream},
		{"failing unary", s.failingUnary},
		{"metadata", s.metadata},
		{"deadline at the server", s.deadlineSeen},
		{"deadline kept", s.deadlineKept},
		{"cancel of a stream", s.cancelStream},
		{"cancel of a unary call", s.cancelUnary},
		{"unknown method", s.unknownMethod},
		{"echo service", s.echoService},
		{"resource names", s.resourceNames},
	}
	var passed []string
	for _, check := range checks {
		limited, cancel := context.WithTimeout(ctx, callPatience)
		err := check.run(limited)
		cancel()
		if err != nil {
			return passed, fmt.Errorf("%s: %w", check.name, err)
		}
		passed = append(passed, check.name)
	}
	return passed, nil
}

func (s *Suite) unary(ctx context.Context) error {
	for _, size := range []int{0, 1, 1000, 65_505, 65_506, 65_509, 65_513, 65_514, 200_000} {
		if err := s.echo(ctx, size); err != nil {
			return err
		}
	}
	return nil
}

func (s *Suite) large(ctx context.Context) error { return s.echo(ctx, 4<<20) }

func (s *Suite) echo(ctx context.Context, size int) error {
	data := make([]byte, size)
	if _, err := rand.Read(data); err != nil {
		return err
	}
	response, err := s.probe.Echo(ctx, &probev1.Payload{Data: data})
	if err != nil {
		return err
	}
	if !bytes.Equal(response.GetData(), data) {
		return fmt.Errorf("%d bytes came back as %d others", size, len(response.GetData()))
	}
	return nil
}

func (s *Suite) serverStream(ctx context.Context) error {
	for _, want := range []struct{ size, count int }{{100_000, 20}, {0, 3}, {10, 0}} {
		stream, err := s.probe.Download(ctx, &probev1.DownloadRequest{Size: uint32(want.size), Count: uint32(want.count)})
		if err != nil {
			return err
		}
		count := 0
		for {
			payload, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if len(payload.GetData()) != want.size {
				return fmt.Errorf("payload of %d bytes, not %d", len(payload.GetData()), want.size)
			}
			count++
		}
		if count != want.count {
			return fmt.Errorf("%d payloads, not %d", count, want.count)
		}
	}
	return nil
}

func (s *Suite) clientStream(ctx context.Context) error {
	stream, err := s.probe.Upload(ctx)
	if err != nil {
		return err
	}
	for range 20 {
		if err := stream.Send(&probev1.Payload{Data: make([]byte, 100_000)}); err != nil {
			return err
		}
	}
	summary, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	if summary.GetBytes() != 2_000_000 || summary.GetCount() != 20 {
		return fmt.Errorf("counted %v", summary)
	}
	return nil
}

func (s *Suite) bidi(ctx context.Context) error {
	stream, err := s.probe.Exchange(ctx)
	if err != nil {
		return err
	}
	for i := range 20 {
		// Each answer before the next question: neither side may wait for the other's half-close.
		if err := stream.Send(&probev1.Payload{Data: []byte{byte(i)}}); err != nil {
			return err
		}
		payload, err := stream.Recv()
		if err != nil {
			return err
		}
		if !bytes.Equal(payload.GetData(), []byte{byte(i)}) {
			return fmt.Errorf("%v came back for %d", payload.GetData(), i)
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the half-close: %v", err)
	}
	return nil
}

func (s *Suite) failingStream(ctx context.Context) error {
	stream, err := s.probe.Fail(ctx, failure(3))
	if err != nil {
		return err
	}
	count := 0
	for {
		_, err = stream.Recv()
		if err != nil {
			break
		}
		count++
	}
	if count != 3 {
		return fmt.Errorf("%d payloads before the status, not 3", count)
	}
	header, headerErr := stream.Header()
	if headerErr != nil {
		return headerErr
	}
	return checkFailure(err, header, stream.Trailer())
}

func (s *Suite) failingUnary(ctx context.Context) error {
	var header, trailer metadata.MD
	_, err := s.probe.FailUnary(ctx, failure(0), grpc.Header(&header), grpc.Trailer(&trailer))
	return checkFailure(err, header, trailer)
}

const (
	failureMessage = "not here: 100 % of the schlüssel"
	failureDetail  = "a detail"
)

func failure(after uint32) *probev1.FailRequest {
	return &probev1.FailRequest{
		Code: uint32(codes.NotFound), Message: failureMessage, After: after, Detail: failureDetail, DelayMs: 1,
	}
}

func checkFailure(err error, header, trailer metadata.MD) error {
	ended, ok := status.FromError(err)
	if !ok || ended.Code() != codes.NotFound || ended.Message() != failureMessage {
		return fmt.Errorf("ended with %v", err)
	}
	details := ended.Details()
	if len(details) != 1 {
		return fmt.Errorf("details are %v", details)
	}
	if detail, ok := details[0].(*probev1.ErrorDetail); !ok || detail.GetText() != failureDetail {
		return fmt.Errorf("detail is %v", details[0])
	}
	for _, want := range []struct {
		received metadata.MD
		key      string
		values   []string
	}{
		{header, "x-head", []string{"h1", "h2"}},
		{header, "x-head-bin", []string{"\x00\x01\x02\x03"}},
		{trailer, "x-trail", []string{"t1"}},
		{trailer, "x-trail-bin", []string{"\x09\x08\x07"}},
	} {
		// HTTP allows a server to join repeated headers (RFC 9110, section 5.2), and node's does.
		values := want.received.Get(want.key)
		if strings.Join(values, ", ") != strings.Join(want.values, ", ") {
			return fmt.Errorf("%s is %q, not %q", want.key, values, want.values)
		}
	}
	return nil
}

func (s *Suite) metadata(ctx context.Context) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-list", "a", "x-list", "b", "x-raw-bin", "\xff\x00\x01")
	response, err := s.probe.Inspect(ctx, new(probev1.InspectRequest))
	if err != nil {
		return err
	}
	if response.GetPath() != s.Wire {
		return fmt.Errorf("the call arrived over %q, not %q", response.GetPath(), s.Wire)
	}
	if list := response.GetMetadata()["x-list"].GetValues(); strings.Join(list, ", ") != "a, b" {
		return fmt.Errorf("x-list is %q", list)
	}
	if raw := response.GetMetadata()["x-raw-bin"].GetValues(); !slices.Equal(raw, []string{"/wAB"}) {
		return fmt.Errorf("x-raw-bin is %q", raw)
	}
	return nil
}

func (s *Suite) deadlineSeen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	response, err := s.probe.Inspect(ctx, new(probev1.InspectRequest))
	if err != nil {
		return err
	}
	if left := response.GetTimeoutMs(); left <= 0 || left > 5000 {
		return fmt.Errorf("%d ms left of 5000", left)
	}
	return nil
}

func (s *Suite) deadlineKept(ctx context.Context) error {
	token := rand.Text()
	limited, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "x-witness", token), 100*time.Millisecond)
	defer cancel()
	_, err := s.probe.HangUnary(limited, new(probev1.HangRequest))
	if status.Code(err) != codes.DeadlineExceeded {
		return fmt.Errorf("ended with %v", err)
	}
	return s.waitCancelled(ctx, token)
}

func (s *Suite) cancelStream(ctx context.Context) error {
	token := rand.Text()
	limited, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "x-witness", token))
	defer cancel()
	stream, err := s.probe.Hang(limited, new(probev1.HangRequest))
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		return err
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		return fmt.Errorf("ended with %v", err)
	}
	return s.waitCancelled(ctx, token)
}

func (s *Suite) cancelUnary(ctx context.Context) error {
	token := rand.Text()
	limited, cancel := context.WithCancel(metadata.AppendToOutgoingContext(ctx, "x-witness", token))
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := s.probe.HangUnary(limited, new(probev1.HangRequest))
		ended <- err
	}()
	if err := s.waitFor(ctx, token, (*probev1.WitnessResponse).GetStarted); err != nil {
		return err
	}
	cancel()
	if err := <-ended; status.Code(err) != codes.Canceled {
		return fmt.Errorf("ended with %v", err)
	}
	return s.waitCancelled(ctx, token)
}

func (s *Suite) waitCancelled(ctx context.Context, token string) error {
	return s.waitFor(ctx, token, func(seen *probev1.WitnessResponse) bool {
		return seen.GetStarted() && seen.GetCancelled() && seen.GetFinished()
	})
}

// waitFor asks the machine until it has seen what is waited for, or the check's time is up.
func (s *Suite) waitFor(ctx context.Context, token string, enough func(*probev1.WitnessResponse) bool) error {
	for {
		seen, err := s.probe.Witness(ctx, &probev1.WitnessRequest{Token: token})
		if err != nil {
			return fmt.Errorf("the machine saw %v: %w", seen, err)
		}
		if enough(seen) {
			return nil
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the machine saw only %v", seen)
		}
	}
}

func (s *Suite) unknownMethod(ctx context.Context) error {
	for _, method := range []string{"/viam_dial.probe.v1.ProbeService/Absent", "/absent.Service/Absent"} {
		err := s.Connection.Invoke(ctx, method, new(probev1.Payload), new(probev1.Payload))
		if status.Code(err) != codes.Unimplemented {
			return fmt.Errorf("%s ended with %v", method, err)
		}
	}
	return nil
}

func (s *Suite) echoService(ctx context.Context) error {
	client := echov1.NewEchoServiceClient(s.Connection)
	response, err := client.Echo(ctx, &echov1.EchoRequest{Message: "héllo"})
	if err != nil {
		return err
	}
	if response.GetMessage() != "héllo" {
		return fmt.Errorf("echoed %q", response.GetMessage())
	}
	stream, err := client.EchoMultiple(ctx, &echov1.EchoMultipleRequest{Message: "abc"})
	if err != nil {
		return err
	}
	var parts []string
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		parts = append(parts, part.GetMessage())
	}
	if !slices.Equal(parts, []string{"a", "b", "c"}) {
		return fmt.Errorf("streamed %q", parts)
	}
	return nil
}

func (s *Suite) resourceNames(ctx context.Context) error {
	response, err := robotv1.NewRobotServiceClient(s.Connection).ResourceNames(ctx, new(robotv1.ResourceNamesRequest))
	if err != nil {
		return err
	}
	for _, resource := range response.GetResources() {
		if resource.GetSubtype() == "sensor" && resource.GetName() == "thermometer" {
			return nil
		}
	}
	return fmt.Errorf("resources are %v", response.GetResources())
}
