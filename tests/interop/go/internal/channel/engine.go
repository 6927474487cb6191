package channel

import (
	"fmt"
	"net"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// receiveBytes is room for what a peer sends while the receiver is busy: in the SCTP window, and in the UDP
// socket, whose overflow the sender would take for a congested network.
const receiveBytes = 4 << 20

// relayPatience is how long a better path than a relay's is waited for, where ours is the controlling side.
const relayPatience = 3 * time.Second

// NewEngine is pion for data channels only, set up as a Viam machine does (protocol §3.6): IPv4 with loopback, no
// mDNS names of its own, frames of up to 65,535 bytes.
func NewEngine() (*webrtc.API, error) {
	system, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetNet(roomyNet{system})
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeQueryOnly)
	settings.SetRelayAcceptanceMinWait(relayPatience)
	settings.SetSCTPMaxReceiveBufferSize(receiveBytes)
	// A longer frame closes the channel, as on a Viam machine (protocol §4.5).
	settings.SetSCTPMaxMessageSize(maxFrameBytes)
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(settings),
		webrtc.WithMediaEngine(new(webrtc.MediaEngine)),
		webrtc.WithInterceptorRegistry(new(interceptor.Registry)),
	), nil
}

// roomyNet gives UDP sockets larger buffers, as far as the system allows.
type roomyNet struct{ *stdnet.Net }

// Interfaces are those of now: a network that is joined later counts for the next connection.
func (roomyNet) Interfaces() ([]*transport.Interface, error) {
	system, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return system.Interfaces()
}

func (n roomyNet) ListenUDP(network string, address *net.UDPAddr) (transport.UDPConn, error) {
	socket, err := n.Net.ListenUDP(network, address)
	if err != nil {
		return nil, err
	}
	for _, set := range []func(int) error{socket.SetReadBuffer, socket.SetWriteBuffer} {
		if err := set(receiveBytes); err != nil {
			return nil, fmt.Errorf("%w (close: %v)", err, socket.Close())
		}
	}
	return socket, nil
}

// Negotiated makes the two channels that both sides agree on beforehand (protocol §3.3). They must exist before
// the description of a side does: the SCTP line needs one, and their ids would clash otherwise.
func Negotiated(peer *webrtc.PeerConnection) (data *webrtc.DataChannel, err error) {
	agreed, ordered := true, true
	for _, wanted := range []struct {
		label string
		id    uint16
	}{{"negotiation", 1}, {"data", 0}} {
		data, err = peer.CreateDataChannel(wanted.label, &webrtc.DataChannelInit{
			Negotiated: &agreed, Ordered: &ordered, ID: &wanted.id,
		})
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}
