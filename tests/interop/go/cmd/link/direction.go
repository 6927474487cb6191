//go:build linux

package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// shape is what a link does to packets, each way.
type shape struct {
	// DelayMs is one way's; packets stay in order, as a jitter that reorders would be no Wi-Fi's.
	DelayMs  float64 `json:"delayMs"`
	JitterMs float64 `json:"jitterMs"`
	// Loss is the share of packets that get lost, 0 to 1.
	Loss float64 `json:"loss"`
	// BitsPerSecond is the rate; 0 for no limit.
	BitsPerSecond float64 `json:"bitsPerSecond"`
	// QueueMs is how much waits in front of the rate before packets are dropped; 400 unless given.
	QueueMs float64 `json:"queueMs"`
	// Cut loses everything, without a word.
	Cut bool `json:"cut"`
}

const (
	// packetRoom is more than the 1,500 bytes of a TUN device.
	packetRoom = 2048
	// mostInFlight bounds memory: half a second at 100 MB/s.
	mostInFlight = 1 << 15
	// leastQueue lets a slow link take a burst of a few packets.
	leastQueue     = 16 << 10
	defaultQueueMs = 400
)

type packet struct {
	bytes []byte
	// Of a queued packet, when it came; of one in flight, when it arrives.
	at time.Time
}

// direction carries packets one way.
type direction struct {
	from, to *os.File
	mark     rune
	tracer   *tracer
	pool     sync.Pool
	changed  chan struct{}

	mutex  sync.Mutex
	shape  shape
	counts counts
	// queue waits for the line, which sends one packet after the other, to be free.
	queue       []packet
	queuedBytes int
	free        time.Time
	// flight is ordered by time.
	flight []packet
}

// counts are of packets.
type counts struct {
	Delivered int64 `json:"delivered"`
	Bytes     int64 `json:"bytes"`
	Lost      int64 `json:"lost"`
	// Full is how many found no room in the queue.
	Full int64 `json:"full"`
}

func newDirection(from, to *os.File, mark rune, tracer *tracer) *direction {
	return &direction{
		from: from, to: to, mark: mark, tracer: tracer, changed: make(chan struct{}, 1),
		pool: sync.Pool{New: func() any { return new([packetRoom]byte) }},
	}
}

func (d *direction) become(next shape) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.shape = next
	d.wake()
}

func (d *direction) counted() counts {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.counts
}

func (d *direction) wake() {
	select {
	case d.changed <- struct{}{}:
	default:
	}
}

func (d *direction) receive() {
	for {
		buffer := d.pool.Get().(*[packetRoom]byte)
		size, err := d.from.Read(buffer[:])
		if err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // the device is down, or moving to another namespace
			continue
		}
		d.take(packet{bytes: buffer[:size], at: time.Now()})
	}
}

func (d *direction) take(p packet) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	switch {
	case d.shape.Cut:
		d.counts.Lost++
		d.drop(p, "cut")
	case d.shape.BitsPerSecond == 0 && len(d.queue) == 0:
		d.launch(p.bytes, p.at)
		d.wake()
	case d.queuedBytes+len(p.bytes) > d.room():
		d.counts.Full++
		d.drop(p, "full")
	default:
		d.queue = append(d.queue, p)
		d.queuedBytes += len(p.bytes)
		d.wake()
	}
}

func (d *direction) room() int {
	milliseconds := d.shape.QueueMs
	if milliseconds == 0 {
		milliseconds = defaultQueueMs
	}
	return max(leastQueue, int(d.shape.BitsPerSecond/8*milliseconds/1000))
}

func (d *direction) drop(p packet, reason string) {
	d.tracer.packet(d.mark, p.bytes, reason)
	d.recycle(p)
}

func (d *direction) recycle(p packet) {
	d.pool.Put((*[packetRoom]byte)(p.bytes[:packetRoom]))
}

// launch sends a packet that leaves the line at this time on its way.
func (d *direction) launch(bytes []byte, left time.Time) {
	jitter := d.shape.JitterMs * (2*rand.Float64() - 1)
	p := packet{bytes, left.Add(time.Duration((d.shape.DelayMs + jitter) * float64(time.Millisecond)))}
	if d.shape.Loss > 0 && rand.Float64() < d.shape.Loss {
		d.counts.Lost++
		d.drop(p, "lost")
		return
	}
	if len(d.flight) >= mostInFlight {
		d.counts.Full++
		d.drop(p, "full")
		return
	}
	if last := len(d.flight) - 1; last >= 0 && p.at.Before(d.flight[last].at) {
		p.at = d.flight[last].at
	}
	d.flight = append(d.flight, p)
}

// deliver runs for ever.
func (d *direction) deliver() {
	timer := time.NewTimer(time.Hour)
	var due []packet
	for {
		now := time.Now()
		d.mutex.Lock()
		d.transmit(now)
		count := 0
		for count < len(d.flight) && !d.flight[count].at.After(now) {
			count++
		}
		due = append(due[:0], d.flight[:count]...)
		d.flight = append(d.flight[:0], d.flight[count:]...)
		cut := d.shape.Cut
		next := d.next(now)
		d.mutex.Unlock()
		for _, p := range due {
			d.hand(p, cut)
		}
		if len(due) > 0 {
			continue // that took a while
		}
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-d.changed:
		}
	}
}

// transmit lets the line send what it has had the time for.
func (d *direction) transmit(now time.Time) {
	count := 0
	for _, p := range d.queue {
		left := p.at
		if rate := d.shape.BitsPerSecond; rate > 0 {
			if d.free.After(now) {
				break
			}
			if d.free.After(left) {
				left = d.free
			}
			left = left.Add(time.Duration(float64(len(p.bytes)*8) / rate * float64(time.Second)))
			d.free = left
		}
		d.queuedBytes -= len(p.bytes)
		d.launch(p.bytes, left)
		count++
	}
	d.queue = append(d.queue[:0], d.queue[count:]...)
}

// next is how long there is nothing to do.
func (d *direction) next(now time.Time) time.Duration {
	wait := time.Hour
	if len(d.flight) > 0 {
		wait = min(wait, d.flight[0].at.Sub(now))
	}
	if len(d.queue) > 0 {
		wait = min(wait, d.free.Sub(now))
	}
	return max(wait, 0)
}

func (d *direction) hand(p packet, cut bool) {
	defer d.recycle(p)
	failed := cut
	reason := "cut"
	if !cut {
		if _, err := d.to.Write(p.bytes); err != nil {
			failed, reason = true, "down"
		}
	}
	d.mutex.Lock()
	if failed {
		d.counts.Lost++
	} else {
		d.counts.Delivered++
		d.counts.Bytes += int64(len(p.bytes))
		reason = ""
	}
	d.mutex.Unlock()
	d.tracer.packet(d.mark, p.bytes, reason)
}
