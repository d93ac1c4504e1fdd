package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cometbft/cometbft/libs/protoio"
	"github.com/cometbft/cometbft/privval"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/gogoproto/proto"
)

// The engine's log, data/cs.wal/wal, has what the engine was told and what it said since the last block. A start plays it again.
// It is synced before a vote leaves, so a crash takes nothing from it that matters; a disk that loses what it has acknowledged
// may. Two things the engine leaves to us:
//
// It goes on writing behind what a crash left of a record, if that is less than four bytes, and the next start cannot read on there.
//
// The sign state forbids a validator to say a second thing in a round of which the log has forgotten the first. Among others it
// then waits for them to make the block. The only validator would wait for itself, for ever: mendLog gives that round up.

// ErrLogLost: the log has lost a block that the only validator has committed to, and another node may have it. Going on could
// fork the chain. Bring the log back, or the blocks from that node.
var ErrLogLost = errors.New("node: the engine's log has lost a block that this validator, the only one, has signed already")

// ErrBlocksLost: the newest blocks are older than what the only validator has signed. Nothing can follow them.
var ErrBlocksLost = errors.New("node: this validator, the only one, has signed newer blocks than there are (an old copy of the data?)")

// Steps of a round, as the sign state and the log count them.
const (
	signedProposal, signedPrevote, signedPrecommit = 1, 2, 3

	stepPrecommitWait = 7 // its end begins the next round, whatever is missing
)

// heightLog is the log of one height.
type heightLog struct {
	dir    string
	height int64
	began  bool                  // the end of the height before is there
	said   []*cmtcons.WALMessage // since then
	size   int64                 // of the newest file
	whole  int64                 // of it, without what cannot be read at its end
}

// mendConfig says what a log must not contradict.
type mendConfig struct {
	Dir    string // of the log
	Height int64  // of the next block
	// Only is the signer, if nobody else is a validator; otherwise nil.
	Only *privval.FilePV
	// Alone: no other node can have heard of a vote.
	Alone bool
	Log   *slog.Logger
}

// mendLog makes the log one that the engine can play and write behind. Errors: ErrLogLost, ErrBlocksLost.
func mendLog(cfg mendConfig) error {
	l, err := readLog(cfg.Dir, cfg.Height)
	if err != nil {
		return fmt.Errorf("read engine log: %w", err)
	}
	if l.whole < l.size {
		cfg.Log.Warn("the engine's log has a damaged end, which is cut off", "bytes", l.size-l.whole)
		if err := l.cut(); err != nil {
			return fmt.Errorf("mend engine log: %w", err)
		}
	}
	if cfg.Only == nil {
		return nil
	}
	signed := cfg.Only.LastSignState
	switch {
	case signed.Height < cfg.Height:
		return nil
	case signed.Height > cfg.Height:
		return fmt.Errorf("%w: %d, the next is %d", ErrBlocksLost, signed.Height, cfg.Height)
	case l.own(signed.Round, signed.Step) != nil:
		return nil
	}
	block, err := signedBlock(&signed)
	if err != nil {
		return err
	}
	switch {
	case signed.Step == signedPrevote && block != nil && l.has(signed.Round, block),
		signed.Step == signedPrecommit && block != nil && l.has(signed.Round, block) && l.own(signed.Round, signedPrevote) != nil:
		return nil // says the same again
	case signed.Step == signedPrecommit && block != nil && !cfg.Alone:
		return fmt.Errorf("%w: height %d, block %X", ErrLogLost, signed.Height, block)
	}
	cfg.Log.Warn("a round that the last end interrupted is given up", "height", signed.Height, "round", signed.Round)
	if err := l.giveUp(signed.Round); err != nil {
		return fmt.Errorf("mend engine log: %w", err)
	}
	return nil
}

// signedBlock is the hash of the block that the last vote was for; nil for a vote for none, or a proposal.
func signedBlock(s *privval.FilePVLastSignState) ([]byte, error) {
	if s.Step == signedProposal {
		return nil, nil
	}
	var vote cmtproto.CanonicalVote
	if err := protoio.UnmarshalDelimited(s.SignBytes, &vote); err != nil {
		return nil, errors.New("validator sign state: malformed vote")
	}
	if vote.BlockID == nil {
		return nil, nil
	}
	return vote.BlockID.Hash, nil
}

// readLog reads what of the newest files belongs to a height. Damaged records of earlier heights are skipped, as the engine does.
func readLog(dir string, height int64) (*heightLog, error) {
	l := &heightLog{dir: dir, height: height}
	files, err := filepath.Glob(filepath.Join(dir, "wal.[0-9]*")) // in order, the head comes after them
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	if n := len(files); n > 0 { // the height may have begun in the last one
		raw, err := os.ReadFile(files[n-1])
		if err != nil {
			return nil, err
		}
		l.read(raw)
	}
	raw, err := os.ReadFile(l.head())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l.size, l.whole = int64(len(raw)), l.read(raw)
	return l, nil
}

func (l *heightLog) head() string { return filepath.Join(l.dir, "wal") }

// read one file and return how much of it can be read, if something is to follow.
func (l *heightLog) read(raw []byte) (whole int64) {
	for at := 0; at < len(raw); {
		m, n := logRecord(raw[at:])
		if m == nil {
			if l.began {
				return int64(at)
			}
			at += n
			continue
		}
		at += n
		whole = int64(at)
		if end := m.GetEndHeight(); end != nil && end.Height == l.height-1 && !l.began {
			l.began, l.said = true, nil
		} else if l.began {
			l.said = append(l.said, m)
		}
	}
	return whole
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maxLogRecord is what the engine takes for possible.
const maxLogRecord = 1<<20 + 24

// logRecord reads the record at the beginning of raw, and how many bytes it takes; nil when it is damaged or cut.
func logRecord(raw []byte) (*cmtcons.WALMessage, int) {
	if len(raw) < 8 {
		return nil, len(raw)
	}
	sum, size := binary.BigEndian.Uint32(raw), int(binary.BigEndian.Uint32(raw[4:]))
	switch {
	case size > maxLogRecord:
		return nil, 8
	case len(raw) < 8+size:
		return nil, len(raw)
	}
	var m cmtcons.TimedWALMessage
	if value := raw[8 : 8+size]; crc32.Checksum(value, castagnoli) != sum || proto.Unmarshal(value, &m) != nil {
		return nil, 8 + size
	}
	if m.Msg == nil {
		m.Msg = &cmtcons.WALMessage{}
	}
	return m.Msg, 8 + size
}

// own is what this node itself said in a step of a round; nil when the log does not have it.
func (l *heightLog) own(round int32, step int8) *cmtcons.Message {
	for _, m := range l.said {
		info := m.GetMsgInfo()
		if info == nil || info.PeerID != "" {
			continue
		}
		if p := info.Msg.GetProposal(); step == signedProposal && p != nil && p.Proposal.Height == l.height && p.Proposal.Round == round {
			return &info.Msg
		}
		want := cmtproto.PrevoteType
		if step == signedPrecommit {
			want = cmtproto.PrecommitType
		}
		if v := info.Msg.GetVote(); step != signedProposal && v != nil && v.Vote.Height == l.height && v.Vote.Round == round && v.Vote.Type == want {
			return &info.Msg
		}
	}
	return nil
}

// has reports whether the log has the whole block that was proposed in a round.
func (l *heightLog) has(round int32, hash []byte) bool {
	m := l.own(round, signedProposal)
	if m == nil || !bytes.Equal(m.GetProposal().Proposal.BlockID.Hash, hash) {
		return false
	}
	parts := map[uint32]bool{}
	for _, m := range l.said {
		if info := m.GetMsgInfo(); info != nil {
			if p := info.Msg.GetBlockPart(); p != nil && p.Height == l.height && p.Round == round {
				parts[p.Part.Index] = true
			}
		}
	}
	return len(parts) == int(m.GetProposal().Proposal.BlockID.PartSetHeader.Total)
}

// cut takes away what cannot be read, and keeps a copy of it all.
func (l *heightLog) cut() error {
	raw, err := os.ReadFile(l.head())
	if err == nil {
		err = writeFile(l.head()+".CORRUPTED", raw)
	}
	if err == nil {
		err = writeFile(l.head(), raw[:l.whole])
	}
	return err
}

// giveUp has the engine begin the round after one.
func (l *heightLog) giveUp(round int32) error {
	f, err := os.OpenFile(l.head(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	var records []*cmtcons.WALMessage
	if !l.began {
		records = append(records, &cmtcons.WALMessage{Sum: &cmtcons.WALMessage_EndHeight{EndHeight: &cmtcons.EndHeight{Height: l.height - 1}}})
	}
	records = append(records, &cmtcons.WALMessage{Sum: &cmtcons.WALMessage_TimeoutInfo{
		TimeoutInfo: &cmtcons.TimeoutInfo{Height: l.height, Round: round, Step: stepPrecommitWait}}})
	for _, m := range records {
		value, err := proto.Marshal(&cmtcons.TimedWALMessage{Time: time.Unix(0, 0).UTC(), Msg: m}) // nobody reads the time
		if err != nil {
			return err
		}
		head := binary.BigEndian.AppendUint32(nil, crc32.Checksum(value, castagnoli))
		if _, err := f.Write(append(binary.BigEndian.AppendUint32(head, uint32(len(value))), value...)); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return syncDir(l.dir)
}
