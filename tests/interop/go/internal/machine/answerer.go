package machine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"viamdial/interop/gen/webrtcv1"
	"viamdial/interop/internal/channel"
)

const (
	// maxAnswerers is how many callers a Viam machine answers at a time (protocol §5.2).
	maxAnswerers = 2
	// answererPause follows an attempt that failed.
	answererPause = time.Second
	// leastPatience is what a caller has at least, whatever the clock of the signaling server says.
	leastPatience = 5 * time.Second
)

// answerStream is an answerer's end of SignalingService.Answer: one offer, from its init on.
type answerStream interface {
	Send(*webrtcv1.AnswerResponse) error
	Recv() (*webrtcv1.AnswerRequest, error)
}

// Answerer makes peer connections for callers and serves their data channels.
type Answerer struct {
	api           *webrtc.API
	configuration webrtc.Configuration
	server        *channel.Server
	// next is the stream of the next offer.
	next   func(context.Context) (answerStream, error)
	onBusy func(busy int)

	busyMutex sync.Mutex
	busy      int

	cancel  context.CancelFunc
	workers sync.WaitGroup

	mutex       sync.Mutex
	connections map[*connection]struct{}
}

// StartAnswerer serves server's methods to every caller whose offer comes by next.
func StartAnswerer(
	server *channel.Server, servers []webrtc.ICEServer, next func(context.Context) (answerStream, error),
	onBusy func(busy int),
) (*Answerer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, err
	}
	engine, err := channel.NewEngine()
	if err != nil {
		return nil, err
	}
	a := &Answerer{
		api:           engine,
		configuration: webrtc.Configuration{Certificates: []webrtc.Certificate{*certificate}, ICEServers: servers},
		server:        server,
		next:          next,
		onBusy:        onBusy,
		connections:   make(map[*connection]struct{}),
	}
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	for range maxAnswerers {
		a.workers.Go(func() { a.work(ctx) })
	}
	return a, nil
}

// Stop closes every peer connection, so that callers know at once.
func (a *Answerer) Stop() {
	a.cancel()
	a.workers.Wait()
	a.drop()
}

// drop closes every peer connection of now.
func (a *Answerer) drop() {
	a.mutex.Lock()
	connections := make([]*connection, 0, len(a.connections))
	for current := range a.connections {
		connections = append(connections, current)
	}
	a.mutex.Unlock()
	var closing sync.WaitGroup
	for _, current := range connections {
		closing.Go(current.close)
	}
	closing.Wait()
}

func (a *Answerer) work(ctx context.Context) {
	for ctx.Err() == nil {
		stream, request, err := a.take(ctx)
		if err != nil {
			pause(ctx, answererPause)
			continue
		}
		a.count(1)
		if err := a.attempt(ctx, stream, request); err != nil {
			pause(ctx, answererPause)
		}
		a.count(-1)
	}
}

func (a *Answerer) count(change int) {
	a.busyMutex.Lock()
	defer a.busyMutex.Unlock()
	a.busy += change
	if a.onBusy != nil {
		a.onBusy(a.busy)
	}
}

// take waits for an offer; what comes before are heartbeats.
func (a *Answerer) take(ctx context.Context) (answerStream, *webrtcv1.AnswerRequest, error) {
	stream, err := a.next(ctx)
	if err != nil {
		return nil, nil, err
	}
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil, nil, err
		}
		if request.GetHeartbeat() == nil {
			return stream, request, nil
		}
	}
}

// attempt answers one offer. It takes until the data channel is open *and* the caller has said that it is done or
// has failed, or the offer's time is up: an attempt that is given up holds the answerer for that long, as on every
// Viam machine.
func (a *Answerer) attempt(ctx context.Context, stream answerStream, request *webrtcv1.AnswerRequest) error {
	to := &offerer{stream: stream, id: request.GetUuid()}
	init := request.GetInit()
	if init == nil {
		err := fmt.Errorf("expected first stage to be init or heartbeat; got %T", request.GetStage())
		to.fail(err)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience(init))
	defer cancel()
	offer, err := decodeDescription(init.GetSdp())
	if err != nil {
		to.fail(err)
		return err
	}
	current, err := a.open(offer)
	if err != nil {
		to.fail(err)
		return err
	}
	gatherFirst := init.GetOptionalConfig().GetDisableTrickle()
	sdp, err := current.answer(ctx, gatherFirst)
	if err == nil {
		err = to.send(&webrtcv1.AnswerResponse{
			Stage: &webrtcv1.AnswerResponse_Init{Init: &webrtcv1.AnswerResponseInitStage{Sdp: sdp}},
		})
	}
	if err != nil {
		to.fail(err)
		current.close()
		return err
	}
	callerEnded := make(chan struct{})
	if gatherFirst {
		close(callerEnded)
	} else {
		go to.trickle(current.candidates)
		go func() {
			defer close(callerEnded)
			to.listen(current)
		}()
	}
	select {
	case <-current.opened:
		to.done()
	case <-ctx.Done():
		err = ctx.Err()
		current.calls.Close()
		to.fail(err)
	}
	<-callerEnded
	if err != nil {
		current.close()
	}
	return err
}

// patience is the time until the offer's deadline.
func patience(init *webrtcv1.AnswerRequestInitStage) time.Duration {
	if init.Deadline == nil {
		return offerLife
	}
	return max(time.Until(init.GetDeadline().AsTime()), leastPatience)
}

func (a *Answerer) open(offer webrtc.SessionDescription) (*connection, error) {
	current, err := newConnection(a.api, a.configuration, a.server)
	if err != nil {
		return nil, err
	}
	a.mutex.Lock()
	a.connections[current] = struct{}{}
	a.mutex.Unlock()
	current.forget = func() {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.connections, current)
	}
	if err := current.peer.SetRemoteDescription(offer); err != nil {
		current.close()
		return nil, err
	}
	return current, nil
}

// offerer is whom an attempt answers. It is told once how the attempt ended.
type offerer struct {
	stream answerStream
	id     string
	mutex  sync.Mutex
	ending sync.Once
}

func (o *offerer) send(response *webrtcv1.AnswerResponse) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	response.Uuid = o.id
	return o.stream.Send(response)
}

func (o *offerer) done() {
	o.ending.Do(func() {
		_ = o.send(&webrtcv1.AnswerResponse{
			Stage: &webrtcv1.AnswerResponse_Done{Done: new(webrtcv1.AnswerResponseDoneStage)},
		})
	})
}

func (o *offerer) fail(reason error) {
	o.ending.Do(func() {
		_ = o.send(&webrtcv1.AnswerResponse{
			Stage: &webrtcv1.AnswerResponse_Error{
				Error: &webrtcv1.AnswerResponseErrorStage{Status: statusOf(reason)},
			},
		})
	})
}

// trickle sends the candidates, those in the answer as well, and ends the Call when there are no more.
func (o *offerer) trickle(candidates <-chan *webrtc.ICECandidate) {
	for candidate := range candidates {
		// As every pion answerer: no mid, line 0, no user fragment (protocol §3.5).
		mid, line := "", uint32(0)
		err := o.send(&webrtcv1.AnswerResponse{Stage: &webrtcv1.AnswerResponse_Update{
			Update: &webrtcv1.AnswerResponseUpdateStage{Candidate: &webrtcv1.ICECandidate{
				Candidate: candidate.ToJSON().Candidate, SdpMid: &mid, SdpmLineIndex: &line,
			}},
		}})
		if err != nil {
			o.fail(err)
			return
		}
	}
	o.done()
}

// listen takes the caller's candidates until it is done or has failed.
func (o *offerer) listen(current *connection) {
	for {
		request, err := o.stream.Recv()
		if err != nil {
			return
		}
		switch stage := request.GetStage().(type) {
		case *webrtcv1.AnswerRequest_Init, *webrtcv1.AnswerRequest_Heartbeat:
		case *webrtcv1.AnswerRequest_Update:
			if err := current.addCandidate(stage.Update.GetCandidate()); err != nil {
				o.fail(err)
				return
			}
		case *webrtcv1.AnswerRequest_Done:
			return
		case *webrtcv1.AnswerRequest_Error:
			o.fail(fmt.Errorf("error from requester: %w", status.FromProto(stage.Error.GetStatus()).Err()))
			return
		default:
			o.fail(fmt.Errorf("unexpected stage %T", stage))
			return
		}
	}
}

// decodeDescription reads base64 of {"type", "sdp"} (protocol §3.2).
func decodeDescription(text string) (webrtc.SessionDescription, error) {
	var description webrtc.SessionDescription
	bytes, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(bytes, &description)
	}
	if err != nil {
		return description, status.Errorf(codes.InvalidArgument, "sdp is not base64 of a JSON description: %v", err)
	}
	if description.Type != webrtc.SDPTypeOffer {
		return description, status.Errorf(codes.InvalidArgument, "expected an offer, got %q", description.Type)
	}
	return description, nil
}

func encodeDescription(description *webrtc.SessionDescription) (string, error) {
	bytes, err := json.Marshal(description)
	return base64.StdEncoding.EncodeToString(bytes), err
}

func pause(ctx context.Context, duration time.Duration) {
	_ = wait(ctx, duration)
}
