package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// registryStatusCmd asks running nodes on this machine, through their management API.
type registryStatusCmd struct {
	Homes []string      `arg:"" help:"Homes of running nodes." type:"existingdir"`
	JSON  bool          `help:"Print JSON lines only."`
	Wait  int           `help:"Wait until every node has a header of at least this height." placeholder:"HEIGHT"`
	For   time.Duration `help:"How long to wait." default:"60s" name:"timeout"`
}

// nodeStatus is one line of status. Fields are those of the management API's /v1/node.
type nodeStatus struct {
	Home    string `json:"home"`
	Network string `json:"network,omitempty"`
	ChainID string `json:"chain_id,omitempty"`
	NodeID  string `json:"node_id,omitempty"`
	Health  struct {
		Status string `json:"status"` // ok, syncing, stuck, down
		Height uint64 `json:"height"`
		Time   string `json:"time,omitempty"`
		Peers  int    `json:"peers"`
	} `json:"health"`
	Peers []struct {
		ID      string `json:"id"`
		Address string `json:"address"`
	} `json:"peers"`
	Validators []struct {
		PublicKey string `json:"public_key"`
		Name      string `json:"name,omitempty"`
		Power     int64  `json:"power"`
		Signed    bool   `json:"signed"`
		Self      bool   `json:"self,omitempty"`
	} `json:"validators"`
	ArchiveMissing int64 `json:"archive_missing"`
}

func (c *registryStatusCmd) Run(e *env) error {
	deadline := time.Now().Add(c.For)
	failed := 0
	for _, home := range c.Homes {
		st := c.ask(e, nodeHome(home))
		for c.Wait > 0 && (st.Health.Height < uint64(c.Wait) || st.Health.Status != "ok") && time.Now().Before(deadline) && e.ctx.Err() == nil {
			time.Sleep(200 * time.Millisecond)
			st = c.ask(e, nodeHome(home))
		}
		if st.Health.Status != "ok" || st.Health.Height < uint64(c.Wait) {
			failed++
		}
		if err := c.show(e, st); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d nodes are not current", errCheck, failed, len(c.Homes))
	}
	return nil
}

func (c *registryStatusCmd) ask(e *env, home nodeHome) nodeStatus {
	st := nodeStatus{Home: filepath.Base(string(home))}
	st.Health.Status = "down"
	if party, err := home.management(); err == nil {
		_ = call(e.ctx, party, "GET", "/v1/node", nil, &st) // a node that does not answer is down
	}
	return st
}

// management is how this machine's operator reaches the node of a home.
func (h nodeHome) management() (partyJSON, error) {
	config, err := h.readConfig()
	if err != nil {
		return partyJSON{}, err
	}
	token, err := os.ReadFile(h.path("management.token"))
	return partyJSON{ManagementURL: "http://" + config.Management, Token: string(token)}, err
}

func (c *registryStatusCmd) show(e *env, st nodeStatus) error {
	if c.JSON {
		return e.print(st)
	}
	signing := 0
	for _, v := range st.Validators {
		if v.Signed {
			signing++
		}
	}
	archive := ""
	if st.ArchiveMissing > 0 {
		archive = fmt.Sprintf(", archive lacks %d status epochs", st.ArchiveMissing)
	}
	_, err := fmt.Fprintf(e.stdout, "%-12s %-8s height %-8d peers %-3d validators %d, signing %d%s\n", st.Home, st.Health.Status, st.Health.Height,
		st.Health.Peers, len(st.Validators), signing, archive)
	return err
}
