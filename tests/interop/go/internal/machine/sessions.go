package machine

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"viamdial/interop/gen/robotv1"
	"viamdial/interop/internal/rpc"
)

// sessionWindow is how long a session outlives a sign of life (protocol §6.2).
const sessionWindow = 2 * time.Second

// expiryScan is how often expired sessions are looked for.
const expiryScan = 10 * time.Millisecond

// sessionKey is the metadata that carries a session's id.
const sessionKey = "viam-sid"

var errSessionExpired = status.Error(codes.InvalidArgument, "SESSION_EXPIRED")

// sessions are those of a machine, and what each was the last to move. Owners are not told apart.
type sessions struct {
	mutex     sync.Mutex
	deadlines map[string]time.Time
	movedBy   map[string]string
	stop      func(resource string)
	over      chan struct{}
}

// newSessions calls stop for each resource that an expired session was the last to move.
func newSessions(stop func(resource string)) *sessions {
	s := &sessions{
		deadlines: make(map[string]time.Time), movedBy: make(map[string]string), stop: stop, over: make(chan struct{}),
	}
	go s.expire()
	return s
}

func (s *sessions) close() { close(s.over) }

func (s *sessions) expire() {
	ticker := time.NewTicker(expiryScan)
	defer ticker.Stop()
	for {
		select {
		case <-s.over:
			return
		case now := <-ticker.C:
			s.mutex.Lock()
			for id, deadline := range s.deadlines {
				if now.After(deadline) {
					delete(s.deadlines, id)
				}
			}
			for resource, id := range s.movedBy {
				if _, alive := s.deadlines[id]; !alive {
					delete(s.movedBy, resource)
					s.stop(resource)
				}
			}
			s.mutex.Unlock()
		}
	}
}

// extend tells whether there is such a session.
func (s *sessions) extend(id string) bool {
	deadline, known := s.deadlines[id]
	if !known || time.Now().After(deadline) {
		return false
	}
	s.deadlines[id] = time.Now().Add(sessionWindow)
	return true
}

// moved ties a resource to the call's session, or to none; a call of an unknown session it refuses.
func (s *sessions) moved(call rpc.Call, resource string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := call.Value(sessionKey)
	if id == "" {
		delete(s.movedBy, resource)
		return nil
	}
	if !s.extend(id) {
		return errSessionExpired
	}
	s.movedBy[resource] = id
	return nil
}

func (s *sessions) methods() []rpc.Method {
	return []rpc.Method{
		rpc.Unary(robotv1.RobotService_StartSession_FullMethodName,
			func(_ rpc.Call, request *robotv1.StartSessionRequest) (*robotv1.StartSessionResponse, error) {
				s.mutex.Lock()
				defer s.mutex.Unlock()
				id := request.GetResume()
				if id == "" || !s.extend(id) {
					id = newUUID()
					s.deadlines[id] = time.Now().Add(sessionWindow)
				}
				return &robotv1.StartSessionResponse{Id: id, HeartbeatWindow: durationpb.New(sessionWindow)}, nil
			}),
		rpc.Unary(robotv1.RobotService_SendSessionHeartbeat_FullMethodName,
			func(_ rpc.Call, request *robotv1.SendSessionHeartbeatRequest) (*robotv1.SendSessionHeartbeatResponse, error) {
				s.mutex.Lock()
				defer s.mutex.Unlock()
				if !s.extend(request.GetId()) {
					return nil, errSessionExpired
				}
				return new(robotv1.SendSessionHeartbeatResponse), nil
			}),
		rpc.Unary(robotv1.RobotService_GetSessions_FullMethodName,
			func(_ rpc.Call, _ *robotv1.GetSessionsRequest) (*robotv1.GetSessionsResponse, error) {
				s.mutex.Lock()
				defer s.mutex.Unlock()
				response := new(robotv1.GetSessionsResponse)
				for id := range s.deadlines {
					response.Sessions = append(response.Sessions, &robotv1.Session{Id: id})
				}
				return response, nil
			}),
	}
}

// newUUID is random, of version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
