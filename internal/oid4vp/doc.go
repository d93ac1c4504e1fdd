// Package oid4vp holds the words of OpenID for Verifiable Presentations 1.0 that verifier and wallet share: links,
// request objects and client identifiers, DCQL, the VP token and its encrypted transport, transaction data, and our
// parameter `dojang_evidence`. HTTP and storage are elsewhere.
//
// A verifier starts with [ParseQuery], [Request.Sign], [DecodeResponse] and [Query.Satisfied]; a wallet with [ParseLink],
// [VerifyRequest], [Query.Choose] and [Response.Encode]. Everything decoded is untrusted until a Verify function returned
// it; the presentations inside a VP token are only carried here, their formats are verified elsewhere.
package oid4vp
