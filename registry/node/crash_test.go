package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// childDies names the moment at which the child of these tests ends itself by SIGKILL; see dying.
const childDies = "DOJANG_NODE_TEST_DIES"

// diesAt is the height of that moment.
const diesAt = 8

// moments of a block, in order: before and after the key has signed each thing, and where the application is with it.
var moments = []string{"before proposal", "after proposal", "before prevote", "after prevote", "before precommit", "after precommit", "stored", "executed", "committed"}

// dying ends the process at a moment.
type dying struct {
	types.PrivValidator
	moment string
}

func (d dying) at(moment string, height int64) {
	if height == diesAt && moment == d.moment {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (d dying) SignVote(chainID string, vote *cmtproto.Vote) error {
	what := map[cmtproto.SignedMsgType]string{cmtproto.PrevoteType: "prevote", cmtproto.PrecommitType: "precommit"}[vote.Type]
	d.at("before "+what, vote.Height)
	err := d.PrivValidator.SignVote(chainID, vote)
	d.at("after "+what, vote.Height)
	return err
}

func (d dying) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	d.at("before proposal", proposal.Height)
	err := d.PrivValidator.SignProposal(chainID, proposal)
	d.at("after proposal", proposal.Height)
	return err
}

// childConfig is the configuration of the child of these tests.
func childConfig(home string) Config {
	cfg := Config{Home: home}
	if moment := os.Getenv(childDies); moment != "" {
		d := dying{moment: moment}
		cfg.wrapSigner = func(v types.PrivValidator) types.PrivValidator { d.PrivValidator = v; return d }
		cfg.step = d.at
	}
	return cfg
}

// died is the home of a node that ended by SIGKILL at a moment, and what it had acknowledged.
func died(t *testing.T, moment string) (home string, acknowledged [][]byte) {
	t.Helper()
	home = oneHome(t, t.TempDir())
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), childHome+"="+home, childDies+"="+moment)
	out, err := cmd.Output()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatalf("%s: it did not die: %v\n%s", moment, err, out)
	}
	return home, acknowledgedIn(string(out))
}

// TestCrashAtEveryMoment ends a validator at each moment of a block: it comes back by itself, with all that it acknowledged.
func TestCrashAtEveryMoment(t *testing.T) {
	t.Parallel()
	for _, moment := range moments {
		t.Run("H26 killed: "+moment, func(t *testing.T) {
			home, acknowledged := died(t, moment)
			var log logbook
			if err := startAgain(t, Config{Home: home, Logger: slog.New(slog.NewTextHandler(&log, nil))}, acknowledged); err != nil {
				t.Fatal(err)
			}
			if log.has("level=ERROR") {
				t.Errorf("a plain crash is told as a fault:\n%s", log.text.String())
			}
		})
	}
	t.Run("H26 the state is one block newer than the blocks: refused", func(t *testing.T) {
		home, acknowledged := died(t, "committed")
		stores, err := openStores(home)
		if err != nil {
			t.Fatal(err)
		}
		height := stores.blocks.Height()
		err = stores.blocks.DeleteLatestBlock()
		stores.close()
		if err != nil || height != diesAt {
			t.Fatalf("height %d: %v", height, err)
		}
		err = startOrRefuse(t, home, acknowledged)
		if want := fmt.Sprintf("(%d)", diesAt); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "height") {
			t.Fatalf("refused with: %v", err)
		}
	})
	t.Run("H26 what the only validator has signed is newer than the blocks: refused", func(t *testing.T) {
		home, _ := died(t, "after proposal")
		signer, err := loadSigner(home, false)
		if err != nil {
			t.Fatal(err)
		}
		vote := &cmtproto.Vote{Type: cmtproto.PrecommitType, Height: diesAt + 3, ValidatorAddress: signer.GetAddress()}
		if err := signer.SignVote("dojang-local-1", vote); err != nil {
			t.Fatal(err)
		}
		if err := startOrRefuse(t, home, nil); !errors.Is(err, ErrBlocksLost) {
			t.Fatalf("refused with: %v", err)
		}
	})
}

// logOf is the path of the engine's log.
func logOf(home string) string { return filepath.Join(home, dataDir, "cs.wal", "wal") }
