package machine

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"viamdial/interop/gen/webrtcv1"
)

// offerLife is how long a caller has from Call to an open data channel (protocol §2.9).
const offerLife = 10 * time.Second

// offers is the queue between callers and answerers, as goutils keeps it in memory (protocol §5.1).
type offers struct {
	waiting chan *offer

	mutex  sync.Mutex
	active map[string]*offer
}

func newOffers() *offers {
	return &offers{waiting: make(chan *offer), active: make(map[string]*offer)}
}

// add queues an offer. It is withdrawn when ctx, the context of its Call, ends before an answerer has taken it.
func (q *offers) add(ctx context.Context, sdp string, gatherFirst bool) *offer {
	o := &offer{
		id:          uuid.NewString(),
		sdp:         sdp,
		gatherFirst: gatherFirst,
		deadline:    time.Now().Add(offerLife),
		candidates:  make(chan *webrtcv1.ICECandidate),
		answers:     make(chan *webrtcv1.AnswerResponse),
		callerDone:  make(chan struct{}),
		stopped:     make(chan struct{}),
		expired:     make(chan struct{}),
	}
	o.answering, o.answered = context.WithDeadline(context.Background(), o.deadline)
	q.mutex.Lock()
	q.active[o.id] = o
	q.mutex.Unlock()
	time.AfterFunc(offerLife, func() {
		close(o.expired)
		q.forget(o)
	})
	go func() {
		select {
		case q.waiting <- o:
		case <-o.answering.Done():
		case <-ctx.Done():
		}
	}()
	return o
}

func (q *offers) find(id string) (*offer, error) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if found := q.active[id]; found != nil {
		return found, nil
	}
	return nil, status.Errorf(codes.Unknown, "no active offer for %q", id)
}

func (q *offers) forget(o *offer) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	delete(q.active, o.id)
}

// fail tells the answerer, unless it knows how the caller has ended, and forgets the offer.
func (q *offers) fail(o *offer, reason error) {
	if o.end(reason) {
		q.forget(o)
	}
}

// offer is what goes on between one caller and the answerer that takes it. Nothing is buffered: who hands over
// something waits until the other side takes it, or is over.
type offer struct {
	id          string
	sdp         string
	gatherFirst bool
	deadline    time.Time
	expired     chan struct{}

	// From the caller.
	candidates  chan *webrtcv1.ICECandidate
	callerDone  chan struct{}
	callerEnds  sync.Once
	callerError error

	// From the answerer. answering ends when it has gathered its candidates, when its channel is open, or with
	// the Call; stopped closes when it has failed.
	answers   chan *webrtcv1.AnswerResponse
	answering context.Context
	answered  context.CancelFunc
	stopped   chan struct{}
	stopping  sync.Once
}

// end says that the caller is done, or why it has failed; the first word counts.
func (o *offer) end(reason error) (first bool) {
	o.callerEnds.Do(func() {
		first = true
		o.callerError = reason
		close(o.callerDone)
	})
	return first
}

// answerOffer is what an answerer sees of an offer: an Answer stream.
type answerOffer struct {
	*offer
	ctx          context.Context
	begun, ended bool
}

// next waits for an offer.
func (q *offers) next(ctx context.Context) (answerStream, error) {
	select {
	case o := <-q.waiting:
		return &answerOffer{offer: o, ctx: ctx}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Recv returns the offer, then the caller's candidates until it is done or has failed, or its time is up.
func (o *answerOffer) Recv() (*webrtcv1.AnswerRequest, error) {
	request := &webrtcv1.AnswerRequest{Uuid: o.id}
	if !o.begun {
		o.begun = true
		request.Stage = &webrtcv1.AnswerRequest_Init{Init: &webrtcv1.AnswerRequestInitStage{
			Sdp:            o.sdp,
			OptionalConfig: &webrtcv1.WebRTCConfig{DisableTrickle: o.gatherFirst},
			Deadline:       timestamppb.New(o.deadline),
		}}
		return request, nil
	}
	if o.ended {
		return nil, io.EOF
	}
	var failure error
	select {
	case candidate := <-o.candidates:
		request.Stage = &webrtcv1.AnswerRequest_Update{
			Update: &webrtcv1.AnswerRequestUpdateStage{Candidate: candidate},
		}
		return request, nil
	case <-o.ctx.Done():
		return nil, o.ctx.Err()
	case <-o.stopped:
		return nil, io.EOF
	case <-o.callerDone:
		failure = o.callerError
	case <-o.expired:
	}
	o.ended = true
	if failure != nil {
		request.Stage = &webrtcv1.AnswerRequest_Error{
			Error: &webrtcv1.AnswerRequestErrorStage{Status: statusOf(failure)},
		}
		return request, nil
	}
	request.Stage = &webrtcv1.AnswerRequest_Done{Done: new(webrtcv1.AnswerRequestDoneStage)}
	return request, nil
}

// Send fails when nobody listens any more.
func (o *answerOffer) Send(response *webrtcv1.AnswerResponse) error {
	stop := func() { o.stopping.Do(func() { close(o.stopped) }) }
	switch response.GetStage().(type) {
	case *webrtcv1.AnswerResponse_Done:
		o.answered()
		return nil
	case *webrtcv1.AnswerResponse_Error:
		defer stop()
	}
	select {
	case o.answers <- response:
		return nil
	case <-o.answering.Done():
		stop()
		return errors.New("the call has ended")
	}
}
