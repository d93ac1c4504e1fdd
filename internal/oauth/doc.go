// Package oauth holds the OAuth 2.0 words that issuer, verifier and wallet share: the wire error, strict forms,
// token request and response, access token header, DPoP proofs (RFC 9449), wallet attestations
// (draft-ietf-oauth-attestation-based-client-auth as OpenID4VCI 1.0 appendix E uses it), PKCE and server metadata (RFC 8414).
//
// Servers start with [ParseForm] or [ParseAccessToken] and answer failures with [WriteError]; wallets start with
// [BuildDPoP] and [BuildAttestationPoP]. Nothing here stores or fetches: time, replay memory and key look-up are arguments.
// Everything parsed is untrusted until a Verify function of this package returned it.
package oauth
