// Command client checks a machine from outside: see ../../README.md.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/probev1"
	"viamdial/interop/gen/rpcv1"
	"viamdial/interop/internal/caller"
	"viamdial/interop/internal/check"
	"viamdial/interop/internal/rpc"
)

// patience bounds the whole run.
const patience = 60 * time.Second

type flags struct {
	address, host, key, keyID, authority, wire string
	tls, webrtc                                bool
}

func main() {
	var f flags
	flag.StringVar(&f.address, "address", "", "host:port of the machine")
	flag.StringVar(&f.host, "host", "", "name of the machine in signaling; the address unless given")
	flag.StringVar(&f.key, "api-key", "", "API key")
	flag.StringVar(&f.keyID, "api-key-id", "", "id of the API key")
	flag.BoolVar(&f.tls, "tls", false, "use TLS")
	flag.StringVar(&f.authority, "ca", "", "PEM file of the authority to trust")
	flag.StringVar(&f.wire, "wire", rpc.WireGRPC, "how calls reach the machine, when a proxy is in between")
	flag.BoolVar(&f.webrtc, "webrtc", false, "make the calls over a WebRTC data channel")
	flag.Parse()
	if f.host == "" {
		f.host = f.address
	}
	passed, err := run(f)
	if err != nil {
		fmt.Fprintf(os.Stderr, "client: %v (passed before: %q)\n", err, passed)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(struct {
		OK     bool     `json:"ok"`
		Checks []string `json:"checks"`
	}{true, passed})
}

func run(f flags) (passed []string, err error) {
	if f.address == "" || flag.NArg() > 0 {
		return nil, errors.New("-address host:port is needed, and nothing but flags")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	transport, err := transportCredentials(f)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(rpc.MaxMessageBytes), grpc.MaxCallSendMsgSize(rpc.MaxMessageBytes)),
	}
	connection, err := grpc.NewClient("passthrough:///"+f.address, options...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	suite := check.Suite{Connection: connection, Wire: f.wire}

	if f.key == "" {
		_, err := rpcv1.NewAuthServiceClient(connection).Authenticate(ctx, new(rpcv1.AuthenticateRequest))
		if status.Code(err) != codes.Unimplemented {
			return nil, fmt.Errorf("Authenticate without authentication ended with %v", err)
		}
		passed = append(passed, "no authentication")
	} else {
		token, err := authenticate(ctx, connection, f)
		if err != nil {
			return nil, err
		}
		passed = append(passed, "authentication")
		suite.Connection = caller.Authorized{ClientConnInterface: connection, Token: token}
	}
	if f.webrtc {
		connection, err := caller.Dial(ctx, suite.Connection, f.host)
		if err != nil {
			return passed, fmt.Errorf("dial: %w", err)
		}
		passed = append(passed, "dial")
		defer func() { err = errors.Join(err, connection.Close()) }()
		suite = check.Suite{Connection: connection, Wire: rpc.WireWebRTC}
	}
	more, err := suite.Run(ctx)
	return append(passed, more...), err
}

func transportCredentials(f flags) (credentials.TransportCredentials, error) {
	if !f.tls {
		return insecure.NewCredentials(), nil
	}
	configuration := new(tls.Config)
	if f.authority != "" {
		text, err := os.ReadFile(f.authority)
		if err != nil {
			return nil, err
		}
		configuration.RootCAs = x509.NewCertPool()
		if !configuration.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate", f.authority)
		}
	}
	return credentials.NewTLS(configuration), nil
}

// authenticate also checks who is refused.
func authenticate(ctx context.Context, connection *grpc.ClientConn, f flags) (string, error) {
	probe := probev1.NewProbeServiceClient(connection)
	if _, err := probe.Echo(ctx, new(probev1.Payload)); status.Code(err) != codes.Unauthenticated {
		return "", fmt.Errorf("a call without a token ended with %v", err)
	}
	forged := caller.Authorized{ClientConnInterface: connection, Token: "forged"}
	_, err := probev1.NewProbeServiceClient(forged).Echo(ctx, new(probev1.Payload))
	if status.Code(err) != codes.Unauthenticated {
		return "", fmt.Errorf("a call with a forged token ended with %v", err)
	}
	client := rpcv1.NewAuthServiceClient(connection)
	_, err = client.Authenticate(ctx, &rpcv1.AuthenticateRequest{
		Entity: f.keyID, Credentials: &rpcv1.Credentials{Type: "api-key", Payload: f.key + "x"},
	})
	if status.Code(err) != codes.Unauthenticated {
		return "", fmt.Errorf("Authenticate with a wrong key ended with %v", err)
	}
	response, err := client.Authenticate(ctx, &rpcv1.AuthenticateRequest{
		Entity: f.keyID, Credentials: &rpcv1.Credentials{Type: "api-key", Payload: f.key},
	})
	if err != nil {
		return "", fmt.Errorf("Authenticate: %w", err)
	}
	return response.GetAccessToken(), nil
}
