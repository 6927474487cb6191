package machine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"viamdial/interop/gen/rpcv1"
	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/caller"
)

// Elsewhere is a signaling server at which a machine answers.
type Elsewhere struct {
	// Address is host:port.
	Address string
	// Hosts are the names that the machine answers for.
	Hosts []string
	// Authority is the PEM of whom to trust; without, there is no TLS.
	Authority []byte
	// Key authenticates the machine; without, it does not.
	Key APIKey
}

// outside opens streams of SignalingService.Answer on one connection, which grpc-go makes again when it is lost.
type outside struct {
	Elsewhere
	connection *grpc.ClientConn

	mutex sync.Mutex
	token string
}

func newOutside(where Elsewhere) (*outside, error) {
	transport := insecure.NewCredentials()
	if where.Authority != nil {
		authorities := x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(where.Authority) {
			return nil, errors.New("the authority of the signaling server has no certificate")
		}
		transport = credentials.NewTLS(&tls.Config{RootCAs: authorities})
	}
	connection, err := grpc.NewClient("passthrough:///"+where.Address,
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, PermitWithoutStream: true}))
	return &outside{Elsewhere: where, connection: connection}, err
}

// next opens a stream, of which Recv waits for an offer.
func (o *outside) next(ctx context.Context) (answerStream, error) {
	signaling, err := o.authorized(ctx)
	if err != nil {
		return nil, err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "heartbeats-allowed", "true")
	for _, host := range o.Hosts {
		ctx = metadata.AppendToOutgoingContext(ctx, "rpc-host", host)
	}
	stream, err := webrtcv1.NewSignalingServiceClient(signaling).Answer(ctx)
	if err != nil {
		o.forgetToken()
		return nil, err
	}
	return &outsideStream{stream, o}, nil
}

func (o *outside) authorized(ctx context.Context) (grpc.ClientConnInterface, error) {
	if o.Key == (APIKey{}) {
		return o.connection, nil
	}
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.token == "" {
		response, err := rpcv1.NewAuthServiceClient(o.connection).Authenticate(ctx, &rpcv1.AuthenticateRequest{
			Entity: o.Key.ID, Credentials: &rpcv1.Credentials{Type: "api-key", Payload: o.Key.Secret},
		})
		if err != nil {
			return nil, err
		}
		o.token = response.GetAccessToken()
	}
	return caller.Authorized{ClientConnInterface: o.connection, Token: o.token}, nil
}

// forgetToken asks for another one next time: a server that was started again does not know the old one.
func (o *outside) forgetToken() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.token = ""
}

type outsideStream struct {
	webrtcv1.SignalingService_AnswerClient
	outside *outside
}

func (s *outsideStream) Recv() (*webrtcv1.AnswerRequest, error) {
	request, err := s.SignalingService_AnswerClient.Recv()
	if err != nil {
		s.outside.forgetToken()
	}
	return request, err
}
