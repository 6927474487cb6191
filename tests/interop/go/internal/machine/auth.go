package machine

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/rpcv1"
	"viamdial/interop/internal/rpc"
)

// APIKey is who may call, and how they prove it; the zero value lets everybody.
type APIKey struct {
	ID, Secret string
}

// guard issues the tokens of one machine and asks for them (protocol §5.6).
type guard struct {
	key     APIKey
	private ed25519.PrivateKey
	issued  sync.Map // of the tokens as sent
}

func newGuard(key APIKey) (*guard, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return &guard{key: key, private: private}, err
}

func (g *guard) methods() []rpc.Method {
	return []rpc.Method{rpc.Unary(rpcv1.AuthService_Authenticate_FullMethodName, g.authenticate)}
}

func (g *guard) authenticate(call rpc.Call, request *rpcv1.AuthenticateRequest) (*rpcv1.AuthenticateResponse, error) {
	if call.Value("authorization") != "" {
		return nil, status.Error(codes.InvalidArgument, "already authenticated; cannot re-authenticate")
	}
	credentials := request.GetCredentials()
	if credentials.GetType() != "api-key" {
		return nil, status.Errorf(codes.InvalidArgument, "no auth handler for %q", credentials.GetType())
	}
	if request.GetEntity() != g.key.ID ||
		subtle.ConstantTimeCompare([]byte(credentials.GetPayload()), []byte(g.key.Secret)) != 1 {
		return nil, status.Error(codes.Unauthenticated, "invalid credentials")
	}
	token, err := g.token(request.GetEntity(), credentials.GetType())
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	g.issued.Store(token, true)
	return &rpcv1.AuthenticateResponse{AccessToken: token}, nil
}

// token is a JSON Web Token of the shape that Viam machines issue: signed with EdDSA, and without "exp".
func (g *guard) token(entity, credentialsType string) (string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	part := func(value map[string]any) (string, error) {
		text, err := json.Marshal(value)
		return encode(text), err
	}
	header, err := part(map[string]any{
		"alg": "EdDSA", "typ": "JWT", "kid": encode(g.private.Public().(ed25519.PublicKey)),
	})
	if err != nil {
		return "", err
	}
	claims, err := part(map[string]any{
		"sub": entity, "aud": []string{"probe-machine"}, "iss": "probe-machine",
		"iat": time.Now().Unix(), "jti": rand.Text(), "rpc_creds_type": credentialsType,
	})
	if err != nil {
		return "", err
	}
	signed := header + "." + claims
	return signed + "." + encode(ed25519.Sign(g.private, []byte(signed))), nil
}

// around refuses every call without one of our tokens, but Authenticate.
func (g *guard) around(call rpc.Call, next func() error) error {
	if call.Procedure() == rpcv1.AuthService_Authenticate_FullMethodName {
		return next()
	}
	authorization := call.Value("authorization")
	if authorization == "" {
		return status.Error(codes.Unauthenticated, "authentication required")
	}
	token, ok := strings.CutPrefix(authorization, "Bearer ")
	if !ok {
		return status.Error(codes.Unauthenticated, "expected authorization header with prefix: Bearer ")
	}
	if _, ok := g.issued.Load(token); !ok {
		return status.Error(codes.Unauthenticated, "unauthenticated: the token was not issued by this machine")
	}
	return next()
}
