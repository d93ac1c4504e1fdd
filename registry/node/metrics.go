package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dojang-id/dojang/registry/chain"
)

// metrics of one node. Labels are results and states of our own code, never anything of a request.
//
//	dojang_registry_height                    newest header
//	dojang_registry_header_age_seconds        how old it is by its own time
//	dojang_registry_state{state}              1 for ok, syncing, stuck or down
//	dojang_registry_peers
//	dojang_registry_validators, dojang_registry_validators_signing   of the newest header
//	dojang_registry_mempool_transactions, dojang_registry_mempool_bytes
//	dojang_registry_gateway_waiting           operations that wait for their outcome
//	dojang_registry_anchor_leaves_waiting     digests that wait for their time anchor
//	dojang_registry_anchored_leaves_total     digests that have one
//	dojang_registry_transactions_total{code}  executed envelopes
//	dojang_registry_operations_total{code}    executed operations
//	dojang_registry_status_conflicts_total    refused epochs: any is an alarm
//	dojang_registry_misbehaviours_total       proofs of double signing that blocks hold: any is an alarm
//	dojang_registry_snapshot_height           0: none
//	dojang_registry_archive_missing_epochs    status epochs on the chain whose lists this node has not got (yet)
//	dojang_registry_archive_bytes             of the archive of lists, on disk
type metrics struct {
	transactions *prometheus.CounterVec
	operations   *prometheus.CounterVec
	conflicts    prometheus.Counter
	// misbehaviours are proofs that blocks hold against validators.
	misbehaviours prometheus.Counter
	anchored      prometheus.Counter
}

func newMetrics(n *Node) (*metrics, error) {
	m := &metrics{
		transactions:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dojang_registry_transactions_total", Help: "Executed envelopes."}, []string{"code"}),
		operations:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dojang_registry_operations_total", Help: "Executed operations."}, []string{"code"}),
		misbehaviours: prometheus.NewCounter(prometheus.CounterOpts{Name: "dojang_registry_misbehaviours_total", Help: "Proofs on the chain that a validator's key was used twice."}),
		anchored:      prometheus.NewCounter(prometheus.CounterOpts{Name: "dojang_registry_anchored_leaves_total", Help: "Digests that were anchored in time."}),
		conflicts:     prometheus.NewCounter(prometheus.CounterOpts{Name: "dojang_registry_status_conflicts_total", Help: "Refused status epochs that contradict stored ones."}),
	}
	if n.cfg.Metrics == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.transactions, m.operations, m.conflicts, m.misbehaviours, m.anchored, gauges{n}} {
		if err := n.cfg.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) executed(res chain.Result) {
	m.transactions.WithLabelValues(string(res.Code)).Inc()
	for _, o := range res.Operations {
		m.operations.WithLabelValues(o.Code).Inc()
	}
}

// gauges asks the node when somebody looks.
type gauges struct{ n *Node }

var (
	heightDesc   = gauge("height", "Newest header.")
	ageDesc      = gauge("header_age_seconds", "Age of the newest header by its own time.")
	stateDesc    = gauge("state", "1 for the state the node is in.", "state")
	peersDesc    = gauge("peers", "Connected nodes.")
	setDesc      = gauge("validators", "Validators of the newest header.")
	signingDesc  = gauge("validators_signing", "Validators whose vote is in the newest commit.")
	waitingDesc  = gauge("mempool_transactions", "Envelopes that wait for a block.")
	bytesDesc    = gauge("mempool_bytes", "Their size.")
	gatewayDesc  = gauge("gateway_waiting", "Operations of callers that wait for their outcome.")
	leavesDesc   = gauge("anchor_leaves_waiting", "Digests that wait for their time anchor.")
	snapshotDesc = gauge("snapshot_height", "Height of the newest snapshot.")
	missingDesc  = gauge("archive_missing_epochs", "Status epochs whose lists this node does not have.")
	archiveDesc  = gauge("archive_bytes", "Size of the archive of lists on disk.")
)

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("dojang_registry_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (g gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{heightDesc, ageDesc, stateDesc, peersDesc, setDesc, signingDesc, waitingDesc, bytesDesc, gatewayDesc, leavesDesc, snapshotDesc, missingDesc, archiveDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(to chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	h := g.n.Health()
	for _, state := range []string{"ok", "syncing", "stuck", "down"} {
		is := 0.0
		if h.State == state {
			is = 1
		}
		put(stateDesc, is, state)
	}
	put(heightDesc, float64(h.Height))
	put(peersDesc, float64(h.Peers))
	if !h.Time.IsZero() {
		put(ageDesc, g.n.cfg.Now().Sub(h.Time).Seconds())
	}
	if validators, err := g.n.Validators(); err == nil {
		signing := 0
		for _, v := range validators {
			if v.Signed {
				signing++
			}
		}
		put(setDesc, float64(len(validators)))
		put(signingDesc, float64(signing))
	}
	r := g.n.run.Load()
	if r == nil {
		return
	}
	put(waitingDesc, float64(r.engine.node.Mempool().Size()))
	put(bytesDesc, float64(r.engine.node.Mempool().SizeBytes()))
	put(gatewayDesc, float64(r.gateway.waiting()))
	if r.anchors != nil {
		put(leavesDesc, float64(r.anchors.pending()))
	}
	height, _ := r.snapshots.newest()
	put(snapshotDesc, float64(height))
	put(missingDesc, float64(r.archive.missing.Load()))
	put(archiveDesc, float64(r.archive.bytes()))
}
