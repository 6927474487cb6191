package machine_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"viamdial/interop/gen/probev1"
	"viamdial/interop/internal/caller"
	"viamdial/interop/internal/check"
	"viamdial/interop/internal/machine"
	"viamdial/interop/internal/rpc"
)

// start serves until the test ends, and connects grpc-go to it.
func start(t testing.TB, options machine.Options) (*grpc.ClientConn, string) {
	t.Helper()
	m, err := machine.New(options)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- m.Serve(listener) }()
	t.Cleanup(func() {
		m.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	address := listener.Addr().String()
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpc.MaxMessageBytes)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection, address
}

func connect(t testing.TB, options machine.Options) *caller.Connection {
	t.Helper()
	signaling, address := start(t, options)
	connection, err := caller.Dial(t.Context(), signaling, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func TestDirect(t *testing.T) {
	for name, options := range map[string]machine.Options{
		"net/http": {WebRTC: true}, "grpc-go": {GRPCOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			connection, _ := start(t, options)
			suite := check.Suite{Connection: connection, Wire: rpc.WireGRPC}
			if passed, err := suite.Run(t.Context()); err != nil {
				t.Fatalf("%v (passed before: %q)", err, passed)
			}
		})
	}
}

func TestWebRTC(t *testing.T) {
	for name, options := range map[string]machine.Options{
		"net/http": {WebRTC: true}, "grpc-go": {WebRTC: true, GRPCOnly: true},
	} {
		t.Run(name, func(t *testing.T) {
			suite := check.Suite{Connection: connect(t, options), Wire: rpc.WireWebRTC}
			if passed, err := suite.Run(t.Context()); err != nil {
				t.Fatalf("%v (passed before: %q)", err, passed)
			}
		})
	}
}

func BenchmarkUnary(b *testing.B) {
	run := func(b *testing.B, connection grpc.ClientConnInterface) {
		client := probev1.NewProbeServiceClient(connection)
		request := &probev1.Payload{Data: make([]byte, 64)}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Echo(b.Context(), request); err != nil {
				b.Fatal(err)
			}
		}
	}
	each(b, run)
}

func BenchmarkDownload(b *testing.B) {
	run := func(b *testing.B, connection grpc.ClientConnInterface) {
		client := probev1.NewProbeServiceClient(connection)
		const size = 64 << 10
		b.SetBytes(size)
		stream, err := client.Download(b.Context(), &probev1.DownloadRequest{Size: size, Count: uint32(b.N)})
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			if _, err := stream.Recv(); err != nil {
				b.Fatal(err)
			}
		}
	}
	each(b, run)
}

func BenchmarkUpload(b *testing.B) {
	run := func(b *testing.B, connection grpc.ClientConnInterface) {
		client := probev1.NewProbeServiceClient(connection)
		payload := &probev1.Payload{Data: make([]byte, 64<<10)}
		b.SetBytes(int64(len(payload.Data)))
		stream, err := client.Upload(context.WithoutCancel(b.Context()))
		if err != nil {
			b.Fatal(err)
		}
		for range b.N {
			if err := stream.Send(payload); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := stream.CloseAndRecv(); err != nil {
			b.Fatal(err)
		}
	}
	each(b, run)
}

func each(b *testing.B, run func(*testing.B, grpc.ClientConnInterface)) {
	b.Run("net-http", func(b *testing.B) {
		connection, _ := start(b, machine.Options{})
		run(b, connection)
	})
	b.Run("grpc-go", func(b *testing.B) {
		connection, _ := start(b, machine.Options{GRPCOnly: true})
		run(b, connection)
	})
	b.Run("webrtc", func(b *testing.B) { run(b, connect(b, machine.Options{WebRTC: true})) })
}
