package machine

import (
	"errors"
	"io"
	"slices"
	"sync"

	"viamdial/interop/gen/testv1"
	"viamdial/interop/internal/rpc"
)

// wheels turn until they are told to stop: by a client, or by the end of the session that turned them last.
type wheels struct {
	sessions *sessions
	mutex    sync.Mutex
	report   testv1.ReportResponse
}

func newWheels() *wheels {
	w := new(wheels)
	w.sessions = newSessions(w.stop)
	return w
}

func (w *wheels) turn(call rpc.Call, method, name string) error {
	if err := w.sessions.moved(call, name); err != nil {
		return err
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.report.Handled = append(w.report.Handled, method)
	w.report.SessionIds = append(w.report.SessionIds, call.Value(sessionKey))
	if !slices.Contains(w.report.Turning, name) {
		w.report.Turning = append(w.report.Turning, name)
	}
	return nil
}

func (w *wheels) stop(name string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.report.Turning = slices.DeleteFunc(w.report.Turning, func(other string) bool { return other == name })
}

func (w *wheels) methods() []rpc.Method {
	return append(w.sessions.methods(),
		rpc.Unary(testv1.WheelService_Turn_FullMethodName,
			func(call rpc.Call, request *testv1.TurnRequest) (*testv1.TurnResponse, error) {
				if err := w.turn(call, "Turn", request.GetName()); err != nil {
					return nil, err
				}
				return &testv1.TurnResponse{Turns: request.GetTurns()}, nil
			}),
		rpc.ServerStream(testv1.WheelService_TurnOften_FullMethodName,
			func(call rpc.Call, request *testv1.TurnRequest, send func(*testv1.TurnResponse) error) error {
				if err := w.turn(call, "TurnOften", request.GetName()); err != nil {
					return err
				}
				for turns := range request.GetTurns() {
					if err := send(&testv1.TurnResponse{Turns: turns + 1}); err != nil {
						return err
					}
				}
				return nil
			}),
		rpc.ClientStream(testv1.WheelService_TurnTogether_FullMethodName,
			func(call rpc.Call, receive func() (*testv1.TurnRequest, error)) (*testv1.TurnResponse, error) {
				response := new(testv1.TurnResponse)
				err := w.each(call, "TurnTogether", receive, func(turns uint32) error {
					response.Turns += turns
					return nil
				})
				return response, err
			}),
		rpc.Bidi(testv1.WheelService_TurnAlong_FullMethodName,
			func(call rpc.Call, receive func() (*testv1.TurnRequest, error), send func(*testv1.TurnResponse) error) error {
				return w.each(call, "TurnAlong", receive, func(turns uint32) error {
					return send(&testv1.TurnResponse{Turns: turns})
				})
			}),
		rpc.Unary(testv1.WheelService_Stop_FullMethodName,
			func(_ rpc.Call, request *testv1.StopRequest) (*testv1.StopResponse, error) {
				w.stop(request.GetName())
				return new(testv1.StopResponse), nil
			}),
		rpc.Unary(testv1.WheelService_Report_FullMethodName,
			func(rpc.Call, *testv1.ReportRequest) (*testv1.ReportResponse, error) {
				w.mutex.Lock()
				defer w.mutex.Unlock()
				return &testv1.ReportResponse{
					Turning:    slices.Clone(w.report.Turning),
					Handled:    slices.Clone(w.report.Handled),
					SessionIds: slices.Clone(w.report.SessionIds),
				}, nil
			}))
}

// each begins with the first message, as a machine's sessions do.
func (w *wheels) each(
	call rpc.Call, method string, receive func() (*testv1.TurnRequest, error), handle func(turns uint32) error,
) error {
	for first := true; ; first = false {
		request, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if first {
			if err := w.turn(call, method, request.GetName()); err != nil {
				return err
			}
		}
		if err := handle(request.GetTurns()); err != nil {
			return err
		}
	}
}
