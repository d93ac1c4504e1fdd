// Package node runs one node of the registry chain: the BFT engine (CometBFT) in this process, registry/chain under it
// through an ABCI adapter, a gateway that sponsors operations, evidence for readers, and the published status lists.
//
// Use Init and Genesis.Write once for a home folder, then New, Start, Stop. One node with a development genesis is a
// whole network; Localnet runs n of them in one process for tests and benchmarks. registry/web gives a node its HTTP face.
//
// Beside a running node: StateSync brings a newcomer's home to a snapshot, Fsck checks a stopped node, Export and Replay execute the
// whole history again.
//
// What is trusted: the home folder and the other validators up to one third. Callers, peers and issuers' publishers
// are not: operations carry their controllers' signatures, lists must hash to the epoch on the chain.
//
// # Time (DESIGN 4)
//
// The time of an operation of height h is the time of header h+1. The engine dates the first block after a pause by
// the votes before the pause, so empty blocks are made every heartbeat, and the gateway admits nothing while the newest
// header is older than two heartbeats.
//
// # Newcomers
//
// A snapshot (chain.Snapshot) travels over the nodes' HTTP face, before the engine runs, and not over the engine's own protocol for it.
// Why not the other way: the newcomer needs nothing then but a trust file and URLs, the same code (registry/light) that readers
// trust says which app hash is right, and the engine's reactor, which has had holes, is never offered a snapshot.
//
// # Blocks
//
// Dropped by Config.RetainBlocks, but never above the newest change, whose header is in no header tree yet, and never after the oldest
// snapshot that is offered. Header points (chain.Block.Point) outlive them, so facts of the first day are dated without them.
//
// # Peers
//
// A peer's id is in the configuration or is refused in the handshake. The engine gives a lost peer up after some hours and
// trusts a dead connection until the kernel does not; the keeper redials each second and hangs up on whoever is silent.
//
// # What an issuer's publisher answers
//
// The DID document of an issuer has a service of type StatusListPublisher. When a block writes a new status epoch of that
// DID, every node asks its endpoint E:
//
//	GET E/records           application/cbor: deterministic CBOR array of byte strings, the issuer's list records in
//	                        list order (internal/statuslist, "List record"); they hash to the epoch's root
//	GET E/<list>            Accept: application/statuslist+jwt or application/statuslist+cwt: the published token, byte for
//	                        byte the one whose SHA-256 the record names. <list> is the last segment of the record's uri,
//	                        uri = <status host>/<issuer DID id>/<list>
//
// Only of a DID that has, or had, an accreditation: anybody may have a DID and write epochs, and would fill every node's disk. Lists of
// one that is accredited later are fetched with its next epoch.
//
// Only tokens whose digest is not stored yet are asked for. Until all of them are there, the old epoch is served. The
// publisher must answer with the new epoch before it submits the epoch's operation, and with the old one no longer
// than it takes the nodes to see the new. Limits: 1 MiB of records, 4 MiB a token.
//
// When the issuer does not answer, other nodes are asked in the same words at ListsPath: what they give must hash to the epoch, too.
package node
