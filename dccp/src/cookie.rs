//! Init Cookies (RFC 4340 §8.1.4): a connection's beginning, sealed, so that nothing is kept
//! until the client has proved its address.
