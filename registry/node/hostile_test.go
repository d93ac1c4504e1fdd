package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	"github.com/cometbft/cometbft/proto/tendermint/libs/bits"
	tmp2p "github.com/cometbft/cometbft/proto/tendermint/p2p"
	ssproto "github.com/cometbft/cometbft/proto/tendermint/statesync"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/gogoproto/proto"
)

// A hostile is an admitted peer that says what it likes: the engine's handshake, then raw packets.
type hostile struct {
	t    *testing.T
	key  ed25519.PrivKey
	conn *conn.SecretConnection
}

// dialHostile shakes hands as an admitted node; ok is false when the node hangs up on it.
func dialHostile(t *testing.T, n *Node, key ed25519.PrivKey) (h *hostile, ok bool) {
	t.Helper()
	raw, err := net.DialTimeout("tcp", n.cfg.Listen, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if err := raw.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	secret, err := conn.MakeSecretConnection(raw, key)
	if err != nil {
		return nil, false
	}
	own := n.run.Load().engine.node.NodeInfo().(p2p.DefaultNodeInfo)
	own.DefaultNodeID = p2p.PubKeyToID(key.PubKey())
	own.ListenAddr, own.Moniker = "127.0.0.1:1", "hostile"
	sent := make(chan error, 1)
	go func() {
		_, err := protoio.NewDelimitedWriter(secret).WriteMsg(own.ToProto())
		sent <- err
	}()
	var theirs tmp2p.DefaultNodeInfo
	_, err = protoio.NewDelimitedReader(secret, p2p.MaxNodeInfoSize()).ReadMsg(&theirs)
	if err != nil || <-sent != nil {
		return nil, false
	}
	return &hostile{t: t, key: key, conn: secret}, true
}

// say sends one message on a channel.
func (h *hostile) say(channel int32, message proto.Message) {
	raw, err := proto.Marshal(message)
	if err != nil {
		h.t.Fatal(err)
	}
	h.packet(&tmp2p.Packet{Sum: &tmp2p.Packet_PacketMsg{PacketMsg: &tmp2p.PacketMsg{ChannelID: channel, EOF: true, Data: raw}}})
}

func (h *hostile) packet(p *tmp2p.Packet) {
	_, _ = protoio.NewDelimitedWriter(h.conn).WriteMsg(p) // it may have hung up: that is fine
}

// hungUp reports whether the node closes the connection within a while.
func (h *hostile) hungUp(within time.Duration) bool {
	_ = h.conn.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, h.conn)
	timeout, ok := err.(net.Error)
	return !ok || !timeout.Timeout()
}

func TestHostilePeers(t *testing.T) {
	key := ed25519.GenPrivKey()
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond, Each: func(_ int, cfg *Config) {
		cfg.Allowed = append(cfg.Allowed, string(p2p.PubKeyToID(key.PubKey())))
	}})
	n := l.Nodes[0]
	t.Run("H23 a stranger is refused in the handshake", func(t *testing.T) {
		if h, ok := dialHostile(t, n, ed25519.GenPrivKey()); ok && !h.hungUp(2*time.Second) {
			t.Fatal("connected")
		}
	})
	t.Run("an admitted peer that says nothing wrong is kept", func(t *testing.T) {
		h, ok := dialHostile(t, n, key)
		if !ok || h.hungUp(time.Second) {
			t.Fatal("hung up on")
		}
		_ = h.conn.Close()
	})
	height := n.run.Load().newest.Load()
	const consensusState, consensusData, consensusBits, blocksync, snapshots, chunks = 0x20, 0x21, 0x23, 0x40, 0x60, 0x61
	for _, c := range []struct {
		name   string
		attack func(h *hostile)
		hangUp bool // the node must
	}{
		{"H23 a packet of ten megabytes", func(h *hostile) {
			_, _ = h.conn.Write(binary.AppendUvarint(nil, 10<<20))
			_, _ = h.conn.Write(make([]byte, 1<<20))
		}, true},
		{"H23 a channel that does not exist", func(h *hostile) { h.say(0x7f, &bcproto.Message{}) }, true},
		{"H23 bytes that are no packet", func(h *hostile) { _, _ = h.conn.Write(bytes.Repeat([]byte{0xff}, 4096)) }, true},
		{"H23 a message that never ends", func(h *hostile) {
			for range 3000 { // 1 kB each, above what the channel takes
				h.packet(&tmp2p.Packet{Sum: &tmp2p.Packet_PacketMsg{PacketMsg: &tmp2p.PacketMsg{ChannelID: consensusState, Data: make([]byte, 1000)}}})
			}
		}, true},
		{"H23 blocks of absurd heights", func(h *hostile) {
			for i := range int64(50) {
				h.say(blocksync, &bcproto.Message{Sum: &bcproto.Message_StatusResponse{StatusResponse: &bcproto.StatusResponse{Height: 1<<62 - i, Base: 1}}})
				h.say(blocksync, &bcproto.Message{Sum: &bcproto.Message_StatusResponse{StatusResponse: &bcproto.StatusResponse{Height: 1, Base: 1}}})
			}
		}, false},
		{"H23 heights below the base", func(h *hostile) {
			h.say(blocksync, &bcproto.Message{Sum: &bcproto.Message_StatusResponse{StatusResponse: &bcproto.StatusResponse{Height: 1, Base: 5}}})
		}, true},
		{"H23 a block part beyond the set", func(h *hostile) {
			h.say(consensusData, &cmtcons.Message{Sum: &cmtcons.Message_BlockPart{BlockPart: &cmtcons.BlockPart{Height: int64(height), Round: 0,
				Part: cmtproto.Part{Index: 1 << 31, Bytes: make([]byte, 100)}}}})
		}, true},
		{"H23 a bit array of another size than it says", func(h *hostile) {
			h.say(consensusBits, &cmtcons.Message{Sum: &cmtcons.Message_VoteSetBits{VoteSetBits: &cmtcons.VoteSetBits{Height: int64(height), Round: 0,
				Type: cmtproto.PrevoteType, BlockID: cmtproto.BlockID{}, Votes: bits.BitArray{Bits: 1 << 40, Elems: []uint64{1}}}}})
		}, true},
		{"H23 a snapshot of a billion chunks", func(h *hostile) {
			for range 20 {
				h.say(snapshots, &ssproto.Message{Sum: &ssproto.Message_SnapshotsResponse{SnapshotsResponse: &ssproto.SnapshotsResponse{
					Height: height, Format: 1, Chunks: 1_000_000_000, Hash: make([]byte, 32)}}})
			}
			h.say(chunks, &ssproto.Message{Sum: &ssproto.Message_ChunkRequest{ChunkRequest: &ssproto.ChunkRequest{Height: height, Format: 1, Index: 1 << 30}}})
		}, false},
		{"H23 a hundred thousand pings", func(h *hostile) {
			for range 100_000 {
				h.packet(&tmp2p.Packet{Sum: &tmp2p.Packet_PacketPing{PacketPing: &tmp2p.PacketPing{}}})
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := dialHostile(t, n, key)
			for until := time.Now().Add(10 * time.Second); !ok && time.Now().Before(until); h, ok = dialHostile(t, n, key) {
				time.Sleep(100 * time.Millisecond) // the connection before it is still being taken down
			}
			if !ok {
				t.Fatal("an admitted peer is not let in")
			}
			_ = h.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
			c.attack(h)
			if c.hangUp && !h.hungUp(5*time.Second) {
				t.Error("the node goes on listening")
			}
			_ = h.conn.Close()
			op, _, _ := create(t, n)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if out, err := n.Submit(ctx, op); err != nil || out[0].Code != "ok" {
				t.Fatalf("the node does not go on: %v", err)
			}
		})
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	if memory.HeapAlloc > 512<<20 {
		t.Errorf("%d MiB on the heap afterwards", memory.HeapAlloc>>20)
	}
	agree(t, l.Nodes, n.run.Load().newest.Load())
}
