package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// A Seal dates documents where the database's writers have no hand, and returns a receipt for each: on the registry chain
// evidence.AnchorDocuments. Only salted digests leave.
type Seal func(ctx context.Context, documents ...[]byte) (receipts [][]byte, err error)

// KeeperConfig of a Keeper. Log, DB, Seal and Dir are required.
type KeeperConfig struct {
	Log  *Log
	DB   *sqldb.DB
	Seal Seal
	// Dir gets two files for each checkpoint: NAME.checkpoint, and NAME.checkpoint.receipt, which proves since when it exists.
	// Copy it to where the writers of the database have no hand: whoever can write to both can cut the newest checkpoints.
	Dir    string
	Every  time.Duration // 0: 1 h
	Logger *slog.Logger  // nil: silent
}

// A Keeper seals the heads of all chains of a database from time to time (THREATS J22). Nothing waits for it: when the seal
// cannot be had, the party goes on, and the log says so.
type Keeper struct {
	cfg    KeeperConfig
	failed int // since it last worked; Run's alone
}

// alarmAfter is how many failures in a row are an alarm.
const alarmAfter = 3

// NewKeeper makes Dir when it is absent.
func NewKeeper(cfg KeeperConfig) (*Keeper, error) {
	if cfg.Log == nil || cfg.DB == nil || cfg.Seal == nil || cfg.Dir == "" {
		return nil, errors.New("audit: Log, DB, Seal and Dir are required")
	}
	if cfg.Every == 0 {
		cfg.Every = time.Hour
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("audit: folder for checkpoints: %w", err)
	}
	return &Keeper{cfg: cfg}, nil
}

// Run keeps until ctx ends: soon after the start, so that a wrong configuration shows, and then every Every.
func (k *Keeper) Run(ctx context.Context) {
	timer := time.NewTimer(min(k.cfg.Every, 10*time.Second))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		n, err := k.Keep(ctx)
		k.tell(ctx, n, err)
		timer.Reset(k.cfg.Every)
	}
}

func (k *Keeper) tell(ctx context.Context, n int, err error) {
	switch {
	case err == nil:
		k.failed = 0
		k.cfg.Logger.Debug("audit heads sealed", "chains", n)
	case ctx.Err() != nil:
	case errors.Is(err, ErrTampered):
		k.cfg.Logger.Error("ALARM: the audit log does not hold what was sealed", "error", err)
	default:
		if k.failed++; k.failed >= alarmAfter {
			k.cfg.Logger.Error("ALARM: audit heads are not sealed", "times", k.failed, "error", err)
			return
		}
		k.cfg.Logger.Warn("audit heads are not sealed, trying again", "error", err)
	}
}

// Keep seals the heads that have moved since, and returns how many there were. A chain that does not hold its newest checkpoint any
// more is not sealed: ErrTampered.
func (k *Keeper) Keep(ctx context.Context) (int, error) {
	chains, err := k.cfg.Log.Chains(ctx, k.cfg.DB)
	if err != nil {
		return 0, err
	}
	newest, err := k.newest()
	if err != nil {
		return 0, err
	}
	var heads []Checkpoint
	var documents [][]byte
	var bad error
	for _, chain := range chains {
		last := newest[chain]
		delete(newest, chain)
		head, err := k.cfg.Log.Head(ctx, k.cfg.DB, chain)
		if err == nil {
			err = k.holds(ctx, last)
		}
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		if head.Seq > last.Seq {
			heads, documents = append(heads, head), append(documents, head.Document())
		}
	}
	for chain := range newest {
		bad = errors.Join(bad, fmt.Errorf("%w: chain %q is gone", ErrTampered, chain))
	}
	if len(documents) == 0 {
		return 0, bad
	}
	receipts, err := k.cfg.Seal(ctx, documents...)
	if err == nil && len(receipts) != len(documents) {
		err = errors.New("audit: not a receipt for each checkpoint")
	}
	for i := range documents {
		if err == nil {
			err = k.write(heads[i], documents[i], receipts[i])
		}
	}
	return len(documents), errors.Join(bad, err)
}

// newest checkpoint of each chain that has one.
func (k *Keeper) newest() (map[string]Checkpoint, error) {
	entries, err := os.ReadDir(k.cfg.Dir)
	if err != nil {
		return nil, err
	}
	out := map[string]Checkpoint{}
	seen := map[string]bool{}
	for _, e := range slices.Backward(entries) { // names sort by chain and number
		name, ok := strings.CutSuffix(e.Name(), checkpointSuffix)
		at := strings.LastIndexByte(name, '-')
		if !ok || at < 0 || seen[name[:at]] {
			continue
		}
		seen[name[:at]] = true
		kept, err := readKept(filepath.Join(k.cfg.Dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out[kept.Chain] = kept.Checkpoint
	}
	return out, nil
}

// holds looks whether a checkpoint still lies on its chain. Verify walks the whole chain; this costs one row.
func (k *Keeper) holds(ctx context.Context, c Checkpoint) error {
	if c.Seq == 0 {
		return nil
	}
	var hash [32]byte
	err := k.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow("SELECT hash FROM audit_entry WHERE chain = ? AND seq = ?", c.Chain, c.Seq).Scan(&hash)
	})
	if errors.Is(err, sqldb.ErrNotFound) || err == nil && hash != c.Hash {
		return fmt.Errorf("%w: entry %d of chain %q is not the one of the checkpoint", ErrTampered, c.Seq, c.Chain)
	}
	return err
}

const (
	checkpointFormat = "dojang-audit-checkpoint/1"
	checkpointSuffix = ".checkpoint"
	receiptSuffix    = ".receipt"
	maxCheckpoint    = 4 << 10
	maxReceipt       = 1 << 20
)

type checkpointJSON struct {
	Format string    `json:"format"`
	Chain  string    `json:"chain"`
	Seq    int64     `json:"seq"`
	Hash   string    `json:"hash"`
	Time   time.Time `json:"time"`
}

// Document is the checkpoint as it is sealed, byte for byte:
//
//	{"format":"dojang-audit-checkpoint/1","chain":"gaon","seq":4711,"hash":"<64 hex>","time":"2026-11-20T00:00:00.5Z"}
func (c Checkpoint) Document() []byte {
	raw, err := json.Marshal(checkpointJSON{checkpointFormat, c.Chain, c.Seq, hex.EncodeToString(c.Hash[:]), c.Time.UTC()})
	if err != nil {
		panic(err) // text and numbers encode
	}
	return append(raw, '\n')
}

// ErrCheckpoint: a file that is no checkpoint.
var ErrCheckpoint = errors.New("audit: malformed checkpoint")

// ParseCheckpoint is the inverse of Document, and takes nothing else. Error: ErrCheckpoint.
func ParseCheckpoint(document []byte) (Checkpoint, error) {
	var j checkpointJSON
	if len(document) > maxCheckpoint || json.Unmarshal(document, &j, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(false)) != nil {
		return Checkpoint{}, ErrCheckpoint
	}
	hash, err := hex.DecodeString(j.Hash)
	if err != nil || len(hash) != 32 || j.Format != checkpointFormat || j.Seq <= 0 {
		return Checkpoint{}, ErrCheckpoint
	}
	c := Checkpoint{Chain: j.Chain, Seq: j.Seq, Hash: [32]byte(hash), Time: j.Time.UTC()}
	if string(c.Document()) != string(document) {
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// A Kept checkpoint lies in a Keeper's folder.
type Kept struct {
	Checkpoint
	File    string // of the document; its receipt is File + ".receipt"
	Receipt []byte
}

// LoadCheckpoints reads a Keeper's folder, in order of file names: by chain and number. A folder that is not there has none.
// Nothing is compared with anything: see Verify. Error: ErrCheckpoint.
func LoadCheckpoints(dir string) ([]Kept, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), checkpointSuffix) {
			continue
		}
		kept, err := readKept(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, kept)
	}
	return out, nil
}

func readKept(file string) (k Kept, err error) {
	k.File = file
	raw, err := readLimited(file, maxCheckpoint)
	if err == nil {
		k.Checkpoint, err = ParseCheckpoint(raw)
	}
	if err == nil {
		k.Receipt, err = readLimited(file+receiptSuffix, maxReceipt)
	}
	if err != nil {
		return Kept{}, fmt.Errorf("checkpoint %s: %w", filepath.Base(file), err)
	}
	return k, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > limit {
		err = ErrCheckpoint
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// write keeps the receipt first: a checkpoint that is there has one.
func (k *Keeper) write(c Checkpoint, document, receipt []byte) error {
	path := filepath.Join(k.cfg.Dir, fmt.Sprintf("%s-%012d%s", url.PathEscape(c.Chain), c.Seq, checkpointSuffix))
	if err := durable(path+receiptSuffix, receipt); err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	if err := durable(path, document); err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	return nil
}

func durable(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
