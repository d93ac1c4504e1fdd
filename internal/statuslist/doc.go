// Package statuslist is the Token Status List (draft-ietf-oauth-status-list) and what the registry chain adds to it:
// the list record, the epoch root over an issuer's records, and the 1 KiB chunk that a wallet staples.
//
// Reading: ParseJWT or ParseCWT gives Unverified, its Verify gives a Token, the Token's Status answers for an index.
// Nothing of a list can be read before its signature, type, subject and times hold. A Cache keeps verified
// tokens by URI and refuses to go back. ParseReference reads the `status` claim of a credential.
//
// Writing: a Publisher holds the values of one list, compresses only the blocks that changed and keeps the Merkle tree;
// SignJWT and SignCWT wrap a Snapshot, Record.Marshal ties it to the chain.
//
// Comparing: Redated holds a second status operator's list, or one entry of it, against the issuer's own; CheckFinal sees that nobody
// takes a revocation back (registry/README.md, "Second status operator").
//
// What is trusted: the key handed to Verify, and the epoch root handed to VerifyRecord. How a list or a proof
// travelled is not trusted.
//
// # Values
//
// A list is a row of `length` values of `bits` (1, 2, 4, 8) bits, packed into bytes from the least significant bit
// (section 4.1 of the draft), compressed as zlib (RFC 1950). length*bits is a multiple of 8. W3C Bitstring Status Lists
// pack from the *most* significant bit and use gzip: they are another format, and neither decoder accepts the other's bytes.
//
// # List record
//
// Deterministic CBOR (RFC 8949 section 4.2.1), the bytes hashed into the epoch's tree:
//
//	{ "v": 1, "uri": tstr, "bits": 1/2/4/8, "length": uint, "root": bstr .size 32,
//	  "tokens": { ? "jwt": bstr .size 32, ? "cwt": bstr .size 32, ? "bitstring": bstr .size 32 } }
//
// uri is the status URI of the credentials (at most 512 bytes, ASCII). root is the RFC 6962 tree hash over the
// uncompressed values cut into chunks of 1024 bytes (the last may be shorter, none is empty). tokens holds
// SHA-256 of each published token, byte for byte as served.
//
// # Epoch root
//
// The RFC 6962 tree hash over the issuer's list records in list order; no list: SHA-256 of nothing.
//
// # Chunk proof
//
// Deterministic CBOR, cut by the holder out of the whole list, never asked for by index:
//
//	{ "v": 1, "n": uint, "chunk": bstr .size (1..1024), "path": bstr }
//
// n is the chunk's number, path the RFC 6962 audit path, hashes of 32 bytes from leaf to root in one string. At
// 10,000,000 entries of 2 bits it takes 12 hashes: 1.5 KB in all.
package statuslist
