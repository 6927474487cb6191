package machine

import (
	"errors"
	"io"

	"viamdial/interop/gen/commonv1"
	"viamdial/interop/gen/echov1"
	"viamdial/interop/gen/robotv1"
	"viamdial/interop/internal/rpc"
)

func echoMethods() []rpc.Method {
	return []rpc.Method{
		rpc.Unary(echov1.EchoService_Echo_FullMethodName,
			func(_ rpc.Call, request *echov1.EchoRequest) (*echov1.EchoResponse, error) {
				return &echov1.EchoResponse{Message: request.GetMessage()}, nil
			}),
		rpc.ServerStream(echov1.EchoService_EchoMultiple_FullMethodName,
			func(_ rpc.Call, request *echov1.EchoMultipleRequest, send func(*echov1.EchoMultipleResponse) error) error {
				for _, character := range request.GetMessage() {
					if err := send(&echov1.EchoMultipleResponse{Message: string(character)}); err != nil {
						return err
					}
				}
				return nil
			}),
		rpc.Bidi(echov1.EchoService_EchoBiDi_FullMethodName,
			func(_ rpc.Call, receive func() (*echov1.EchoBiDiRequest, error), send func(*echov1.EchoBiDiResponse) error) error {
				for {
					request, err := receive()
					if errors.Is(err, io.EOF) {
						return nil
					}
					if err != nil {
						return err
					}
					for _, character := range request.GetMessage() {
						if err := send(&echov1.EchoBiDiResponse{Message: string(character)}); err != nil {
							return err
						}
					}
				}
			}),
	}
}

func robotMethods() []rpc.Method {
	return []rpc.Method{
		rpc.Unary(robotv1.RobotService_ResourceNames_FullMethodName,
			func(rpc.Call, *robotv1.ResourceNamesRequest) (*robotv1.ResourceNamesResponse, error) {
				return &robotv1.ResourceNamesResponse{Resources: []*commonv1.ResourceName{
					{Namespace: "rdk", Type: "component", Subtype: "sensor", Name: "thermometer"},
				}}, nil
			}),
	}
}
