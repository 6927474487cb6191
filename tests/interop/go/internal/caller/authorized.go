package caller

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Authorized adds the token to every call; grpc-go's own way refuses to, without TLS.
type Authorized struct {
	grpc.ClientConnInterface
	Token string
}

func (a Authorized) Invoke(ctx context.Context, method string, args, reply any, options ...grpc.CallOption) error {
	return a.ClientConnInterface.Invoke(a.with(ctx), method, args, reply, options...)
}

func (a Authorized) NewStream(
	ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return a.ClientConnInterface.NewStream(a.with(ctx), description, method, options...)
}

func (a Authorized) with(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+a.Token)
}
